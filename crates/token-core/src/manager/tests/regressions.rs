//! Bugs that were found, each named after what its mend protects.

use super::{Script, TestStore, builder, run, settle};
use crate::clock::{Clock, ManualClock};
use crate::manager::TokenManager;
use crate::refresher::{RefreshError, Refresher, Spends};
use crate::store::{
    Capabilities, Cursor, Durability, Expect, MemoryStore, Page, Provenance, Stamp, StoreError,
    StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};
use crate::token::TokenSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

const LONG: Duration = Duration::from_secs(120);

/// A store whose faults are told apart by operation.
#[derive(Clone, Default)]
struct Faulty {
    memory: MemoryStore,
    loads: Arc<AtomicUsize>,
    swaps: Arc<AtomicUsize>,
    /// Swaps are refused.
    read_only: Arc<AtomicBool>,
    /// So many swaps are made and their answer is lost.
    lost_answers: Arc<AtomicUsize>,
    /// Swaps to let through before `lost_answers` counts.
    skip: Arc<AtomicUsize>,
    /// Loads wait here.
    gate: Arc<std::sync::Mutex<Option<Arc<Semaphore>>>>,
    blind: bool,
}
impl TokenStore for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }
    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        self.memory.load(key).await
    }
    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        d: Durability,
    ) -> Result<Swap, StoreError> {
        self.swaps.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if self.read_only.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Refused, "read only"));
        }
        let done = self.memory.compare_and_swap(key, expect, new, d).await;
        let dec = |n: usize| n.checked_sub(1);
        if self.skip.fetch_update(Ordering::SeqCst, Ordering::SeqCst, dec).is_err()
            && self.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, dec).is_ok()
        {
            return Err(StoreError::new(StoreErrorKind::Indeterminate, "no answer"));
        }
        done
    }
    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        if self.blind {
            tokio::task::yield_now().await;
            return Ok(());
        }
        self.memory.changed(key, since, timeout).await
    }
    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.memory.list(after).await
    }
}
async fn long() {
    for _ in 0..100 {
        settle().await;
    }
}

#[test]
fn processes_that_share_a_store_do_not_end_each_others_backoff() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), MemoryStore::new());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let a = builder(&script, &clock).store(store.clone()).build().unwrap();
        let b = builder(&script, &clock).store(store.clone()).build().unwrap();
        a.ready().await.unwrap();
        b.ready().await.unwrap();
        assert_eq!(script.calls(), 1);
        script
            .fail((0..100_000).map(|_| {
                RefreshError::rejected("busy").with_retry_after(Duration::from_secs(600))
            }));
        clock.advance(Duration::from_secs(90));
        long().await;
        assert!(script.calls() <= 1 + 2, "{} calls while the clock stood still", script.calls());
    });
}

#[test]
fn a_store_that_takes_no_writes_is_left_alone_during_the_backoff() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let a = builder(&script, &clock).store(store.clone()).build().unwrap();
        a.ready().await.unwrap();
        let before = store.swaps.load(Ordering::SeqCst);
        store.read_only.store(true, Ordering::SeqCst);
        clock.advance(Duration::from_secs(90));
        long().await;
        let swaps = store.swaps.load(Ordering::SeqCst) - before;
        assert!(swaps <= 1, "{swaps} writes while the clock stood still");
    });
}

#[test]
fn a_logout_during_a_refresh_that_fails_stays_in_the_store() {
    for (what, failure) in [
        ("rejected", RefreshError::rejected("busy")),
        ("ambiguous", RefreshError::ambiguous("reset")),
    ] {
        run(async {
            let gate = Arc::new(Semaphore::new(1));
            let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
            let (clock, store) = (ManualClock::new(), MemoryStore::new());
            let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
            tokens.ready().await.unwrap();
            let refresh = tokio::spawn({
                let t = tokens.clone();
                async move { t.refresh_now().await }
            });
            settle().await;
            script.fail([failure]);
            tokens.logout().await.unwrap();
            gate.add_permits(10);
            let _ = refresh.await.unwrap();
            drop(tokens);
            settle().await;
            let restarted = builder(&script, &clock).store(store).build().unwrap();
            let token = restarted.token().await;
            assert!(
                token.as_ref().is_err_and(|e| e.needs_login()),
                "{what}: {:?}",
                token.map(|t| t.expose_secret().to_owned())
            );
        });
    }
}

