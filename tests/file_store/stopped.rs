//! A process that is stopped while it writes: the kernel keeps its lock, so nobody else writes until it goes on or ends.

use std::fs::File;
use std::time::{Duration, Instant};

use integration_tests::soon;
use rustix::process::{Signal, kill_process};
use token_core::store::StoreErrorKind::{Indeterminate, Refused};
use token_core::{Error, Freshness};
use token_testkit::DEFAULT_CLIENT_ID;

use crate::process::Process;
use crate::site::{Site, failure, refreshed, tells};

#[tokio::test]
async fn others_say_who_is_in_the_way_and_go_on_when_the_stopped_process_goes_on() {
    stopped(Signal::CONT).await;
}

#[tokio::test]
async fn others_say_who_is_in_the_way_and_go_on_when_the_stopped_process_is_killed() {
    stopped(Signal::KILL).await;
}

async fn stopped(end: Signal) {
    let site = Site::new();
    // It wants a new token soon, and has the old one for long.
    let soon = Freshness::default().every(Duration::from_secs(3));
    let tokens = site.service().freshness(soon).build().unwrap();
    tokens.ready().await.unwrap();
    let mut other = Process::start(&site);
    other.order(&format!("updates {}", site.kit.server.sign_in(DEFAULT_CLIENT_ID).access_token()));
    stop_in_a_write(&site, &other).await;
    let before = site.kit.token_requests();
    let mut events = tokens.events();

    // By itself, once it is time for the next token, and whenever somebody asks.
    let error = past_a_standstill(async || failure(&mut events).await).await;
    let lock = site.file(".lock").display().to_string();
    let says = [
        "the record of the grant billing-api was not written: another process has held the lock",
        &lock,
        "it is stopped, or its disk hangs (`lslocks` names it). Do not remove the file",
    ];
    tells(&error, Refused, &says);
    let asked = past_a_standstill(async || tokens.refresh_now().await.unwrap_err()).await;
    tells(&asked, Refused, &says);
    println!("{error}");
    let held = tokens.token().await.unwrap();
    // A service that starts now has the token too: to read takes no lock.
    assert_eq!(site.start().token().await.unwrap().expose_secret(), held.expose_secret());
    assert_eq!(site.kit.token_requests(), before, "without the store nothing is sent");

    let start = Instant::now();
    other.order("token");
    kill_process(other.id(), end).unwrap();
    refreshed(&mut events).await;
    println!("refreshed {:?} after {end:?}", start.elapsed());
    let counters = site.kit.server.counters();
    assert!(counters.token_requests > before && counters.reuse_detected == 0, "{counters:?}");
}

/// On a machine that stands still the manager's own deadline may come before the end of the wait for the lock.
async fn past_a_standstill(mut fail: impl AsyncFnMut() -> Error) -> Error {
    for _ in 0..10 {
        let error = fail().await;
        if error.store_error().is_none_or(|error| error.kind() != Indeterminate) {
            return error;
        }
    }
    fail().await
}

/// Stops it at a moment at which it has the lock, which is most of its time.
async fn stop_in_a_write(site: &Site, other: &Process) {
    soon(async {
        let lock = File::open(site.file(".lock")).unwrap();
        for n in 0.. {
            kill_process(other.id(), Signal::STOP).unwrap();
            // A signal takes effect when the process next runs.
            tokio::time::sleep(Duration::from_millis(5)).await;
            if lock.try_lock_shared().is_err() {
                return;
            }
            lock.unlock().unwrap();
            kill_process(other.id(), Signal::CONT).unwrap();
            tokio::time::sleep(Duration::from_millis(1 + n * 7 % 20)).await;
        }
    })
    .await;
}
