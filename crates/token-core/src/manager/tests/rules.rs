//! One refresh, shared results, backoff, pace, seeds, changes by hand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{Script, TestStore, builder, run, settle};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::event::Event;
use crate::manager::{Health, TokenManager};
use crate::refresher::{OAuthError, RefreshError, Spends};
use crate::store::{MemoryStore, TokenStore};
use crate::token::TokenSet;

fn parts() -> (Script, ManualClock, TestStore) {
    (Script::new(Spends::RefreshToken), ManualClock::new(), TestStore::default())
}

/// The results of so many callers at once.
async fn callers(tokens: &TokenManager, count: usize) -> Vec<Result<String, ErrorKind>> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.token().await })
        })
        .collect();
    let mut results = Vec::with_capacity(count);
    for task in tasks {
        let result = task.await.unwrap();
        results.push(
            result.map(|token| token.expose_secret().to_owned()).map_err(|error| error.kind()),
        );
    }
    results
}

#[test]
pub(crate) fn a_thousand_callers_cause_one_refresh() {
    run(async {
        let gate = Arc::new(Semaphore::new(0));
        let script = Script::with_gate(Spends::Nothing, Some(Arc::clone(&gate)));
        let tokens = builder(&script, &ManualClock::new()).build().unwrap();
        let callers = tokio::spawn({
            let tokens = tokens.clone();
            async move { callers(&tokens, 1_000).await }
        });
        // A thousand tasks take their turns.
        for _ in 0..100 {
            settle().await;
        }
        gate.add_permits(1_000);
        let results = callers.await.unwrap();
        assert!(results.iter().all(|result| result.as_deref() == Ok("at-1")), "{results:?}");
        assert_eq!(script.calls(), 1);
    });
}

#[test]
pub(crate) fn a_failure_is_shared_and_nothing_is_tried_before_the_backoff_is_over() {
    run(async {
        let (script, clock, _) = parts();
        script.fail([RefreshError::not_sent("refused"), RefreshError::not_sent("refused")]);
        let tokens = builder(&script, &clock).build().unwrap();
        assert_eq!(callers(&tokens, 1_000).await, vec![Err(ErrorKind::Unavailable); 1_000]);
        assert_eq!(script.calls(), 1);
        let error = tokens.token().await.unwrap_err();
        assert!(
            error.is_transient() && error.retry_after().unwrap() <= Duration::from_secs(1),
            "{error}"
        );
        assert_eq!(callers(&tokens, 1_000).await, vec![Err(ErrorKind::Unavailable); 1_000]);
        assert_eq!(script.calls(), 1);
        clock.advance(Duration::from_secs(1));
        callers(&tokens, 10).await;
        assert_eq!(script.calls(), 2);
        clock.advance(Duration::from_secs(2));
        assert_eq!(callers(&tokens, 10).await, vec![Ok("at-3".to_owned()); 10]);
    });
}

#[test]
fn retry_after_is_obeyed_also_by_a_refresh_by_hand() {
    run(async {
        let (script, clock, _) = parts();
        script.fail([RefreshError::rejected("busy").with_retry_after(Duration::from_secs(600))]);
        let tokens = builder(&script, &clock).build().unwrap();
        assert_eq!(tokens.token().await.unwrap_err().retry_after(), Some(Duration::from_secs(600)));
        clock.advance(Duration::from_secs(599));
        assert_eq!(
            tokens.refresh_now().await.unwrap_err().retry_after(),
            Some(Duration::from_secs(1))
        );
        assert_eq!(script.calls(), 1);
        clock.advance(Duration::from_secs(1));
        tokens.token().await.unwrap();
    });
}

#[test]
fn a_valid_token_is_served_on_while_its_refresh_fails() {
    run(async {
        let (script, clock, _) = parts();
        script.set_lifetime(Some(Duration::from_secs(100)));
        let tokens = builder(&script, &clock).build().unwrap();
        tokens.ready().await.unwrap();
        script.fail((0..1_000).map(|_| RefreshError::not_sent("down")));
        let mut events = tokens.events();
        clock.advance(Duration::from_secs(85));
        settle().await;
        assert!(matches!(events.next().await, Some(Event::RefreshFailed { .. })));
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-1");
        assert_eq!(tokens.status().health(), Health::Stale);
        clock.advance(Duration::from_secs(11));
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
    });
}

#[test]
pub(crate) fn an_expired_token_is_not_sent() {
    run(async {
        let (script, clock, _) = parts();
        script.set_lifetime(Some(Duration::from_secs(100)));
        let tokens = builder(&script, &clock).one_shot().build().unwrap();
        tokens.ready().await.unwrap();
        assert!(tokens.cached().is_some());
        clock.advance(Duration::from_secs(95));
        assert!(tokens.cached().is_none());
    });
}

