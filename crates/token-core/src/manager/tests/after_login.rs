//! A token that is replaced by a login whose own tokens are used once.

use std::time::Duration;

use super::tiers::{Http, URL};
use super::{Script, run, settle};
use crate::clock::ManualClock;
use crate::endpoint::{AfterLogin, ClientAuth, TokenEndpoint};
use crate::error::ErrorKind;
use crate::event::Event;
use crate::freshness::Freshness;
use crate::manager::{TokenManager, TokenManagerBuilder};
use crate::refresher::{Outcome, RefreshError, Refresher, Spends};
use crate::store::{MemoryStore, TokenStore};
use crate::token::TokenSet;

const DAY: Duration = Duration::from_secs(86_400);
const MADE: (u16, &str) = (200, r#"{"access_token":"service-1","expires_in":7776000}"#);
const MADE_NEXT: (u16, &str) = (200, r#"{"access_token":"service-2","expires_in":7776000}"#);

fn service(http: &Http, login: &Script, clock: &ManualClock) -> TokenManagerBuilder {
    let over = AfterLogin::new(http.clone(), login.clone());
    let endpoint = TokenEndpoint::client_credentials(over, URL, ClientAuth::none("bot"));
    let week = Freshness::default().refresh_before(7 * DAY).jitter(0.0);
    TokenManager::builder(endpoint).clock(clock.clone()).freshness(week)
}

#[test]
fn each_request_has_the_token_of_a_login_of_its_own_which_is_kept_nowhere() {
    run(async {
        let (login, clock) = (Script::new(Spends::Nothing), ManualClock::new());
        let (http, store) = (Http::answering([MADE, MADE_NEXT]), MemoryStore::new());
        let tokens = service(&http, &login, &clock).store(store.clone()).build().unwrap();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "service-1");
        for (days, calls) in [(82, 1), (1, 2)] {
            clock.advance(days * DAY);
            settle().await;
            assert_eq!(login.calls(), calls);
        }
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "service-2");
        assert_eq!(http.bearers(), ["Bearer at-1", "Bearer at-2"]);
        assert_eq!(login.presented(), ["", ""], "nobody refreshes what a login gave");
        let (record, _) = store.load(&tokens.inner.store_key).await.unwrap().unwrap();
        let record = String::from_utf8(record.bytes().to_vec()).unwrap();
        assert!(record.contains("service-2"), "{record}");
        assert!(!record.contains("at-2") && !record.contains("rt-2"), "{record}");
    });
}

#[test]
fn a_refused_login_is_told_and_not_repeated_while_the_old_token_serves() {
    run(async {
        let (login, clock) = (Script::new(Spends::Nothing), ManualClock::new());
        let http = Http::answering([MADE, MADE_NEXT]);
        let tokens = service(&http, &login, &clock).build().unwrap();
        tokens.ready().await.unwrap();
        let mut events = tokens.events();
        login.fail([RefreshError::configuration("wrong password")]);
        for _ in 0..84 {
            clock.advance(DAY);
            settle().await;
        }
        assert_eq!(login.calls(), 2);
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "service-1");
        let Some(Event::RefreshFailed { error, .. }) = events.next().await else { panic!() };
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("login before the request failed: wrong password"));
        assert_eq!(http.bearers().len(), 1);
        // Once somebody has corrected it.
        assert_eq!(tokens.refresh_now().await.unwrap().expose_secret(), "service-2");
    });
}

#[test]
fn whatever_becomes_of_the_login_the_request_after_it_was_not_sent() {
    for (failure, outcome) in [
        (Outcome::NotSent, Outcome::NotSent),
        (Outcome::Rejected, Outcome::Rejected),
        (Outcome::InvalidGrant, Outcome::Configuration),
        (Outcome::Configuration, Outcome::Configuration),
        (Outcome::Ambiguous, Outcome::NotSent),
    ] {
        run(async {
            let (login, clock) = (Script::new(Spends::Nothing), ManualClock::new());
            let (http, wait) = (Http::default(), Duration::from_secs(7));
            login.fail([RefreshError::new(failure, "why").with_retry_after(wait)]);
            let tokens = service(&http, &login, &clock).build().unwrap();
            let error = tokens.token().await.unwrap_err();
            let error = error.refresh_error().unwrap();
            assert_eq!((error.outcome(), error.retry_after()), (outcome, Some(wait)));
            assert!(error.to_string().ends_with("failed: why"), "{error}");
            assert!(http.bearers().is_empty());
        });
    }
}

#[test]
fn a_login_needs_no_refresh_token_and_gives_an_access_token() {
    struct Empty;
    impl Refresher for Empty {
        async fn refresh(&self, _: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
            Ok(TokenSet::from_refresh_token("r"))
        }
        fn spends(&self, _: Option<&TokenSet>) -> Spends {
            Spends::Nothing
        }
    }
    run(async {
        let clock = ManualClock::new();
        let refresh = Script::new(Spends::RefreshToken);
        let error = service(&Http::default(), &refresh, &clock).build().unwrap_err();
        assert!(error.to_string().contains("must be a login"), "{error}");
        let over = AfterLogin::new(Http::default(), Empty);
        let endpoint = TokenEndpoint::client_credentials(over, URL, ClientAuth::none("bot"));
        let tokens = TokenManager::builder(endpoint).clock(clock).build().unwrap();
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Configuration);
    });
}
