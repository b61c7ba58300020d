//! What somebody can do who writes to the store. It costs a refresh, never a token.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use integration_tests::{Kit, Log, event, until};
use token_core::TokenManager;
use token_core::clock::ManualClock;
use token_core::event::Event;
use token_core::store::StoreErrorKind::{Corrupt, Sealed};
use token_core::store::sealed::SealedStore;
use token_core::store::{Durability, Expect, MemoryStore, StoreKey, Swap, TokenStore, Versioned};

use crate::site::{Site, ring, tells};

async fn only(store: &MemoryStore) -> (StoreKey, Versioned) {
    let page = store.list(None).await.unwrap();
    let (record, _) = store.load(&page.keys()[0]).await.unwrap().unwrap();
    (page.keys()[0].clone(), record)
}

/// Of one that starts with a seed: it was used long ago.
#[tokio::test]
async fn whatever_byte_is_changed_no_seed_is_presented_in_its_place() {
    let (kit, memory) = (Kit::start(), MemoryStore::new());
    let start = || -> TokenManager {
        let store = SealedStore::new(memory.clone(), ring("k", 7));
        kit.manager().store(store).one_shot().build().unwrap()
    };
    let token = start().token().await.unwrap();
    let (key, whole) = only(&memory).await;
    for at in 0..whole.bytes().len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut bytes = whole.bytes().to_vec();
            bytes[at] ^= flip;
            let changed = Versioned::new(whole.stamp(), Bytes::from(bytes));
            let expect = Expect::Is(whole.stamp());
            let swap = memory.compare_and_swap(&key, expect, &changed, Durability::Durable).await;
            assert!(matches!(swap, Ok(Swap::Won { .. })), "{swap:?}");
            let error = start().token().await.expect_err("it was opened");
            let kind = error.store_error().expect("the store's").kind();
            assert!(!error.needs_login() && [Corrupt, Sealed].contains(&kind), "{at}: {error}");
        }
    }
    memory
        .compare_and_swap(&key, Expect::Is(whole.stamp()), &whole, Durability::Durable)
        .await
        .unwrap();
    assert_eq!(start().token().await.unwrap().version(), token.version());
    assert_eq!(kit.token_requests(), 1);
}

/// From the store's envelope, the stamp with it: only the seal knows whose it is.
#[tokio::test]
async fn a_record_of_one_tenant_under_anothers_key_is_refused_and_a_login_gets_past_it() {
    let site = Site::new();
    let store = || site.sealed(ring("k", 7));
    let (acme, apex) = (site.manager("acme", store()), site.manager("apex", store()));
    acme.token().await.unwrap();
    apex.login(site.kit.another_login()).await.unwrap();
    let moved = site.text("apex").replace("tenant=apex", "tenant=acme");
    fs::write(site.record("acme"), &moved).unwrap();

    let newcomer = site.manager("acme", store());
    tells(
        &newcomer.token().await.unwrap_err(),
        Corrupt,
        &["belongs to another grant", "log in again"],
    );
    tells(&newcomer.logout().await.unwrap_err(), Corrupt, &["log in again"]);
    assert_eq!(site.text("acme"), moved, "nothing was changed");
    assert_eq!(site.kit.token_requests(), 1);

    let login = site.kit.another_login();
    let access = login.access_token().unwrap().expose_secret().to_owned();
    let mut events = newcomer.events();
    newcomer.login(login).await.unwrap();
    let aside = event(&mut events, |event| matches!(event, Event::RecordSetAside { .. })).await;
    let Event::RecordSetAside { place } = aside else { unreachable!() };
    assert_eq!(fs::read_to_string(place).unwrap(), moved);
    let token = site.manager("acme", store()).token().await.unwrap();
    assert_eq!(token.expose_secret(), access);
    assert!(token.version().epoch() > 1);
}

#[tokio::test]
async fn a_changed_header_is_refused_and_a_login_gets_past_it() {
    let site = Site::new();
    let store = || site.sealed(ring("k", 7));
    let changes: [fn(&str) -> String; 3] = [
        |text| text.replacen("\"generation\":1", "\"generation\":9", 1),
        |text| text.replacen("\"ciphertext\":\"", "\"ciphertext\":\"AAAA", 1),
        // Of the store's own envelope.
        |text| {
            let (before, stamp) = text.split_once("\"stamp\": \"").unwrap();
            let other = if stamp.starts_with('7') { '8' } else { '7' };
            format!("{before}\"stamp\": \"{other}{}", &stamp[1..])
        },
    ];
    for change in changes {
        site.manager("acme", store()).refresh_now().await.unwrap();
        let changed = change(&site.text("acme"));
        fs::write(site.record("acme"), &changed).unwrap();
        let requests = site.kit.token_requests();
        let newcomer = site.manager("acme", store());
        tells(&newcomer.token().await.unwrap_err(), Corrupt, &["was changed"]);
        assert_eq!(site.kit.token_requests(), requests);
        newcomer.login(site.kit.another_login().with_expires_in(Duration::ZERO)).await.unwrap();
        newcomer.refresh_now().await.unwrap();
        for path in site.paths(".unreadable") {
            fs::remove_file(path).unwrap();
        }
        // The next round begins at the first generation again.
        newcomer.login(site.kit.another_login()).await.unwrap();
    }
    assert_eq!(site.kit.server.counters().reuse_detected, 0);
}

/// It was sealed so, and opens. Who knows better does not believe it.
#[tokio::test]
async fn an_old_record_that_is_put_back_whole_is_repaired_by_a_process_that_knows_a_newer_one() {
    let site = Site::new();
    let clock = ManualClock::new();
    let start = || {
        let builder = site.builder("acme", site.sealed(ring("k", 7)));
        builder.clock(clock.clone()).one_shot().build().unwrap()
    };
    let tokens = start();
    tokens.token().await.unwrap();
    let old = site.text("acme");
    let newest = tokens.refresh_now().await.unwrap();
    fs::write(site.record("acme"), &old).unwrap();
    // It brings the newest back, and gives others that may know a newer one still the time to say so: the clock stands still.
    let refresh = tokio::spawn(async move { tokens.refresh_now().await });
    until(|| site.text("acme").contains("\"generation\":2,")).await;
    assert_eq!(start().token().await.unwrap().version(), newest.version());
    assert!(!refresh.is_finished());
    assert_eq!(site.kit.token_requests(), 2);
}

#[tokio::test]
async fn no_token_is_in_a_file_an_error_or_the_log() {
    let log = Log::of_this_thread();
    let site = Site::new();
    let store = || site.sealed(ring("k", 7));
    let tokens = site.manager("acme", store());
    tokens.token().await.unwrap();
    tokens.refresh_now().await.unwrap();
    let whole = site.text("acme");
    let mut said = format!("{:?} {:?}", store(), tokens.status());
    fs::write(site.record("acme"), whole.replacen("\"ciphertext\":\"", "\"ciphertext\":\"AAAA", 1))
        .unwrap();
    let error = site.manager("acme", store()).token().await.unwrap_err();
    said.push_str(&format!("{error} {error:?}"));
    site.manager("acme", store()).login(site.kit.another_login()).await.unwrap();
    for (what, text) in
        [("the files", site.everything()), ("errors", said), ("the log", log.text())]
    {
        assert!(!text.is_empty());
        for canary in ["kit-at-", "kit-rt-", "\\u0007\\u0007", "7, 7, 7"] {
            assert!(!text.contains(canary), "{canary} is in {what}: {text}");
        }
    }
}