#[test]
fn a_token_at_hand_is_given_out_while_the_lock_is_held() {
    run(async {
        let (script, clock, _) = parts();
        let tokens = builder(&script, &clock).build().unwrap();
        tokens.ready().await.unwrap();
        // Would wait for ever if it took the lock.
        let _held = tokens.inner.state();
        assert!(tokens.cached().is_some());
    });
}

#[test]
fn invalid_grant_needs_a_login_once_and_asks_no_more_until_there_is_one() {
    run(async {
        let (script, clock, _) = parts();
        script.fail([RefreshError::invalid_grant()]);
        let tokens = builder(&script, &clock).build().unwrap();
        let mut events = tokens.events();
        for _ in 0..3 {
            assert!(tokens.token().await.unwrap_err().needs_login());
            assert!(tokens.refresh_now().await.unwrap_err().needs_login());
            clock.advance(Duration::from_secs(100_000));
        }
        assert_eq!(script.calls(), 1);
        assert!(tokens.status().needs_login());
        tokens.login(TokenSet::from_refresh_token("rt-new")).await.unwrap();
        tokens.token().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-new"]);
        let mut needs_login = 0;
        while let Some(event) = events.next().await {
            match event {
                Event::NeedsLogin { .. } => needs_login += 1,
                Event::Refreshed { .. } => break,
                _ => {}
            }
        }
        assert_eq!(needs_login, 1);
    });
}

#[test]
fn a_wrong_client_is_not_tried_again_before_somebody_asks_for_it() {
    run(async {
        let (script, clock, _) = parts();
        let refusal =
            RefreshError::configuration("refused").with_oauth_error(OAuthError::InvalidClient);
        script.fail([refusal.clone()]);
        let tokens = builder(&script, &clock).build().unwrap();
        for _ in 0..3 {
            assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Configuration);
            clock.advance(Duration::from_secs(100_000));
        }
        assert_eq!(script.calls(), 1);
        tokens.refresh_now().await.unwrap();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-2");
    });
}

#[test]
pub(crate) fn a_late_refusal_of_a_token_that_was_replaced_causes_nothing() {
    run(async {
        let (script, clock, _) = parts();
        let tokens = builder(&script, &clock).build().unwrap();
        let old = tokens.token().await.unwrap();
        let new = tokens.renew(&old).await.unwrap();
        for _ in 0..10 {
            assert_eq!(tokens.renew(&old).await.unwrap().version(), new.version());
        }
        assert_eq!(script.calls(), 2);
    });
}

#[test]
pub(crate) fn a_server_that_refuses_every_new_token_is_not_asked_in_a_loop() {
    run(async {
        let (script, clock, _) = parts();
        let tokens = builder(&script, &clock).build().unwrap();
        let mut token = tokens.token().await.unwrap();
        for _ in 0..3 {
            token = tokens.renew(&token).await.unwrap();
        }
        for _ in 0..100 {
            assert_eq!(tokens.renew(&token).await.unwrap_err().kind(), ErrorKind::Throttled);
        }
        assert_eq!(script.calls(), 4);
        clock.advance(Duration::from_secs(10));
        tokens.renew(&token).await.unwrap();
    });
}

#[test]
fn the_same_seed_after_a_restart_does_not_undo_the_rotation_and_a_new_one_does() {
    run(async {
        let (script, clock, store) = parts();
        let start = |seed: &str| {
            let seed = TokenSet::from_refresh_token(seed);
            builder(&script, &clock).store(store.clone()).seed(seed).build().unwrap()
        };
        start("rt-0").ready().await.unwrap();
        let again = start("rt-0");
        again.refresh_now().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-1"]);
        start("rt-other-login").refresh_now().await.unwrap();
        assert_eq!(script.presented().last().unwrap(), "rt-other-login");
        // A replica that still has the old seed does not bring it back.
        start("rt-0").refresh_now().await.unwrap();
        assert_eq!(script.presented().last().unwrap(), "rt-3");
    });
}

#[test]
fn a_login_elsewhere_is_in_force_here_also_where_this_process_had_given_up() {
    run(async {
        let (script, clock, store) = parts();
        script.fail([RefreshError::invalid_grant()]);
        let here = builder(&script, &clock).store(store.clone()).build().unwrap();
        assert!(here.token().await.unwrap_err().needs_login());
        let there = builder(&script, &clock).store(store).build().unwrap();
        there.login(TokenSet::new("from a login").with_refresh_token("rt-login")).await.unwrap();
        settle().await;
        assert_eq!(here.token().await.unwrap().expose_secret(), "from a login");
        there.logout().await.unwrap();
        settle().await;
        assert!(here.cached().is_none());
        assert!(here.token().await.unwrap_err().needs_login());
    });
}

