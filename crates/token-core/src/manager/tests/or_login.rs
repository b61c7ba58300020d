//! A grant that falls back to a login when its refresh token has died.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::faulty::Faulty;
use super::{Script, TestStore, run, settle};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::manager::{TokenManager, TokenManagerBuilder};
use crate::protocol::UnknownOutcome;
use crate::refresher::{RefreshError, Refresher, Spends};
use crate::token::TokenSet;

struct Grant {
    refresh: Script,
    login: Script,
    clock: ManualClock,
    store: TestStore,
}

impl Grant {
    fn new() -> Self {
        let clock = ManualClock::new();
        let store = TestStore { clock: Some(clock.clone()), ..TestStore::default() };
        let (refresh, login) = (Script::new(Spends::RefreshToken), Script::new(Spends::Nothing));
        Self { refresh, login, clock, store }
    }

    fn builder(&self) -> TokenManagerBuilder {
        TokenManager::builder(self.refresh.clone().or_login(self.login.clone()))
            .clock(self.clock.clone())
            .store(self.store.clone())
    }

    fn calls(&self) -> (usize, usize) {
        (self.refresh.calls(), self.login.calls())
    }
}

fn seed() -> TokenSet {
    TokenSet::from_refresh_token("rt-0")
}

#[test]
fn without_tokens_it_begins_with_the_login() {
    run(async {
        let grant = Grant::new();
        let tokens = grant.builder().build().unwrap();
        tokens.token().await.unwrap();
        assert_eq!(grant.calls(), (0, 1));
        tokens.refresh_now().await.unwrap();
        assert_eq!(grant.calls(), (1, 1));
        assert_eq!(grant.refresh.presented(), ["rt-1"], "the refresh token that the login gave");
    });
}

#[test]
fn a_refused_refresh_token_is_followed_by_one_login_for_all_who_wait() {
    run(async {
        let grant = Grant::new();
        grant.refresh.fail([RefreshError::invalid_grant()]);
        let tokens = grant.builder().seed(seed()).build().unwrap();
        let mut events = tokens.events();
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let tokens = tokens.clone();
                tokio::spawn(async move { tokens.token().await })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "at-1");
        }
        assert_eq!(grant.calls(), (1, 1));
        tokens.refresh_now().await.unwrap();
        assert_eq!(grant.refresh.presented(), ["rt-0", "rt-1"]);
        drop(tokens);
        while let Some(event) = events.next().await {
            assert!(!matches!(event, Event::NeedsLogin { .. } | Event::RefreshFailed { .. }));
        }
    });
}

#[test]
fn a_login_that_is_refused_is_not_made_in_a_loop() {
    run(async {
        let grant = Grant::new();
        grant.refresh.fail([RefreshError::invalid_grant()]);
        grant.login.fail([RefreshError::invalid_grant()]);
        grant.login.fail((0..10).map(|_| RefreshError::configuration("wrong password")));
        let tokens = grant.builder().seed(seed()).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        for _ in 0..100 {
            grant.clock.advance(Duration::from_secs(60));
            settle().await;
            tokens.token().await.unwrap_err();
        }
        assert_eq!(grant.calls(), (1, 1));
        tokens.refresh_now().await.unwrap_err();
        assert_eq!(grant.calls(), (1, 2), "by hand it is");
    });
}

#[test]
fn a_login_that_fails_for_a_while_is_tried_again() {
    run(async {
        let grant = Grant::new();
        grant.refresh.fail([RefreshError::invalid_grant()]);
        grant.login.fail([RefreshError::ambiguous("reset")]);
        let tokens = grant.builder().seed(seed()).build().unwrap();
        tokens.token().await.unwrap_err();
        grant.clock.advance(Duration::from_secs(60));
        settle().await;
        tokens.token().await.unwrap();
        assert_eq!(grant.calls(), (1, 2));
    });
}

#[test]
fn a_logout_is_not_undone_by_a_login() {
    run(async {
        let grant = Grant::new();
        let tokens = grant.builder().build().unwrap();
        tokens.token().await.unwrap();
        tokens.logout().await.unwrap();
        grant.clock.advance(Duration::from_secs(7200));
        settle().await;
        assert!(tokens.token().await.unwrap_err().needs_login());
        assert_eq!(grant.calls(), (0, 1));
    });
}

#[test]
fn a_refresh_that_nobody_knows_the_outcome_of_ends_in_a_login_where_the_rule_is_one() {
    run(async {
        let grant = Grant::new();
        grant.refresh.fail([RefreshError::ambiguous("reset")]);
        let rule = UnknownOutcome::RequireLogin;
        let tokens = grant.builder().seed(seed()).unknown_outcome(rule).build().unwrap();
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        for _ in 0..60 {
            grant.clock.advance(Duration::from_secs(1));
            settle().await;
        }
        tokens.token().await.unwrap();
        assert_eq!(grant.calls(), (1, 1));
        assert_eq!(grant.refresh.presented(), ["rt-0"], "it is not presented again");
    });
}

