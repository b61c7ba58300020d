//! reqwest-retry, above the middleware and below it.

use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use integration_tests::{BoxError, Kit, soon};
use reqwest::{Body, Client, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use serde_json::Value;
use token_core::TokenManager;
use token_testkit::{ApiFault, Fault};

use crate::support::{Watch, counts, middleware, ready, refused};

/// Two retries.
fn retries() -> RetryTransientMiddleware<ExponentialBackoff> {
    let backoff = ExponentialBackoff::builder()
        .retry_bounds(Duration::ZERO, Duration::from_millis(1))
        .build_with_max_retries(2);
    RetryTransientMiddleware::new_with_policy(backoff)
}

fn above(kit: &Kit, tokens: &TokenManager) -> ClientWithMiddleware {
    ClientBuilder::new(Client::new()).with(retries()).with(middleware(kit, tokens)).build()
}

fn below(kit: &Kit, tokens: &TokenManager) -> ClientWithMiddleware {
    ClientBuilder::new(Client::new()).with(middleware(kit, tokens)).with(retries()).build()
}

async fn put(kit: &Kit, client: &ClientWithMiddleware) -> Response {
    soon(client.put(kit.server.api_url()).body("order").send()).await.expect("an answer")
}

fn statuses<const N: usize>(statuses: [u16; N]) -> [ApiFault; N] {
    statuses.map(ApiFault::status)
}

async fn assert_received_whole(answer: Response) {
    assert_eq!(answer.status(), 200);
    let echo = answer.bytes().await.expect("a body");
    let echo: Value = serde_json::from_slice(&echo).unwrap_or_default();
    assert_eq!(echo["body_bytes"], "order".len());
}

#[tokio::test]
async fn in_both_places_a_refusal_costs_one_renewal_and_one_replay_and_an_overload_none() {
    for place in [above, below] {
        let kit = Kit::start();
        let tokens = refused(&kit).await;
        let client = place(&kit, &tokens);
        assert_received_whole(put(&kit, &client).await).await;
        assert_eq!(counts(&kit), (2, 2));
        kit.server.api_script(statuses([503, 503]));
        assert_received_whole(put(&kit, &client).await).await;
        assert_eq!(counts(&kit), (5, 2));
    }
}

/// With two retries a request is sent three times; with the middleware as its factor, six times at most.
#[tokio::test]
async fn attempts_multiply_to_twice_the_retries_at_most() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    kit.server.api_script(statuses([401, 503, 401, 503, 401, 503]));
    assert_eq!(put(&kit, &above(&kit, &tokens)).await.status(), 503);
    assert_eq!(counts(&kit), (6, 4), "each retry is a request of its own to the middleware");

    let kit = Kit::start();
    let tokens = ready(&kit).await;
    kit.server.api_script(statuses([503, 503, 401, 503, 503, 503]));
    assert_eq!(put(&kit, &below(&kit, &tokens)).await.status(), 503);
    assert_eq!(counts(&kit), (6, 2), "one replay, whatever happens below");
}

#[tokio::test]
async fn in_both_places_a_second_refusal_is_the_callers_and_no_reason_to_retry() {
    for place in [above, below] {
        let kit = Kit::start();
        let tokens = ready(&kit).await;
        kit.server.api_always(Some(ApiFault::status(401)));
        assert_eq!(put(&kit, &place(&kit, &tokens)).await.status(), 401);
        assert_eq!(counts(&kit), (2, 2));
    }
}

/// The manager retries by itself, and says when.
#[tokio::test]
async fn above_a_request_for_which_no_token_could_be_had_is_not_retried() {
    let kit = Kit::start();
    kit.server.always(Some(Fault::status(429)));
    let tokens = kit.manager().build().unwrap();
    let watch = Watch::default();
    let client = ClientBuilder::new(Client::new())
        .with(retries())
        .with(watch.clone())
        .with(middleware(&kit, &tokens))
        .build();
    assert!(soon(client.get(kit.server.api_url()).send()).await.is_err());
    assert_eq!(watch.sendings().len(), 1);
}

/// In both places: that is reqwest-retry's rule. It can be copied only while it is in memory.
#[tokio::test]
async fn a_stream_is_refused_by_reqwest_retry_before_it_is_sent() {
    for place in [above, below] {
        let kit = Kit::start();
        let tokens = ready(&kit).await;
        let (_sender, body) = Channel::<bytes::Bytes, BoxError>::new(1);
        let request = place(&kit, &tokens).put(kit.server.api_url());
        let error = soon(request.body(Body::wrap(body.boxed())).send()).await.unwrap_err();
        assert!(error.to_string().contains("not cloneable"), "{error}");
        assert_eq!(counts(&kit).0, 0);
    }
}
