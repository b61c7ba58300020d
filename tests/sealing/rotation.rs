//! Keys that are replaced while managers work.

use integration_tests::soon;
use token_core::TokenKey;
use token_core::store::sealed::{KeyRing, Reseal};
use token_core::store::{StoreErrorKind, StoreKey};

use crate::site::{Site, key, ring, tells};

fn rotated() -> KeyRing {
    ring("new", 8).with_reader(key("old", 7)).unwrap()
}

#[tokio::test]
async fn a_refresh_seals_with_the_new_key_and_the_old_one_can_go() {
    let site = Site::new();
    site.manager("acme", site.sealed(ring("old", 7))).token().await.unwrap();
    assert!(site.text("acme").contains("\"key\":\"old\""));
    let tokens = site.manager("acme", site.sealed(rotated()));
    tokens.token().await.unwrap();
    assert_eq!(site.kit.token_requests(), 1);
    tokens.refresh_now().await.unwrap();
    assert!(site.text("acme").contains("\"key\":\"new\""));
    site.manager("acme", site.sealed(ring("new", 8))).refresh_now().await.unwrap();
    // Who has the old one alone is told, and harms nobody.
    let late = site.manager("acme", site.sealed(ring("old", 7)));
    tells(&late.token().await.unwrap_err(), StoreErrorKind::Sealed, &["the key `new`"]);
    let counters = site.kit.server.counters();
    assert_eq!((counters.token_requests, counters.reuse_detected), (3, 0));
}

/// Both managers know the stamp that the reseal replaced.
#[tokio::test]
async fn two_managers_refresh_once_each_though_the_record_was_sealed_anew_in_between() {
    let site = Site::new();
    let service = || site.builder("acme", site.sealed(rotated())).build().unwrap();
    site.manager("acme", site.sealed(ring("old", 7))).token().await.unwrap();
    let (a, b) = (service(), service());
    let held = soon(a.token()).await.unwrap();
    assert_eq!(soon(b.token()).await.unwrap().version(), held.version());
    let report = site.sealed(rotated()).reseal_all().await.unwrap();
    assert_eq!((report.resealed(), report.is_complete()), (1, true));

    // A refusal at both, and one refresh for both.
    let (one, other) = soon(async { tokio::join!(a.renew(&held), b.renew(&held)) }).await;
    let second = one.unwrap();
    assert_eq!(second.version(), other.unwrap().version());
    assert_eq!(site.kit.token_requests(), 2);
    let next = soon(b.refresh_now()).await.unwrap();
    assert_eq!(soon(a.renew(&second)).await.unwrap().version(), next.version());
    let counters = site.kit.server.counters();
    assert_eq!((counters.token_requests, counters.reuse_detected), (3, 0));
}

/// Two programs with different primaries take the record from each other as fast as they can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reseals_without_end_cost_no_refresh_and_no_token() {
    let site = Site::new();
    let grant = TokenKey::new("billing-api").unwrap().with_tenant("acme").unwrap();
    let grant = StoreKey::from(&grant);
    let rings = [rotated(), ring("old", 7).with_reader(key("new", 8)).unwrap()];
    let managers = rings.clone().map(|keys| site.manager("acme", site.sealed(keys)));
    managers[0].token().await.unwrap();
    let stores = rings.map(|keys| site.sealed(keys));
    let resealing = tokio::spawn(async move {
        let mut resealed = 0;
        loop {
            for store in &stores {
                if store.reseal(&grant).await.unwrap() == Reseal::Resealed {
                    resealed += 1;
                }
            }
            if resealed >= 40 {
                return resealed;
            }
        }
    });
    let mut newest = 0;
    for manager in managers.iter().cycle() {
        newest = soon(manager.refresh_now()).await.unwrap().version().generation();
        if resealing.is_finished() {
            break;
        }
    }
    resealing.await.unwrap();
    let counters = site.kit.server.counters();
    assert_eq!((counters.token_requests, counters.reuse_detected), (newest, 0));
}
