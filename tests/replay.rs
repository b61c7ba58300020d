//! Refused requests and their bodies: sent again once and whole, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Full};
use integration_tests::{
    ApiClient, BoxError, Kit, Sends, TestBody, empty, event, soon, until, whole,
};
use token_core::TokenManager;
use token_core::clock::ManualClock;
use token_core::event::Event;
use token_core::http::{NoReplay, Origins, ReplayBody};
use token_testkit::AuthorizationServer;
use tower::{Layer, Service, ServiceExt};
use tower_token_refresh::TokenRefreshLayer;

const LIMIT: usize = 64 * 1024;

/// A manager whose token the API refuses.
async fn refused(kit: &Kit) -> TokenManager {
    let tokens = kit.manager().build().expect("a manager");
    tokens.ready().await.expect("a token");
    kit.server.revoke_access_tokens();
    tokens
}

fn is_refreshed(event: &Event) -> bool {
    matches!(event, Event::Refreshed { .. })
}

/// A body that comes piece by piece, and its other end.
fn stream() -> (Sender<Bytes, BoxError>, TestBody) {
    let (sender, body) = Channel::<Bytes, BoxError>::new(1);
    (sender, body.boxed())
}

fn piece(number: usize) -> Bytes {
    Bytes::from(vec![b'a' + (number % 26) as u8; 1000 + number])
}

fn pieces(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.flat_map(piece).collect()
}

#[tokio::test]
async fn a_body_in_memory_is_replayed_whole_up_to_the_limit() {
    for length in [0, 1, 1000, LIMIT] {
        let kit = Kit::start();
        let tokens = refused(&kit).await;
        let body: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let answer = kit.client(&tokens).post("", body.clone()).await;
        assert!(answer.received(&body), "{length} bytes: {answer:?}");
        let counters = kit.server.counters();
        assert_eq!((counters.api_requests, counters.token_requests), (2, 2));
    }
}

#[tokio::test]
async fn a_body_over_the_limit_gets_its_401_and_the_next_request_a_new_token() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let mut events = tokens.events();
    let client = kit.client(&tokens);
    let body = vec![7; LIMIT + 1];
    let answer = client.post("", body.clone()).await;
    assert_eq!(answer.status, 401);
    assert!(
        answer.header("www-authenticate").unwrap().contains("invalid_token"),
        "as the server sent it"
    );
    event(&mut events, is_refreshed).await;
    assert!(client.post("", body.clone()).await.received(&body));
    let counters = kit.server.counters();
    assert_eq!(
        (counters.api_requests, counters.api_unauthorized, counters.token_requests),
        (2, 1, 2)
    );
}

#[tokio::test]
async fn the_limit_is_the_users_to_set() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let body = vec![7; LIMIT * 4];
    let client = kit.client_of(kit.layer(&tokens).body_limit(LIMIT * 4));
    assert!(client.post("", body.clone()).await.received(&body));

    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let client = kit.client_of(kit.layer(&tokens).body_limit(0));
    assert_eq!(client.post("", "x").await.status, 401);
    assert_eq!(kit.server.counters().api_requests, 1);
}

#[tokio::test]
async fn a_request_that_opts_out_of_the_replay_gets_its_401_while_the_token_is_renewed() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let mut events = tokens.events();
    let client = kit.client(&tokens);
    let mut request = client.request("POST", "", whole("once"));
    request.extensions_mut().insert(NoReplay::new());
    assert_eq!(client.send(request).await.unwrap().status, 401);
    assert_eq!(kit.server.counters().api_requests, 1);
    event(&mut events, is_refreshed).await;
    assert_eq!(client.get("").await.status, 200);
}

/// A `POST` that orders something may have no body at all.
#[tokio::test]
async fn a_request_without_a_body_can_opt_out_of_the_replay_too() {
    for method in ["GET", "POST"] {
        let kit = Kit::start();
        let tokens = refused(&kit).await;
        let client = kit.client(&tokens);
        let mut request = client.request(method, "", empty());
        let sends = Sends::default();
        request.extensions_mut().insert(sends.clone());
        request.extensions_mut().insert(NoReplay::new());
        let answer = client.send(request).await.unwrap();
        assert_eq!((answer.status.as_u16(), sends.count()), (401, 1), "{method}");
    }
}

#[tokio::test]
async fn a_streamed_body_under_the_limit_is_replayed_whole() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let client = kit.client(&tokens);
    let (mut sender, body) = stream();
    let mut request = client.request("PUT", "", body);
    let sends = Sends::default();
    request.extensions_mut().insert(sends.clone());
    let answer = tokio::spawn(client.send(request));
    for number in 0..20 {
        sender.send_data(piece(number)).await.unwrap();
    }
    drop(sender);
    let answer = soon(answer).await.unwrap().unwrap();
    assert!(answer.received(&pieces(0..20)), "{answer:?}");
    assert_eq!(sends.count(), 2);
}

