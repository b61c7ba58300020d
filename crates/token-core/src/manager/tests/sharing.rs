//! Managers that share a store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Late, Script, TestStore, builder, run, settle};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::manager::{Shutdown, TokenManager};
use crate::record::Record;
use crate::refresher::{RefreshError, Spends};
use crate::store::{Durability, Expect, Liveness, Stamp, Swap, TokenStore, Versioned};
use crate::token::TokenSet;

fn store(clock: &ManualClock) -> TestStore {
    TestStore { clock: Some(clock.clone()), ..TestStore::default() }
}

async fn current(store: &TestStore, tokens: &TokenManager) -> Versioned {
    store.memory.load(&tokens.inner.store_key).await.unwrap().unwrap().0
}

/// Puts an earlier record back, as a failover or a restored backup does.
async fn fall_back(store: &TestStore, tokens: &TokenManager, to: &Versioned) {
    let expect = Expect::Is(current(store, tokens).await.stamp());
    let old = Versioned::new(Stamp::random(), to.bytes().clone());
    let key = &tokens.inner.store_key;
    let swap = store.memory.compare_and_swap(key, expect, &old, Durability::Durable).await;
    assert!(matches!(swap.unwrap(), Swap::Won { .. }));
}

#[test]
fn a_store_that_fell_back_is_repaired_without_anybody_asking_for_a_token() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let store = store(&clock);
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.token().await.unwrap();
        let old = current(&store, &tokens).await;
        let newest = tokens.refresh_now().await.unwrap();
        let mut events = tokens.events();
        fall_back(&store, &tokens, &old).await;
        while !matches!(events.next().await, Some(Event::RecordRepaired)) {}
        settle().await;
        assert_eq!(tokens.token().await.unwrap().version(), newest.version());
        assert_eq!(script.calls(), 2);
        let restarted = builder(&script, &clock).store(store.clone()).build().unwrap();
        assert_eq!(restarted.token().await.unwrap().version(), newest.version());
    });
}

#[test]
fn a_store_that_fails_to_be_repaired_is_not_asked_in_a_loop() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let store = store(&clock);
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.token().await.unwrap();
        let old = current(&store, &tokens).await;
        tokens.refresh_now().await.unwrap();
        let mut events = tokens.events();
        fall_back(&store, &tokens, &old).await;
        settle().await;
        let failures = || store.failing.load(std::sync::atomic::Ordering::SeqCst);
        store.failing.store(1000, std::sync::atomic::Ordering::SeqCst);
        clock.advance(Duration::from_secs(1));
        for _ in 0..100 {
            settle().await;
        }
        assert!(failures() > 990, "{}", failures());
        store.failing.store(0, std::sync::atomic::Ordering::SeqCst);
        let wait = async { while !matches!(events.next().await, Some(Event::RecordRepaired)) {} };
        let time = async {
            loop {
                clock.advance(Duration::from_secs(1));
                settle().await;
            }
        };
        let _ = crate::manager::first(wait, time).await;
    });
}

#[test]
fn a_refresh_of_a_process_that_died_is_taken_over_as_soon_as_the_store_knows() {
    run(async {
        let clock = ManualClock::new();
        let gate = Arc::new(Semaphore::new(0));
        let store = store(&clock);
        let hung = Script::with_gate(Spends::RefreshToken, Some(gate));
        let gone = builder(&hung, &clock).store(store.clone());
        let gone = gone.exchange_deadline(Duration::from_secs(3600)).build().unwrap();
        let lost = tokio::spawn(async move { gone.token().await });
        settle().await;
        assert_eq!(hung.calls(), 1);

        let script = Script::new(Spends::RefreshToken);
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        let mut events = tokens.events();
        let waiter = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        settle().await;
        store.set_liveness(Liveness::Dead);
        // The next question, and then what the server may still be doing: 1.1 times its drain.
        for seconds in [1, 11] {
            assert_eq!(script.calls(), 0);
            clock.advance(Duration::from_secs(seconds));
            settle().await;
        }
        assert_eq!(script.calls(), 1);
        waiter.await.unwrap().unwrap();
        while !matches!(events.next().await, Some(Event::TakenOver)) {}
        lost.abort();
    });
}

#[test]
fn an_update_that_keeps_the_refresh_token_waits_for_those_who_know_a_newer_one() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let store = store(&clock);
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.token().await.unwrap();
        // Somebody brought this record back after a fall, and may not know the newest.
        let key = tokens.inner.store_key.clone();
        let found = current(&store, &tokens).await;
        let record = Record::decode(found.bytes(), &key).unwrap().settling(true);
        let settling = Versioned::new(Stamp::random(), record.encode(&key));
        fall_back(&store, &tokens, &settling).await;
        let update = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.update(TokenSet::new("by hand")).await }
        });
        settle().await;
        for _ in 0..30 {
            let waits = current(&store, &tokens).await.bytes() == settling.bytes();
            assert_eq!(waits, !update.is_finished());
            clock.advance(Duration::from_secs(1));
            settle().await;
        }
        update.await.unwrap().unwrap();
    });
}

