//! A token endpoint whose credential is another manager's token.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use tokio::sync::Semaphore;

use super::{Script, run, settle};
use crate::clock::ManualClock;
use crate::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint, WithBearer};
use crate::error::{Error, ErrorKind};
use crate::key::TokenKey;
use crate::manager::TokenManager;
use crate::no_refresh::NoRefresh;
use crate::protocol::UnknownOutcome;
use crate::refresher::{Outcome, RefreshError, Refresher, Spends};
use crate::source::TokenSource;
use crate::token::{Token, TokenSet};

pub(super) const URL: &str = "https://auth.example.com/token";

/// An HTTP client that answers what it was told to, and else new tokens; it keeps the bearer tokens and the bodies it was asked with.
#[derive(Clone, Default)]
pub(super) struct Http(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    answers: VecDeque<Result<(u16, &'static str), RefreshError>>,
    asked: Vec<(String, String)>,
}

impl Http {
    pub(super) fn answering(answers: impl IntoIterator<Item = (u16, &'static str)>) -> Self {
        let http = Self::default();
        http.0.lock().unwrap().answers.extend(answers.into_iter().map(Ok));
        http
    }

    fn then(&self, answer: Result<(u16, &'static str), RefreshError>) {
        self.0.lock().unwrap().answers.push_back(answer);
    }

    pub(super) fn bearers(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.iter().map(|(bearer, _)| bearer.clone()).collect()
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.iter().map(|(_, body)| body.clone()).collect()
    }
}

impl HttpEndpoint for Http {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let mut lines = self.0.lock().unwrap();
        let text = |value: &http::HeaderValue| {
            assert!(value.is_sensitive());
            value.to_str().unwrap().to_owned()
        };
        let bearer = request.headers().get(AUTHORIZATION).map(text).unwrap_or_default();
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        lines.asked.push((bearer, body));
        let good = r#"{"access_token":"upper","refresh_token":"upper-rt","expires_in":900}"#;
        let (status, body) = lines.answers.pop_front().unwrap_or(Ok((200, good)))?;
        Ok(Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap())
    }
}

fn lower(script: &Script, clock: &ManualClock) -> TokenManager {
    let key = TokenKey::new("lower").unwrap();
    super::builder(script, clock).key(key).build().unwrap()
}

fn upper<S: TokenSource>(
    http: &Http,
    source: S,
    clock: &ManualClock,
) -> crate::manager::TokenManagerBuilder {
    let over = WithBearer::new(http.clone(), source);
    let endpoint = TokenEndpoint::refresh_token(over, URL, ClientAuth::none("bot"));
    TokenManager::builder(endpoint).clock(clock.clone()).seed(TokenSet::from_refresh_token("rt"))
}

fn token_error(error: &Error) -> &Error {
    let refresh = error.refresh_error().unwrap();
    refresh.source().unwrap().downcast_ref().unwrap()
}

#[test]
fn a_401_renews_the_lower_tier_once_and_is_presented_again_once() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let http = Http::answering([(401, r#"{"detail":"expired"}"#)]);
        let upper = upper(&http, lower(&script, &clock), &clock).build().unwrap();
        assert_eq!(upper.token().await.unwrap().expose_secret(), "upper");
        assert_eq!(http.bearers(), ["Bearer at-1", "Bearer at-2"]);
        assert_eq!(http.bodies()[0], http.bodies()[1]);
        assert_eq!(script.calls(), 2);
        upper.refresh_now().await.unwrap();
        assert_eq!(http.bearers()[2..], ["Bearer at-2"]);
        assert!(http.bodies()[2].contains("refresh_token=upper-rt"));
    });
}

#[test]
fn a_newer_token_that_is_refused_too_is_for_the_endpoint_to_judge() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let http = Http::answering([(401, ""), (401, r#"{"error":"invalid_client"}"#)]);
        let upper = upper(&http, lower(&script, &clock), &clock).build().unwrap();
        assert_eq!(upper.token().await.unwrap_err().kind(), ErrorKind::Configuration);
        assert_eq!(http.bearers(), ["Bearer at-1", "Bearer at-2"]);
    });
}

#[test]
fn only_a_401_that_is_not_about_the_grant_is_presented_again() {
    for (status, body, kind) in [
        (401, r#"{"error":"invalid_grant"}"#, ErrorKind::NeedsLogin),
        (400, r#"{"error":"invalid_grant"}"#, ErrorKind::NeedsLogin),
        (403, "", ErrorKind::Unavailable),
        (500, "", ErrorKind::OutcomeUnknown),
        (502, "", ErrorKind::OutcomeUnknown),
        (200, "<html>", ErrorKind::OutcomeUnknown),
    ] {
        run(async {
            let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
            let http = Http::answering([(status, body)]);
            let upper = upper(&http, lower(&script, &clock), &clock).build().unwrap();
            assert_eq!(upper.token().await.unwrap_err().kind(), kind, "{status} {body}");
            assert_eq!((http.bearers().len(), script.calls()), (1, 1), "{status} {body}");
        });
    }
}

#[test]
fn without_a_token_of_the_lower_tier_nothing_is_sent_and_a_login_there_is_enough() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        script.fail([RefreshError::invalid_grant()]);
        let (http, lower) = (Http::default(), lower(&script, &clock));
        // Nothing is lost by what was never sent, even if unknown outcomes would need a login.
        let upper = upper(&http, lower.clone(), &clock)
            .unknown_outcome(UnknownOutcome::RequireLogin)
            .build()
            .unwrap();
        let error = upper.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.refresh_error().unwrap().outcome(), Outcome::NotSent);
        let cause = token_error(&error);
        assert!(cause.needs_login() && error.to_string().contains(&cause.to_string()), "{error}");
        assert!(http.bearers().is_empty());
        lower.login(TokenSet::new("by hand")).await.unwrap();
        clock.advance(Duration::from_secs(60));
        settle().await;
        assert_eq!(upper.token().await.unwrap().expose_secret(), "upper");
        assert_eq!(http.bearers(), ["Bearer by hand"]);
    });
}