#[tokio::test]
async fn a_streamed_body_that_outgrows_the_limit_gets_its_401_and_never_a_shorter_replay() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let client = kit.client(&tokens);
    let (mut sender, body) = stream();
    let answer = tokio::spawn(client.send(client.request("PUT", "", body)));
    for number in 0..100 {
        sender.send_data(piece(number)).await.unwrap();
    }
    drop(sender);
    assert_eq!(soon(answer).await.unwrap().unwrap().status, 401);
    let counters = kit.server.counters();
    assert_eq!((counters.api_requests, counters.api_ok), (1, 0));
}

/// Sends a streamed body to a server that refuses it before it has read it, and the rest of the body after that.
async fn early_refusal(kit: &Kit, client: &ApiClient<TestBody>) {
    let (mut sender, body) = stream();
    let answer = tokio::spawn(client.send(client.request("POST", "/early", body)));
    for number in 0..3 {
        sender.send_data(piece(number)).await.expect("a reader");
    }
    // The refusal is there, and so is the request again; the body has still to come to its end.
    until(|| kit.server.counters().api_requests == 2).await;
    for number in 3..30 {
        soon(sender.send_data(piece(number))).await.expect("a reader");
    }
    drop(sender);
    let answer = soon(answer).await.expect("no panic").expect("an answer");
    assert!(answer.received(&pieces(0..30)), "{answer:?}");
    let counters = kit.server.counters();
    assert_eq!((counters.api_requests, counters.api_ok, counters.token_requests), (2, 1, 2));
}

#[tokio::test]
async fn a_body_refused_before_it_was_sent_is_replayed_with_the_rest_of_the_stream() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    early_refusal(&kit, &kit.client(&tokens)).await;
}

#[tokio::test]
async fn a_body_refused_before_it_was_sent_is_replayed_over_http_2_too() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let client = ApiClient::http2(kit.layer(&tokens), kit.server.api_url());
    early_refusal(&kit, &client).await;
    // The connection is as good as before.
    assert_eq!(client.get("").await.status, 200);
    assert_eq!(kit.server.counters().connections, 3, "two for the token endpoint, one for the API");
}

#[tokio::test]
async fn a_body_in_memory_refused_before_it_was_sent_is_replayed_whole() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let body: Vec<u8> = (0..LIMIT).map(|at| (at / 7) as u8).collect();
    let client = ApiClient::new(kit.layer(&tokens), kit.server.api_url());
    let answer = client
        .send(client.request("POST", "/early", Full::new(Bytes::from(body.clone()))))
        .await
        .unwrap();
    assert!(answer.received(&body), "{answer:?}");
}

#[tokio::test]
async fn a_body_that_fails_half_way_is_never_taken_for_a_whole_one() {
    for path in ["", "/early"] {
        let kit = Kit::start();
        let tokens = refused(&kit).await;
        let client = kit.client(&tokens);
        let (mut sender, body) = stream();
        let answer = tokio::spawn(client.send(client.request("POST", path, body)));
        sender.send_data(piece(0)).await.unwrap();
        if path == "/early" {
            until(|| kit.server.counters().api_requests == 2).await;
        }
        sender.abort("the file on disk went away".into());
        let answer = soon(answer).await.unwrap();
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 401));
        // Others are not harmed.
        tokens.refresh_now().await.unwrap();
        assert_eq!(client.get("").await.status, 200);
        assert_eq!(kit.server.counters().api_ok, 1, "a truncated upload was accepted");
    }
}

/// An API that knows none of the tokens, and a manager on a clock that is moved by hand.
async fn strangers(
    kit: &Kit,
    api: &AuthorizationServer,
) -> (ManualClock, TokenManager, ApiClient<TestBody>) {
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().expect("a manager");
    tokens.ready().await.expect("a token");
    let layer =
        TokenRefreshLayer::new(tokens.clone(), Origins::only(api.origin()).expect("an origin"));
    let client = ApiClient::new(layer, api.api_url());
    (clock, tokens, client)
}

#[tokio::test]
async fn a_second_401_is_returned_as_it_is() {
    let (kit, api) = (Kit::start(), AuthorizationServer::start().unwrap());
    let (_clock, _tokens, client) = strangers(&kit, &api).await;
    let sends = Sends::default();
    let mut request = client.request("POST", "", whole("twice"));
    request.extensions_mut().insert(sends.clone());
    let answer = client.send(request).await.unwrap();
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!((sends.count(), api.counters().api_requests, kit.token_requests()), (2, 2, 2));
}

