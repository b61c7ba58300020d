//! Bugs that were found, each named after what its mend protects.

use super::faulty::Faulty;
use super::{Script, TestStore, builder, run, settle};
use crate::clock::{Clock, ManualClock};
use crate::manager::TokenManager;
use crate::refresher::{RefreshError, Refresher, Spends};
use crate::store::MemoryStore;
use crate::token::TokenSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

pub(super) const LONG: Duration = Duration::from_secs(120);

/// Lets tasks that wait for each other come to rest.
pub(super) async fn long() {
    for _ in 0..100 {
        settle().await;
    }
}

#[test]
fn a_wall_clock_that_was_wrong_for_a_while_does_not_hold_a_refresh_off_for_ever() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let tokens = builder(&script, &clock).build().unwrap();
        tokens.ready().await.unwrap();
        let right = clock.now().wall();
        let at = |wall: Duration| std::time::UNIX_EPOCH + wall;
        clock.set_wall(at(right - Duration::from_secs(365 * 86_400)));
        script.fail([RefreshError::ambiguous("reset")]);
        let _ = tokens.refresh_now().await;
        clock.set_wall(at(right));
        for _ in 0..10 {
            clock.advance(Duration::from_secs(3600));
            settle().await;
        }
        let t = tokens.token().await;
        assert!(t.is_ok(), "{t:?}");
    });
}

#[test]
fn calls_after_a_shutdown_do_not_ask_the_store() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.ready().await.unwrap();
        let _ = tokens.shutdown(LONG).await;
        long().await;
        let before = store.loads.load(Ordering::SeqCst);
        for _ in 0..100 {
            tokens.token().await.unwrap();
            settle().await;
        }
        let loads = store.loads.load(Ordering::SeqCst) - before;
        assert_eq!(loads, 0);
    });
}

#[test]
fn a_logout_elsewhere_is_in_force_also_where_a_seed_is_configured() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), MemoryStore::new());
        let there = TokenManager::builder(script.clone())
            .clock(clock.clone())
            .store(store.clone())
            .build()
            .unwrap();
        there.login(TokenSet::new("from a login").with_refresh_token("rt-login")).await.unwrap();
        let here = builder(&script, &clock).store(store).build().unwrap();
        assert_eq!(here.token().await.unwrap().expose_secret(), "from a login");
        there.logout().await.unwrap();
        long().await;
        let c = here.cached().map(|t| t.expose_secret().to_owned());
        let t = here.token().await.map(|t| t.expose_secret().to_owned());
        assert!(c.is_none() && t.is_err(), "cached {c:?}, token {t:?}");
    });
}

#[test]
fn a_refresher_that_panics_at_the_call_is_not_called_in_a_loop() {
    #[derive(Clone)]
    struct Panics(Arc<AtomicUsize>);
    impl Refresher for Panics {
        #[allow(clippy::manual_async_fn)]
        fn refresh(
            &self,
            _: Option<&TokenSet>,
        ) -> impl Future<Output = Result<TokenSet, RefreshError>> + Send {
            if self.0.fetch_add(1, Ordering::SeqCst) > 0 {
                panic!("scripted");
            }
            async { Ok(TokenSet::new("at").with_expires_in(Duration::from_secs(100))) }
        }
        fn spends(&self, _: Option<&TokenSet>) -> Spends {
            Spends::Nothing
        }
    }
    run(async {
        let (calls, clock) = (Arc::new(AtomicUsize::new(0)), ManualClock::new());
        let tokens =
            TokenManager::builder(Panics(calls.clone())).clock(clock.clone()).build().unwrap();
        tokens.ready().await.unwrap();
        clock.advance(Duration::from_secs(90));
        for _ in 0..3 {
            settle().await;
        }
        assert!(
            calls.load(Ordering::SeqCst) <= 2,
            "{} calls while the clock stood still",
            calls.load(Ordering::SeqCst)
        );
    });
}

#[test]
fn clocks_that_disagree_do_not_bring_a_spent_refresh_token_back() {
    run(async {
        let (fast, slow, store) = (ManualClock::new(), ManualClock::new(), Faulty::default());
        let wall = slow.now().wall();
        slow.set_wall(std::time::UNIX_EPOCH + wall - Duration::from_secs(60));
        let script = Script::new(Spends::RefreshToken);
        // seed, intent; the answer to the commit is lost
        store.skip.store(2, Ordering::SeqCst);
        store.lost_answers.store(1, Ordering::SeqCst);
        let a = builder(&script, &fast).store(store.clone()).build().unwrap();
        a.token().await.unwrap();
        assert!(a.status().has_unsaved_tokens());
        let b = builder(&script, &slow).store(store.memory.clone()).one_shot().build().unwrap();
        b.refresh_now().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-1"]);
        fast.advance(LONG);
        settle().await;
        let c = builder(&script, &fast).store(store.memory.clone()).one_shot().build().unwrap();
        c.refresh_now().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-1", "rt-2"]);
    });
}

#[test]
fn a_login_during_a_refresh_ends_the_wait_for_its_unknown_outcome() {
    run(async {
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let clock = ManualClock::new();
        let tokens = builder(&script, &clock).build().unwrap();
        script.fail([RefreshError::ambiguous("reset")]);
        let w = tokio::spawn({
            let t = tokens.clone();
            async move { t.token().await }
        });
        settle().await;
        tokens.login(TokenSet::from_refresh_token("rt-login")).await.unwrap();
        gate.add_permits(10);
        let first = w.await.unwrap().map(|t| t.expose_secret().to_owned());
        let second = tokens.token().await.map(|t| t.expose_secret().to_owned());
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    });
}

