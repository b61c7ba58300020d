//! A grant that falls back to a login when its refresh token has died.

use std::time::Duration;

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

#[test]
fn what_is_no_login_is_no_fallback() {
    let (refresh, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
    let build = TokenManager::builder(refresh.clone().or_login(refresh)).clock(clock).build();
    assert!(build.unwrap_err().to_string().contains("must be a login"));
}