#[tokio::test]
async fn a_server_that_refuses_even_new_tokens_does_not_become_a_refresh_storm() {
    let (kit, api) = (Kit::start(), AuthorizationServer::start().unwrap());
    let (clock, tokens, client) = strangers(&kit, &api).await;
    for _ in 0..50 {
        assert_eq!(client.get("").await.status, 401);
    }
    assert_eq!(kit.token_requests(), 1 + 3, "the first token and a burst of three");
    assert_eq!(api.counters().api_requests, 50 + 3, "without a new token nothing is sent again");
    let error = tokens.renew(&tokens.cached().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), token_core::ErrorKind::Throttled);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(10)));
    // One more for each ten seconds.
    for more in 1..=2 {
        clock.advance(Duration::from_secs(10));
        for _ in 0..5 {
            assert_eq!(client.get("").await.status, 401);
        }
        assert_eq!(kit.token_requests(), 1 + 3 + more);
    }
    // The pace is for refusals only.
    tokens.refresh_now().await.unwrap();
    assert_eq!(kit.server.counters().reuse_detected, 0);
}

#[tokio::test]
async fn a_refusal_that_cannot_be_renewed_is_the_callers_as_the_server_sent_it() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let client = kit.client(&tokens);
    kit.server.always(Some(token_testkit::Fault::status(429).retry_after(3600)));
    for _ in 0..10 {
        let answer = client.send(client.request("GET", "", empty())).await.unwrap();
        assert_eq!(answer.status, 401);
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    assert_eq!(kit.token_requests(), 2);
    assert_eq!(kit.server.counters().api_requests, 10);
}

/// Ready for the first call, and broken from then on.
#[derive(Clone)]
struct BreaksDown(Arc<AtomicUsize>);

impl Service<http::Request<ReplayBody<TestBody>>> for BreaksDown {
    type Response = http::Response<TestBody>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.0.load(Ordering::SeqCst) {
            0 => Poll::Ready(Ok(())),
            _ => Poll::Ready(Err("out of order".into())),
        }
    }

    fn call(&mut self, _: http::Request<ReplayBody<TestBody>>) -> Self::Future {
        self.0.fetch_add(1, Ordering::SeqCst);
        let answer = http::Response::builder().status(401).body(whole("why"));
        std::future::ready(answer.map_err(Into::into))
    }
}

#[tokio::test]
async fn where_no_service_is_ready_for_the_replay_the_caller_gets_the_refusal() {
    let kit = Kit::start();
    let tokens = kit.manager().build().expect("a manager");
    let api = kit.layer(&tokens).layer(BreaksDown(Arc::default()));
    let request = http::Request::get(kit.server.api_url()).body(empty()).expect("a request");
    let answer = soon(api.oneshot(request)).await.expect("an answer");
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.into_body().collect().await.expect("a body").to_bytes(), "why");
}

/// One upload after the other, each too long to be sent again, while the token endpoint takes its time.
#[tokio::test]
async fn the_next_request_of_a_caller_whose_body_was_too_long_has_the_new_token() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    kit.server.always(Some(token_testkit::Fault::delay_before(Duration::from_millis(50))));
    let client = kit.client(&tokens);
    assert_eq!(client.post("", vec![7; LIMIT + 1]).await.status, 401);
    for _ in 0..3 {
        assert_eq!(client.post("", vec![7; LIMIT + 1]).await.status, 200);
    }
}

#[tokio::test]
async fn refusals_that_come_too_fast_are_reported_once() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    tokens.ready().await.unwrap();
    let mut events = tokens.events();
    let client = kit.client(&tokens);
    for expected in [200, 200, 200, 401, 401] {
        kit.server.revoke_access_tokens();
        assert_eq!(client.get("").await.status, expected);
    }
    let error = tokens.status().last_error().expect("a reason").clone();
    assert_eq!(error.kind(), token_core::ErrorKind::Throttled);
    clock.advance(Duration::from_secs(10));
    assert_eq!(client.get("").await.status, 200);
    kit.server.revoke_access_tokens();
    assert_eq!(client.get("").await.status, 401);
    assert_eq!(tokens.shutdown(Duration::from_secs(1)).await, token_core::Shutdown::Clean);
    drop((client, tokens));
    let mut throttled = 0;
    while let Some(event) = soon(events.next()).await {
        throttled += u32::from(matches!(event, Event::Throttled { .. }));
    }
    assert_eq!(throttled, 2, "one for each time that it began");
}