#[test]
fn a_grant_that_had_died_before_there_was_a_login_is_revived() {
    run(async {
        let grant = Grant::new();
        grant.refresh.fail([RefreshError::invalid_grant()]);
        let without = TokenManager::builder(grant.refresh.clone())
            .clock(grant.clock.clone())
            .store(grant.store.clone())
            .seed(seed())
            .build()
            .unwrap();
        assert!(without.token().await.unwrap_err().needs_login());
        let tokens = grant.builder().seed(seed()).build().unwrap();
        tokens.token().await.unwrap();
        assert_eq!(grant.calls(), (1, 1));
        assert_eq!(
            without.ready().await.map_err(|error| error.to_string()),
            Ok(()),
            "who had given up"
        );
    });
}

/// The refusal meets a store that fails: for the look whether the token was the newest, or for the note that it is dead.
#[test]
fn a_store_that_fails_between_the_refusal_and_the_login_puts_the_login_off_and_no_more() {
    for refuses_loads in [true, false] {
        run(async {
            let gate = Arc::new(Semaphore::new(0));
            let refresh = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
            refresh.fail([RefreshError::invalid_grant()]);
            let (login, clock) = (Script::new(Spends::Nothing), ManualClock::new());
            let (failing, faulty) = (TestStore::default(), Faulty::default());
            let builder = TokenManager::builder(refresh.clone().or_login(login.clone()))
                .clock(clock.clone())
                .seed(seed());
            let builder = match refuses_loads {
                true => builder.store(failing.clone()),
                false => builder.store(faulty.clone()),
            };
            let tokens = builder.build().unwrap();
            let caller = tokio::spawn({
                let tokens = tokens.clone();
                async move { tokens.token().await }
            });
            settle().await;
            assert_eq!(refresh.calls(), 1);
            failing.failing.store(1, Ordering::SeqCst);
            faulty.read_only.store(true, Ordering::SeqCst);
            gate.add_permits(10);
            let error = caller.await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert!(!tokens.status().needs_login());
            faulty.read_only.store(false, Ordering::SeqCst);
            clock.advance(Duration::from_secs(60));
            assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-1");
            assert_eq!((refresh.presented(), login.calls()), (vec!["rt-0".to_owned()], 1));
        });
    }
}

#[test]
fn of_two_processes_that_start_with_a_dead_grant_one_logs_in() {
    run(async {
        let (clock, dead) = (ManualClock::new(), Script::new(Spends::RefreshToken));
        let store = TestStore { clock: Some(clock.clone()), ..TestStore::default() };
        dead.fail([RefreshError::invalid_grant()]);
        let without =
            TokenManager::builder(dead).clock(clock.clone()).store(store.clone()).seed(seed());
        assert!(without.build().unwrap().token().await.unwrap_err().needs_login());

        let gate = Arc::new(Semaphore::new(0));
        let login = Script::with_gate(Spends::Nothing, Some(Arc::clone(&gate)));
        let start = || {
            TokenManager::builder(Script::new(Spends::RefreshToken).or_login(login.clone()))
                .clock(clock.clone())
                .store(store.clone())
                .build()
                .unwrap()
        };
        let both = [start(), start()];
        let callers = both.clone().map(|tokens| tokio::spawn(async move { tokens.token().await }));
        settle().await;
        assert_eq!(login.calls(), 1);
        gate.add_permits(10);
        settle().await;
        clock.advance(Duration::from_secs(1));
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "at-1");
        }
        assert_eq!(login.calls(), 1);
    });
}

/// The store may hold a refresh token that lives, beside which a login is a waste, and may end it.
#[test]
fn a_store_that_cannot_be_read_at_the_start_is_no_reason_to_log_in() {
    run(async {
        let grant = Grant::new();
        grant.store.failing.store(usize::MAX, Ordering::SeqCst);
        let tokens = grant.builder().seed(seed()).build().unwrap();
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Store);
        assert_eq!(grant.calls(), (0, 0));
    });
}