#[test]
fn an_update_without_a_refresh_token_keeps_it_also_while_it_is_being_presented() {
    run(async {
        let gate = Arc::new(Semaphore::new(1));
        let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
        let (clock, store) = (ManualClock::new(), TestStore::default());
        let tokens = builder(&script, &clock).store(store).build().unwrap();
        tokens.ready().await.unwrap();
        let refresh = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.refresh_now().await }
        });
        settle().await;
        tokens.update(TokenSet::new("by hand")).await.unwrap();
        assert_eq!(tokens.cached().unwrap().expose_secret(), "by hand");
        gate.add_permits(10);
        // The refresh token that the update kept was being replaced: the answer must not be thrown away.
        refresh.await.unwrap().unwrap();
        tokens.refresh_now().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-1", "rt-2"]);
    });
}

#[test]
fn a_token_for_longer_than_any_lasts_does_not_refresh_on_every_call() {
    run(async {
        let (script, clock, _) = parts();
        script.set_lifetime(Some(Duration::from_secs(100)));
        let tokens = builder(&script, &clock).build().unwrap();
        for _ in 0..10 {
            tokens.token_for(Duration::from_secs(3600)).await.unwrap();
        }
        assert_eq!(script.calls(), 1);
        clock.advance(Duration::from_secs(50));
        tokens.token_for(Duration::from_secs(60)).await.unwrap();
        assert_eq!(script.calls(), 2);
    });
}

#[test]
fn a_token_expired_by_hand_is_replaced_by_the_next_request() {
    run(async {
        let (script, clock, _) = parts();
        let tokens = builder(&script, &clock).build().unwrap();
        tokens.ready().await.unwrap();
        tokens.expire_locally();
        assert!(tokens.cached().is_none());
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-2");
    });
}

#[test]
fn answered_tokens_that_no_request_can_carry_are_an_error_and_no_loop() {
    run(async {
        struct Endpoint(TokenSet);
        impl crate::refresher::Refresher for Endpoint {
            async fn refresh(&self, _: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
                Ok(self.0.clone())
            }

            fn spends(&self, _: Option<&TokenSet>) -> Spends {
                Spends::RefreshToken
            }
        }
        for (answer, told) in [
            (TokenSet::new("line\nbreak"), "a line break in it, which no header can carry"),
            (TokenSet::new("bro\u{fffd}ken"), "a byte in it that is no UTF-8"),
            (TokenSet::new("x").with_token_type("mac"), "`mac`"),
        ] {
            let store = MemoryStore::new();
            let tokens = TokenManager::builder(Endpoint(answer.with_refresh_token("rotated")))
                .store(store.clone())
                .seed(TokenSet::from_refresh_token("rt-0"))
                .build()
                .unwrap();
            let error = tokens.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.to_string().contains(told), "{error}");
            assert!(tokens.token().await.is_err());
            assert_eq!(tokens.status().version().map(|version| version.generation()), Some(1));
            // It is the only copy of the live refresh token.
            let key = tokens.inner.store_key.clone();
            let (stored, _) = store.load(&key).await.unwrap().unwrap();
            let record = crate::record::Record::decode(stored.bytes(), &key).unwrap();
            assert_eq!(record.tokens.refresh_token().unwrap().expose_secret(), "rotated");
        }
    });
}

#[test]
fn a_brought_token_that_no_request_can_carry_is_refused_and_changes_nothing() {
    run(async {
        let (script, clock, _) = parts();
        for (bad, told) in [
            ("access\n", "ends with a line break"),
            ("access\r\n", "ends with a line break"),
            ("line\nbreak", "has a line break in it"),
            ("nul\0", "has a control character in it"),
            ("", "is empty"),
        ] {
            let bad = TokenSet::new(bad).with_refresh_token("rt-x");
            let error = builder(&script, &clock).seed(bad.clone()).build().unwrap_err();
            assert!(error.to_string().contains(told), "{error}");
            let tokens = builder(&script, &clock).build().unwrap();
            tokens.login(TokenSet::new("good").with_refresh_token("rt-1")).await.unwrap();
            let before = tokens.status().version();
            for refused in [tokens.login(bad.clone()).await, tokens.update(bad).await] {
                let error = refused.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Configuration);
                let text = error.to_string();
                assert!(text.contains(told) && text.contains("nothing was changed"), "{text}");
            }
            assert_eq!(tokens.status().version(), before);
            assert_eq!(tokens.token().await.unwrap().expose_secret(), "good");
        }
        assert_eq!(script.calls(), 0);
    });
}