#[test]
fn a_token_that_somebody_supplied_and_that_is_refused_is_told_until_there_is_another() {
    run(async {
        let clock = ManualClock::new();
        let lower = TokenManager::builder(NoRefresh)
            .clock(clock.clone())
            .seed(TokenSet::new("revoked"))
            .build()
            .unwrap();
        let http = Http::answering([(401, "")]);
        let upper = upper(&http, lower.clone(), &clock).build().unwrap();
        let error = upper.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert_eq!(error.refresh_error().unwrap().outcome(), Outcome::Rejected);
        assert!(token_error(&error).needs_login());
        assert!(error.to_string().contains("bring new tokens by `login` or `update`"), "{error}");
        assert_eq!(http.bearers(), ["Bearer revoked"]);
        lower.update(TokenSet::new("new")).await.unwrap();
        clock.advance(Duration::from_secs(60));
        assert_eq!(upper.token().await.unwrap().expose_secret(), "upper");
        assert_eq!(http.bearers()[1], "Bearer new");
    });
}

#[test]
fn two_credentials_in_one_header_are_a_configuration_error() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let http = Http::default();
        let over = WithBearer::new(http.clone(), lower(&script, &clock));
        let endpoint = TokenEndpoint::client_credentials(over, URL, ClientAuth::basic("id", "s"));
        let upper = TokenManager::builder(endpoint).clock(clock.clone()).build().unwrap();
        let error = upper.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("`ClientAuth::form`"), "{error}");
        assert!(http.bearers().is_empty());
    });
}

/// The time of the upper attempt ends while the lower tier refreshes: before the first presentation, or before the second.
#[test]
fn an_attempt_that_only_waited_for_the_lower_tier_was_not_sent() {
    for after_401 in [false, true] {
        run(async {
            let gate = Arc::new(Semaphore::new(usize::from(after_401)));
            let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
            let clock = ManualClock::new();
            let lower = super::builder(&script, &clock)
                .exchange_deadline(Duration::from_secs(60))
                .build()
                .unwrap();
            let http = Http::default();
            if after_401 {
                http.then(Ok((401, "")));
            }
            let upper = upper(&http, lower, &clock)
                .unknown_outcome(UnknownOutcome::RequireLogin)
                .build()
                .unwrap();
            let caller = tokio::spawn({
                let upper = upper.clone();
                async move { upper.token().await }
            });
            settle().await;
            clock.advance(Duration::from_secs(10));
            let error = caller.await.unwrap().unwrap_err();
            assert_eq!(error.refresh_error().unwrap().outcome(), Outcome::NotSent, "{error}");
            assert!(error.to_string().contains("of the lower tier") || !after_401, "{error}");
            assert_eq!(http.bearers().len(), usize::from(after_401));
            // The lower tier's refresh was not cut short.
            gate.add_permits(1);
            clock.advance(Duration::from_secs(2));
            settle().await;
            assert_eq!(upper.token().await.unwrap().expose_secret(), "upper");
            assert_eq!(script.calls(), 1 + usize::from(after_401));
        });
    }
}