#[test]
pub(crate) fn who_sees_another_process_find_the_token_dead_leaves_the_login_to_it() {
    for comes_through in [true, false] {
        run(async {
            let clock = ManualClock::new();
            let store = TestStore { clock: Some(clock.clone()), ..TestStore::default() };
            let gate = Arc::new(Semaphore::new(1));
            let refresh = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
            let hangs = Arc::new(Semaphore::new(0));
            let login = Script::with_gate(Spends::Nothing, Some(Arc::clone(&hangs)));
            let start = || {
                TokenManager::builder(refresh.clone().or_login(login.clone()))
                    .clock(clock.clone())
                    .store(store.clone())
                    .seed(seed())
                    .exchange_deadline(Duration::from_secs(60))
                    .build()
                    .unwrap()
            };
            let all = [start(), start(), start()];
            for tokens in &all {
                tokens.ready().await.unwrap();
            }
            refresh.fail([RefreshError::invalid_grant()]);
            clock.advance(Duration::from_secs(3600));
            let callers =
                all.clone().map(|tokens| tokio::spawn(async move { tokens.token().await }));
            settle().await;
            gate.add_permits(10);
            settle().await;
            clock.advance(Duration::from_secs(1));
            settle().await;
            assert_eq!((refresh.calls(), login.calls()), (2, 1));
            if comes_through {
                hangs.add_permits(10);
                settle().await;
                assert_eq!(login.calls(), 1);
            } else {
                clock.advance(Duration::from_secs(62));
                settle().await;
                assert!(login.calls() > 1, "it has waited long enough");
                hangs.add_permits(10);
                clock.advance(Duration::from_secs(60));
                settle().await;
            }
            for caller in callers {
                let served = caller.await.unwrap();
                assert!(served.is_ok() || !comes_through, "{served:?}");
            }
            for tokens in &all {
                tokens.token().await.unwrap();
            }
            assert_eq!(refresh.calls(), 2);
        });
    }
}

#[test]
fn a_login_or_logout_by_hand_while_it_logs_in_wins() {
    for by_hand in [true, false] {
        run(async {
            let gate = Arc::new(Semaphore::new(0));
            let grant = Grant::new();
            let login = Script::with_gate(Spends::Nothing, Some(Arc::clone(&gate)));
            grant.refresh.fail([RefreshError::invalid_grant()]);
            let tokens = TokenManager::builder(grant.refresh.clone().or_login(login.clone()))
                .clock(grant.clock.clone())
                .store(grant.store.clone())
                .seed(seed())
                .build()
                .unwrap();
            let caller = tokio::spawn({
                let tokens = tokens.clone();
                async move { tokens.token().await }
            });
            settle().await;
            assert_eq!(login.calls(), 1);
            if by_hand {
                let new = TokenSet::new("by hand").with_refresh_token("rt-hand");
                tokens.login(new).await.unwrap();
            } else {
                tokens.logout().await.unwrap();
            }
            gate.add_permits(10);
            let served = caller.await.unwrap();
            if by_hand {
                assert_eq!(served.unwrap().expose_secret(), "by hand");
                tokens.refresh_now().await.unwrap();
                assert_eq!(grant.refresh.presented().last().unwrap(), "rt-hand");
            } else {
                assert!(served.unwrap_err().needs_login());
                assert!(tokens.token().await.unwrap_err().needs_login());
            }
            assert_eq!(login.calls(), 1);
        });
    }
}

/// The refused refresh is in the store; the process that was to log in is gone.
#[test]
fn a_process_that_dies_before_its_login_leaves_it_to_the_next() {
    run(async {
        let grant = Grant::new();
        grant.refresh.fail([RefreshError::invalid_grant()]);
        let never = Script::with_gate(Spends::Nothing, Some(Arc::new(Semaphore::new(0))));
        let gone = TokenManager::builder(grant.refresh.clone().or_login(never.clone()))
            .clock(grant.clock.clone())
            .store(grant.store.clone())
            .seed(seed())
            .exchange_deadline(Duration::from_secs(3600))
            .build()
            .unwrap();
        let lost = tokio::spawn(async move { gone.token().await });
        settle().await;
        assert_eq!(never.calls(), 1);
        let tokens = grant.builder().build().unwrap();
        tokens.token().await.unwrap();
        assert_eq!(grant.calls(), (1, 1));
        lost.abort();
    });
}

#[test]
fn a_grant_that_will_log_in_by_itself_needs_no_login_by_hand() {
    run(async {
        let grant = Grant::new();
        grant.refresh.fail([RefreshError::invalid_grant()]);
        grant.login.fail([RefreshError::not_sent("connection refused")]);
        let tokens = grant.builder().seed(seed()).build().unwrap();
        let error = tokens.token().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(!tokens.status().needs_login(), "{:?}", tokens.status());
        tokens.logout().await.unwrap();
        assert!(tokens.status().needs_login());
    });
}

#[test]
fn what_is_no_login_is_no_fallback() {
    let (refresh, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
    let build = TokenManager::builder(refresh.clone().or_login(refresh)).clock(clock).build();
    assert!(build.unwrap_err().to_string().contains("must be a login"));
}