#[test]
fn a_login_whose_write_comes_late_is_written_once() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let store = store(&clock);
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.token().await.unwrap();
        assert_eq!(tokens.shutdown(Duration::ZERO).await, Shutdown::Clean);
        *store.late.lock().unwrap() = Some(Late::Armed);
        let login = TokenSet::new("login").with_refresh_token("rt-login");
        let error = tokens.login(login).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        // What somebody made of the login's refresh token meanwhile is still there.
        let Some(Late::Passed(stamp)) = *store.late.lock().unwrap() else { panic!() };
        assert_eq!(current(&store, &tokens).await.stamp(), stamp);
    });
}

#[test]
fn a_repair_does_not_end_the_wait_that_the_server_asked_for() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let store = store(&clock);
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.token().await.unwrap();
        let old = current(&store, &tokens).await;
        tokens.refresh_now().await.unwrap();
        let busy = || RefreshError::rejected("busy").with_retry_after(Duration::from_secs(600));
        script.fail((0..10).map(|_| busy()));
        clock.advance(Duration::from_secs(90));
        settle().await;
        assert_eq!(script.calls(), 3);
        let mut events = tokens.events();
        fall_back(&store, &tokens, &old).await;
        while !matches!(events.next().await, Some(Event::RecordRepaired)) {}
        for _ in 0..60 {
            clock.advance(Duration::from_secs(1));
            settle().await;
        }
        assert_eq!(script.calls(), 3);
    });
}

#[test]
fn a_login_that_took_the_place_of_a_lost_one_with_its_version_is_served() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let program = |store: &TestStore| {
            TokenManager::builder(script.clone()).clock(clock.clone()).store(store.clone())
        };
        let (here, there) = (store(&clock), store(&clock));
        let tokens = program(&here).build().unwrap();
        tokens.login(TokenSet::new("first")).await.unwrap();
        clock.advance(Duration::from_secs(60));
        let other = program(&there).one_shot().build().unwrap();
        other.login(TokenSet::new("second")).await.unwrap();
        fall_back(&here, &tokens, &current(&there, &other).await).await;
        for _ in 0..3 {
            clock.advance(Duration::from_secs(1));
            settle().await;
        }
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "second");
    });
}

/// A process whose refresh of a shared record hangs.
async fn hanging(store: &TestStore, clock: &ManualClock, answers: usize) -> TokenManager {
    let gate = Arc::new(Semaphore::new(answers));
    let hung = Script::with_gate(Spends::RefreshToken, Some(gate));
    hung.set_lifetime(Some(Duration::from_secs(100)));
    let hanging = builder(&hung, clock).store(store.clone());
    let hanging = hanging.exchange_deadline(Duration::from_secs(3600)).build().unwrap();
    for _ in 0..answers {
        hanging.token().await.unwrap();
    }
    clock.advance(Duration::from_secs(85));
    tokio::spawn({
        let hanging = hanging.clone();
        async move { hanging.token().await }
    });
    settle().await;
    assert_eq!(hung.calls(), answers + 1);
    hanging
}

#[test]
fn a_program_with_a_token_that_serves_does_not_wait_for_another_process() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let store = store(&clock);
        let _hanging = hanging(&store, &clock, 1).await;
        let program = builder(&script, &clock).store(store.clone()).one_shot().build().unwrap();
        for _ in 0..3 {
            let token = tokio::time::timeout(Duration::from_secs(60), program.token());
            assert_eq!(token.await.expect("waits").unwrap().expose_secret(), "at-1");
        }
        assert_eq!(script.calls(), 0);
    });
}

#[test]
fn what_waits_for_another_process_is_not_sent_after_a_shutdown() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let store = store(&clock);
        let _hanging = hanging(&store, &clock, 0).await;
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        let waiter = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        settle().await;
        let _ = tokens.shutdown(Duration::ZERO).await;
        for _ in 0..60 {
            clock.advance(Duration::from_secs(1));
            settle().await;
        }
        assert_eq!(script.calls(), 0);
        assert_eq!(waiter.await.unwrap().unwrap_err().kind(), ErrorKind::ShutDown);
    });
}

#[test]
fn a_login_that_a_repair_finds_ends_the_wait_for_one() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let gate = Arc::new(Semaphore::new(1_000));
        let here = TestStore { gate: Some(Arc::clone(&gate)), ..store(&clock) };
        let tokens = builder(&script, &clock).store(here.clone()).build().unwrap();
        tokens.token().await.unwrap();
        let old = current(&here, &tokens).await;
        tokens.refresh_now().await.unwrap();
        script.fail([RefreshError::invalid_grant()]);
        tokens.refresh_now().await.unwrap_err();
        for _ in 0..3 {
            clock.advance(Duration::from_secs(1));
            settle().await;
        }
        gate.forget_permits(1_000);
        fall_back(&here, &tokens, &old).await;
        settle().await;
        // The look that finds the old record, and nothing of the repair.
        gate.add_permits(1);
        settle().await;
        let there = TestStore { memory: here.memory.clone(), ..store(&clock) };
        let program = builder(&script, &clock).store(there).one_shot().build().unwrap();
        let login = TokenSet::new("login").with_refresh_token("login");
        program.login(login.with_expires_in(Duration::from_secs(100))).await.unwrap();
        let calls = script.calls();
        gate.add_permits(1_000);
        settle().await;
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "login");
        clock.advance(Duration::from_secs(90));
        settle().await;
        assert_eq!(script.calls(), calls + 1);
    });
}