/// A request under way when the time ends is ambiguous, whatever was waited for before it.
#[test]
fn an_attempt_that_was_sent_is_ambiguous_when_its_time_ends() {
    struct Never(Http);
    impl HttpEndpoint for Never {
        async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
            let _ = self.0.send(request).await;
            std::future::pending().await
        }
    }
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let http = Http::default();
        let over = WithBearer::new(Never(http.clone()), lower(&script, &clock));
        let endpoint = TokenEndpoint::refresh_token(over, URL, ClientAuth::none("bot"));
        let upper = TokenManager::builder(endpoint)
            .clock(clock.clone())
            .seed(TokenSet::from_refresh_token("rt"))
            .build()
            .unwrap();
        let caller = tokio::spawn({
            let upper = upper.clone();
            async move { upper.token().await }
        });
        settle().await;
        clock.advance(Duration::from_secs(10));
        assert_eq!(caller.await.unwrap().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(http.bearers(), ["Bearer at-1"]);
    });
}

/// Dropped wherever it waits, it leaves both managers as they were.
#[test]
fn a_send_that_is_dropped_wedges_nothing() {
    run(async {
        for polls in 1..12 {
            let gate = Arc::new(Semaphore::new(0));
            let script = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
            let clock = ManualClock::new();
            let lower = lower(&script, &clock);
            let http = Http::answering([(401, "")]);
            let over = WithBearer::new(http.clone(), lower.clone());
            let mut send = Box::pin(over.send(Request::new(Bytes::new())));
            for poll in 0..polls {
                let done = std::future::poll_fn(|cx| {
                    std::task::Poll::Ready(send.as_mut().poll(cx).is_ready())
                });
                if done.await {
                    break;
                }
                if poll % 2 == 0 {
                    settle().await;
                } else {
                    gate.add_permits(1);
                    settle().await;
                }
            }
            drop(send);
            gate.add_permits(10);
            settle().await;
            assert!(lower.token().await.is_ok(), "{polls}");
            assert!(http.bearers().len() <= 2 && script.calls() <= 2, "{polls}");
        }
    });
}

#[test]
fn a_manager_that_was_handed_to_itself_fails_at_its_deadline_and_wedges_nothing() {
    #[derive(Clone)]
    struct Itself(Arc<OnceLock<TokenManager>>);
    impl TokenSource for Itself {
        fn cached(&self) -> Option<Token> {
            self.0.get()?.cached()
        }
        async fn token(&self) -> Result<Token, Error> {
            self.0.get().unwrap().token().await
        }
        async fn renew(&self, rejected: &Token) -> Result<Token, Error> {
            self.0.get().unwrap().renew(rejected).await
        }
    }
    run(async {
        let (clock, itself) = (ManualClock::new(), Itself(Arc::default()));
        let http = Http::default();
        let manager = upper(&http, itself.clone(), &clock).build().unwrap();
        itself.0.set(manager.clone()).unwrap();
        let caller = tokio::spawn({
            let manager = manager.clone();
            async move { manager.token().await }
        });
        settle().await;
        clock.advance(Duration::from_secs(10));
        let error = caller.await.unwrap().unwrap_err();
        assert_eq!(error.refresh_error().unwrap().outcome(), Outcome::NotSent, "{error}");
        manager.login(TokenSet::new("by hand")).await.unwrap();
        assert_eq!(manager.token().await.unwrap().expose_secret(), "by hand");
        assert!(http.bearers().is_empty());
    });
}

#[test]
fn what_cannot_work_below_is_refused_when_the_manager_is_built() {
    struct Broken;
    impl HttpEndpoint for Broken {
        async fn send(&self, _: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
            Err(RefreshError::not_sent("broken"))
        }
        fn check(&self) -> Result<(), crate::ConfigError> {
            Err(crate::ConfigError::new("broken"))
        }
    }
    let (script, clock) = (Script::new(Spends::Nothing), ManualClock::new());
    let over = WithBearer::new(Broken, lower(&script, &clock));
    let endpoint = TokenEndpoint::client_credentials(over, URL, ClientAuth::none("bot"));
    assert_eq!(endpoint.check().unwrap_err().to_string(), "broken");
}