#[test]
fn a_runtime_with_a_stale_token_can_be_shut_down() {
    let (sender, done) = std::sync::mpsc::channel();
    let rounds = std::thread::spawn(move || {
        for n in 0..20000 {
            let gate = Arc::new(Semaphore::new(1));
            let script = Script::with_gate(Spends::RefreshToken, Some(gate));
            let clock = ManualClock::new();
            script.set_lifetime(Some(Duration::from_secs(100)));
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_time()
                .build()
                .unwrap();
            let tokens = builder(&script, &clock).build().unwrap();
            runtime.block_on(tokens.ready()).unwrap();
            clock.advance(Duration::from_secs(90));
            if n % 2 == 0 {
                while script.calls() < 2 {
                    clock.advance(Duration::from_millis(1));
                    std::thread::yield_now();
                }
            }
            sender.send(n).unwrap();
            drop(runtime);
            drop(tokens);
        }
    });
    let mut last = 0;
    loop {
        match done.recv_timeout(Duration::from_secs(120)) {
            Ok(n) => last = n,
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            Err(_) => panic!("round {last} hangs"),
        }
    }
    rounds.join().unwrap();
}

#[test]
fn a_token_for_a_long_upload_is_not_the_short_one_of_a_flight_it_joined() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        builder(&script, &clock)
            .store(store.clone())
            .one_shot()
            .build()
            .unwrap()
            .token()
            .await
            .unwrap();
        clock.advance(Duration::from_secs(3600 - 400));
        let gate = Arc::new(Semaphore::new(0));
        *store.gate.lock().unwrap() = Some(gate.clone());
        let b = builder(&script, &clock).store(store.clone()).one_shot().build().unwrap();
        let first = tokio::spawn({
            let b = b.clone();
            async move { b.token().await }
        });
        settle().await;
        let long = tokio::spawn({
            let b = b.clone();
            async move { b.token_for(Duration::from_secs(1800)).await }
        });
        settle().await;
        gate.add_permits(100);
        first.await.unwrap().unwrap();
        assert_eq!(long.await.unwrap().unwrap().expose_secret(), "at-2");
    });
}
#[test]
fn no_interval_makes_the_bucket_panic() {
    let mut bucket = crate::protocol::TokenBucket::new(1, Duration::MAX);
    let now = Duration::from_secs(5);
    bucket.take(now).unwrap();
    bucket.take(now).unwrap_err();
}
#[test]
fn a_flight_whose_runtime_went_away_wakes_the_driver() {
    let gate = Arc::new(Semaphore::new(1));
    let script = Script::with_gate(Spends::Nothing, Some(gate.clone()));
    script.set_lifetime(Some(Duration::from_secs(100)));
    let clock = ManualClock::new();
    let tokens = TokenManager::builder(script.clone()).clock(clock.clone()).build().unwrap();
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build()
        .unwrap();
    run(async {
        tokens.ready().await.unwrap();
        other.spawn({
            let t = tokens.clone();
            async move { t.refresh_now().await }
        });
        while script.calls() < 2 {
            std::thread::yield_now();
        }
        settle().await;
        clock.advance(Duration::from_secs(90));
        settle().await;
        // What ran there is gone when its threads have ended, for which no runtime waits on one of its own.
        std::thread::spawn(move || drop(other)).join().unwrap();
        gate.add_permits(10);
        clock.advance(Duration::from_secs(4));
        long().await;
        assert_eq!(script.calls(), 3);
    });
}

#[test]
fn a_command_line_program_gets_over_an_answer_that_an_earlier_run_has_lost() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let store = TestStore { clock: Some(clock.clone()), ..TestStore::default() };
        let program = || builder(&script, &clock).store(store.clone()).one_shot().build().unwrap();
        script.fail([RefreshError::ambiguous("reset")]);
        program().token().await.unwrap_err();
        clock.advance(Duration::from_secs(86_400));
        let next = program();
        let call = tokio::spawn(async move { next.token().await });
        settle().await;
        assert_eq!(script.presented(), ["rt-0"]);
        clock.advance(Duration::from_secs(11));
        call.await.unwrap().unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-0"]);
    });
}

/// As a record whose format or stamp differs from what a script compares, though it reads the same.
#[test]
fn a_store_that_takes_no_write_over_what_it_shows_ends_in_an_error_and_in_no_loop() {
    run(async {
        let (clock, store) = (ManualClock::new(), Faulty::default());
        let script = Script::new(Spends::RefreshToken);
        let tokens = TokenManager::builder(script.clone()).store(store.clone()).clock(clock);
        let tokens = tokens.seed(TokenSet::from_refresh_token("rt-0")).build().unwrap();
        tokens.ready().await.unwrap();
        store.stubborn.store(true, Ordering::SeqCst);
        let error = tokens.refresh_now().await.unwrap_err().to_string();
        assert!(error.contains("does not write over the record"), "{error}");
        let error = tokens.login(TokenSet::new("at")).await.unwrap_err().to_string();
        assert!(error.contains("does not write over the record"), "{error}");
        assert_eq!(script.presented().len(), 1);
    });
}