#[test]
fn a_login_whose_answer_was_lost_is_not_made_again_over_a_refresh_of_its_token() {
    run(async {
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let (clock, store) = (ManualClock::new(), Faulty::default());
        let a = TokenManager::builder(script.clone())
            .clock(clock.clone())
            .store(store.clone())
            .one_shot()
            .build()
            .unwrap();
        let b = TokenManager::builder(script.clone())
            .clock(clock.clone())
            .store(store.memory.clone())
            .one_shot()
            .build()
            .unwrap();
        let loads = Arc::new(Semaphore::new(1));
        *store.gate.lock().unwrap() = Some(loads.clone());
        store.lost_answers.store(1, Ordering::SeqCst);
        let login = tokio::spawn({
            let a = a.clone();
            async move { a.login(TokenSet::from_refresh_token("rt-login")).await }
        });
        settle().await;
        let refresh = tokio::spawn({
            let b = b.clone();
            async move { b.token().await }
        });
        settle().await;
        assert_eq!(script.presented(), ["rt-login"]);
        loads.add_permits(100);
        let _ = login.await.unwrap();
        gate.add_permits(100);
        let _ = refresh.await.unwrap();
        let _ = a.token().await;
        assert_eq!(script.presented(), ["rt-login"], "presented twice");
    });
}

#[test]
fn what_spends_nothing_is_refreshed_again_and_again_while_the_store_is_down() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::Nothing), ManualClock::new(), TestStore::default());
        script.set_lifetime(Some(Duration::from_secs(100)));
        store.failing.store(usize::MAX, Ordering::SeqCst);
        let tokens = TokenManager::builder(script.clone())
            .clock(clock.clone())
            .store(store)
            .build()
            .unwrap();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-1");
        clock.advance(Duration::from_secs(200));
        settle().await;
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-2");
    });
}

#[test]
fn an_expired_token_is_not_answered_while_its_answer_is_not_stored() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let gate = Arc::new(Semaphore::new(0));
        let script = {
            let s = Script::with_gate(Spends::RefreshToken, Some(gate.clone()));
            s.set_lifetime(Some(Duration::from_secs(100)));
            drop(script);
            s
        };
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        let w = tokio::spawn({
            let t = tokens.clone();
            async move { t.token().await }
        });
        settle().await;
        store.read_only.store(true, Ordering::SeqCst);
        gate.add_permits(1);
        w.await.unwrap().unwrap();
        clock.advance(Duration::from_secs(200));
        settle().await;
        assert!(tokens.cached().is_none());
        let t = tokens.token().await;
        assert!(t.is_err(), "{t:?} has ended");
    });
}

#[test]
fn a_one_shot_call_returns_only_when_its_tokens_are_stored() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        // seed, intent, then the commit's answer
        store.skip.store(2, Ordering::SeqCst);
        let gate = Arc::new(Semaphore::new(0));
        let script = {
            drop(script);
            Script::with_gate(Spends::RefreshToken, Some(gate.clone()))
        };
        let tokens = builder(&script, &clock).store(store.clone()).one_shot().build().unwrap();
        let w = tokio::spawn({
            let t = tokens.clone();
            async move {
                let r = t.token().await;
                (r, t.status().has_unsaved_tokens())
            }
        });
        settle().await;
        store.read_only.store(true, Ordering::SeqCst);
        gate.add_permits(1);
        settle().await;
        store.read_only.store(false, Ordering::SeqCst);
        clock.advance(LONG);
        let (r, unsaved) = w.await.unwrap();
        r.unwrap();
        assert!(!unsaved, "the only copy of the live refresh token is in memory");
    });
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
fn a_store_whose_watch_ends_at_once_is_not_asked_in_a_loop() {
    run(async {
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(gate));
        let (clock, store) = (ManualClock::new(), Faulty { blind: true, ..Faulty::default() });
        let a = builder(&script, &clock).store(store.memory.clone()).one_shot().build().unwrap();
        tokio::spawn(async move { a.token().await });
        settle().await;
        let b = builder(&script, &clock).store(store.clone()).one_shot().build().unwrap();
        tokio::spawn(async move { b.token().await });
        long().await;
        let loads = store.loads.load(Ordering::SeqCst);
        assert!(loads <= 3, "{loads} loads while the clock stood still");
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
fn a_lost_answer_of_the_store_does_not_end_a_backoff() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let a = builder(&script, &clock).store(store.clone()).build().unwrap();
        a.ready().await.unwrap();
        script
            .fail((0..10).map(|_| {
                RefreshError::rejected("busy").with_retry_after(Duration::from_secs(600))
            }));
        store.skip.store(1, Ordering::SeqCst);
        store.lost_answers.store(1, Ordering::SeqCst);
        clock.advance(Duration::from_secs(90));
        long().await;
        assert_eq!(script.calls(), 2);
    });
}

