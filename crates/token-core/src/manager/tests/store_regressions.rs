//! Bugs that showed over stores that fail, lag or fill up, each named after what its mend protects.

use super::faulty::{Faulty, Lagging};
use super::regressions::{LONG, long};
use super::{Script, TestStore, builder, run, settle};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::manager::TokenManager;
use crate::refresher::{RefreshError, Spends};
use crate::store::{MemoryStore, TokenStore};
use crate::token::TokenSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Semaphore;

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

/// The backoff would have grown to a minute by then.
#[test]
fn a_store_that_is_back_is_used_within_a_second_or_two() {
    run(async {
        let (script, clock, store) =
            (Script::new(Spends::RefreshToken), ManualClock::new(), Faulty::default());
        script.set_lifetime(Some(Duration::from_secs(100)));
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        tokens.ready().await.unwrap();
        let pass = async |seconds: u32| {
            for _ in 0..seconds {
                clock.advance(Duration::from_secs(1));
                long().await;
            }
        };
        store.down.store(true, Ordering::SeqCst);
        // It ends the watch, which holds no timer of ours.
        tokens.refresh_now().await.unwrap_err();
        pass(600).await;
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Store);
        assert_eq!(script.calls(), 1, "nothing was sent");
        let loads = store.loads.load(Ordering::SeqCst);
        pass(100).await;
        let loads = store.loads.load(Ordering::SeqCst) - loads;
        assert!(loads < 110, "{loads} looks in 100 s");
        store.down.store(false, Ordering::SeqCst);
        pass(2).await;
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-2");
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

#[test]
fn an_update_ends_though_the_store_takes_no_answer_and_does_not_ask_it_in_a_loop() {
    run(async {
        let (clock, store) = (ManualClock::new(), Faulty::default());
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let tokens = builder(&script, &clock).store(store.clone()).build().unwrap();
        let first = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        settle().await;
        store.read_only.store(true, Ordering::SeqCst);
        gate.add_permits(1);
        first.await.unwrap().unwrap();

        let update = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.update(TokenSet::new("by-hand")).await }
        });
        settle().await;
        let before = store.loads.load(Ordering::SeqCst);
        long().await;
        let loads = store.loads.load(Ordering::SeqCst) - before;
        assert!(loads <= 2, "{loads} reads while the clock stood still");
        assert!(!update.is_finished());
        for _ in 0..20 {
            clock.advance(Duration::from_secs(1));
            settle().await;
        }
        assert!(update.is_finished(), "it waits for ever");
        let error = update.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-1");
    });
}
