//! The token's error inside the client's.

use integration_tests::{Kit, soon};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error};
use reqwest_retry::{
    RetryTransientMiddleware, Retryable, RetryableStrategy, policies::ExponentialBackoff,
};
use reqwest_token_refresh::token_error;
use token_core::{ErrorKind, TokenManager};
use token_testkit::Fault;

use crate::support::{client, counts, middleware, ready};

async fn error(kit: &Kit, client: &ClientWithMiddleware) -> Error {
    soon(client.get(kit.server.api_url()).send()).await.expect_err("no token")
}

fn without_a_token() -> (Kit, TokenManager) {
    let kit = Kit::start();
    kit.server.always(Some(Fault::status(429)));
    let tokens = kit.manager().build().expect("a manager");
    (kit, tokens)
}

#[tokio::test]
async fn it_says_why_the_request_was_not_sent() {
    let (kit, tokens) = without_a_token();
    let error = error(&kit, &client(&kit, &tokens)).await;
    let found = token_error(&error).expect("a token's error");
    assert_eq!(found.kind(), ErrorKind::Unavailable);
    assert!(found.is_transient() && found.retry_after().is_some());
    let text = error.to_string();
    assert!(
        text.starts_with("the request was not sent, because no token could be had: "),
        "{text}"
    );
    assert!(text.ends_with(&found.to_string()), "{text}");
    assert_eq!(counts(&kit), (0, 1), "no request is sent without a token");
}

/// Tries whatever failed again.
struct Always;

impl RetryableStrategy for Always {
    fn handle(&self, answer: &Result<reqwest::Response, Error>) -> Option<Retryable> {
        answer.is_err().then_some(Retryable::Transient)
    }
}

#[tokio::test]
async fn it_is_found_below_what_a_retry_made_of_it() {
    let (kit, tokens) = without_a_token();
    let backoff = ExponentialBackoff::builder()
        .retry_bounds(std::time::Duration::ZERO, std::time::Duration::from_millis(1))
        .build_with_max_retries(1);
    let once = RetryTransientMiddleware::new_with_policy(backoff);
    let again = RetryTransientMiddleware::new_with_policy_and_strategy(backoff, Always);
    let over = |retry: ClientBuilder| retry.with(middleware(&kit, &tokens)).build();
    for client in [
        over(ClientBuilder::new(reqwest::Client::new()).with(once)),
        over(ClientBuilder::new(reqwest::Client::new()).with(again)),
    ] {
        let error = error(&kit, &client).await;
        assert_eq!(token_error(&error).map(|error| error.kind()), Some(ErrorKind::Unavailable));
    }
}

#[tokio::test]
async fn a_failure_of_the_network_is_none_of_the_token() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    kit.server.refuse_connections().expect("the port stays reserved");
    let error = error(&kit, &client(&kit, &tokens)).await;
    assert!(error.is_connect() && token_error(&error).is_none());
}
