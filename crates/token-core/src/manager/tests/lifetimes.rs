//! Panics, overruns, runtimes that go away, stores that fail: nothing is wedged, and no answer is lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Script, TestStore, builder, run, settle};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::manager::{Shutdown, TokenManager};
use crate::refresher::Spends;

/// Longer than any wait of the defaults.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_refresher_that_panics_fails_its_flight_and_wedges_nothing() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let tokens = builder(&script, &clock).build().unwrap();
        script.panic_next();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        clock.advance(LONG);
        tokens.token().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-0"]);
    });
}

#[test]
fn a_refresher_that_hangs_past_its_deadline_fails_its_flight_and_wedges_nothing() {
    run(async {
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let clock = ManualClock::new();
        let tokens = builder(&script, &clock).build().unwrap();
        let waiter = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        settle().await;
        assert_eq!(script.calls(), 1);
        clock.advance(Duration::from_secs(10));
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        gate.add_permits(10);
        clock.advance(LONG);
        tokens.token().await.unwrap();
    });
}

#[test]
fn a_runtime_that_goes_away_fails_waiters_on_another_and_wedges_nothing() {
    let gate = Arc::new(Semaphore::new(0));
    let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
    let clock = ManualClock::new();
    let tokens = builder(&script, &clock).build().unwrap();
    let first = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    first.spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    while script.calls() == 0 {
        std::thread::yield_now();
    }
    run(async {
        let waiter = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        settle().await;
        first.shutdown_background();
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        // What became of the request is unknown, and the rule for that holds.
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        gate.add_permits(10);
        clock.advance(LONG);
        tokens.token().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-0"]);
    });
}

#[test]
fn an_answer_that_the_store_refuses_is_served_from_memory_and_stored_later() {
    run(async {
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let (clock, store) = (ManualClock::new(), TestStore::default());
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        let mut events = tokens.events();
        let waiter = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        settle().await;
        store.failing.store(3, Ordering::SeqCst);
        gate.add_permits(1);
        assert_eq!(waiter.await.unwrap().unwrap().expose_secret(), "at-1");
        assert!(tokens.status().has_unsaved_tokens());
        assert_eq!(tokens.shutdown(Duration::ZERO).await, Shutdown::UnsavedTokens);
        let stored = loop {
            clock.advance(Duration::from_secs(10));
            settle().await;
            if !tokens.status().has_unsaved_tokens() {
                break tokens.shutdown(LONG).await;
            }
        };
        assert_eq!(stored, Shutdown::Clean);
        let mut delayed = 0;
        while let Some(event) = events.next().await {
            match event {
                Event::CommitDelayed { .. } => delayed += 1,
                Event::Refreshed { version } => {
                    assert_eq!(version.generation(), 1);
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(delayed, 1);
        // Another process finds it.
        let other = builder(&script, &clock).store(store).build().unwrap();
        assert_eq!(other.token().await.unwrap().expose_secret(), "at-1");
        assert_eq!(script.calls(), 1);
    });
}

#[test]
fn without_the_store_nothing_one_time_is_sent_and_what_spends_nothing_goes_on() {
    for (spends, calls) in [(Spends::RefreshToken, 0), (Spends::Nothing, 1)] {
        run(async {
            let (script, clock, store) =
                (Script::new(spends), ManualClock::new(), TestStore::default());
            store.failing.store(1_000, Ordering::SeqCst);
            let tokens =
                TokenManager::builder(script.clone()).clock(clock.clone()).store(store.clone());
            let tokens = match spends {
                Spends::Nothing => tokens,
                _ => tokens.seed(crate::token::TokenSet::from_refresh_token("rt-0")),
            };
            let tokens = tokens.build().unwrap();
            let token = tokens.token().await;
            assert_eq!(script.calls(), calls);
            match spends {
                Spends::Nothing => assert_eq!(token.unwrap().expose_secret(), "at-1"),
                _ => assert_eq!(token.unwrap_err().kind(), ErrorKind::Store),
            }
        });
    }
}

#[test]
fn tokens_are_refreshed_ahead_of_their_end_with_no_traffic() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let tokens = builder(&script, &clock).build().unwrap();
        tokens.ready().await.unwrap();
        for refreshes in 2..20 {
            let mut seconds = 0;
            while script.calls() < refreshes {
                clock.advance(Duration::from_secs(1));
                seconds += 1;
                settle().await;
                assert!(tokens.cached().is_some(), "expired after {seconds} s");
            }
            assert!((76..=85).contains(&seconds), "refreshed after {seconds} s");
        }
    });
}

#[test]
fn a_watch_that_ends_at_the_time_of_the_next_refresh_does_not_put_it_off() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        script.set_lifetime(Some(Duration::from_secs(1)));
        let store = TestStore { clock: Some(clock.clone()), ..TestStore::default() };
        let tokens = builder(&script, &clock).store(store).build().unwrap();
        tokens.ready().await.unwrap();
        for refreshes in 2..50 {
            let mut hundredths = 0;
            while script.calls() < refreshes {
                clock.advance(Duration::from_millis(10));
                hundredths += 1;
                settle().await;
                assert!(tokens.cached().is_some(), "expired after {hundredths}0 ms");
            }
            assert!((76..=85).contains(&hundredths), "refreshed after {hundredths}0 ms");
        }
    });
}

#[test]
fn a_one_shot_manager_starts_no_task_behind_its_calls() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
    script.set_lifetime(Some(Duration::from_secs(100)));
    runtime.block_on(async {
        let tokens = builder(&script, &clock).one_shot().build().unwrap();
        tokens.token().await.unwrap();
        settle().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        // A stale token is replaced by the call that finds it.
        clock.advance(Duration::from_secs(90));
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-2");
        settle().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    });
}

#[test]
fn dropping_the_last_handle_ends_the_driver_and_not_a_flight() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let (clock, store) = (ManualClock::new(), TestStore::default());
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        let caller = tokio::spawn(async move { tokens.token().await });
        settle().await;
        caller.abort();
        settle().await;
        gate.add_permits(10);
        settle().await;
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        let other = builder(&script, &clock).store(store).build().unwrap();
        assert_eq!(other.token().await.unwrap().expose_secret(), "at-1");
        assert_eq!(script.calls(), 1);
    });
}