#[test]
fn a_runtime_with_a_stale_token_can_be_shut_down() {
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
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
fn a_refused_refresh_token_is_not_presented_again_when_the_store_was_away_for_a_moment() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), TestStore::default());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let gate = Arc::new(Semaphore::new(1));
        let script = {
            drop(script);
            let s = Script::with_gate(Spends::RefreshToken, Some(gate.clone()));
            s.set_lifetime(Some(Duration::from_secs(100)));
            s
        };
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.ready().await.unwrap();
        clock.advance(Duration::from_secs(90));
        settle().await;
        script.fail((0..10).map(|_| RefreshError::invalid_grant()));
        store.failing.store(1, Ordering::SeqCst);
        gate.add_permits(100);
        long().await;
        assert_eq!(script.presented(), ["rt-0", "rt-1"]);
    });
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
        other.shutdown_background();
        std::thread::sleep(Duration::from_millis(100));
        gate.add_permits(10);
        clock.advance(Duration::from_secs(4));
        long().await;
        assert_eq!(script.calls(), 3);
    });
}
#[test]
fn the_last_login_is_not_served_while_the_store_does_not_take_the_new_seed() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        builder(&script, &clock).store(store.clone()).build().unwrap().ready().await.unwrap();
        store.read_only.store(true, Ordering::SeqCst);
        let b = builder(&script, &clock)
            .seed(TokenSet::from_refresh_token("another account"))
            .store(store)
            .one_shot()
            .build()
            .unwrap();
        let t = b.token().await.map(|t| t.expose_secret().to_owned());
        assert!(t.is_err(), "{t:?}");
    });
}

#[test]
fn a_store_that_takes_no_writes_is_left_alone_by_what_spends_nothing() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::Nothing), ManualClock::new(), Faulty::default());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let tokens = TokenManager::builder(script.clone())
            .clock(clock.clone())
            .store(store.clone())
            .build()
            .unwrap();
        tokens.ready().await.unwrap();
        let before = store.swaps.load(Ordering::SeqCst);
        store.read_only.store(true, Ordering::SeqCst);
        clock.advance(Duration::from_secs(90));
        long().await;
        let swaps = store.swaps.load(Ordering::SeqCst) - before;
        assert!(swaps <= 3, "{swaps} writes while the clock stood still");
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

#[test]
fn what_spends_nothing_is_refreshed_again_and_again_while_the_store_takes_no_writes() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::Nothing), ManualClock::new(), Faulty::default());
        let tokens = TokenManager::builder(script.clone())
            .clock(clock.clone())
            .store(store.clone())
            .build()
            .unwrap();
        tokens.ready().await.unwrap();
        store.read_only.store(true, Ordering::SeqCst);
        for text in ["at-2", "at-3", "at-4"] {
            clock.advance(Duration::from_secs(4000));
            assert_eq!(tokens.token().await.unwrap().expose_secret(), text);
        }
    });
}

/// A store whose reads lag behind its writes.
#[derive(Clone, Default)]
struct Lagging {
    memory: MemoryStore,
    shown: Arc<std::sync::Mutex<Option<Versioned>>>,
    loads: Arc<AtomicUsize>,
}

impl TokenStore for Lagging {
    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let shown = self.shown.lock().unwrap().clone();
        match shown {
            Some(shown) => Ok(Some((shown, Provenance::default()))),
            None => self.memory.load(key).await,
        }
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        d: Durability,
    ) -> Result<Swap, StoreError> {
        tokio::task::yield_now().await;
        self.memory.compare_and_swap(key, expect, new, d).await
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let shown = self.shown.lock().unwrap().clone();
        if shown.is_some_and(|shown| Some(shown.stamp()) != since) {
            tokio::task::yield_now().await;
            return Ok(());
        }
        self.memory.changed(key, since, timeout).await
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.memory.list(after).await
    }
}

#[test]
fn a_store_whose_reads_lag_is_not_repaired_in_a_loop() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Lagging::default());
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.ready().await.unwrap();
        let key = &tokens.inner.store_key;
        let old = store.memory.load(key).await.unwrap().map(|(record, _)| record);
        tokens.refresh_now().await.unwrap();
        long().await;
        *store.shown.lock().unwrap() = old;
        clock.advance(Duration::from_secs(61));
        settle().await;
        let before = store.loads.load(Ordering::SeqCst);
        for _ in 0..3 {
            clock.advance(Duration::from_secs(1));
            long().await;
        }
        let loads = store.loads.load(Ordering::SeqCst) - before;
        assert!(loads <= 12, "{loads} reads in three seconds");
        *store.shown.lock().unwrap() = None;
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-2");
    });
}
