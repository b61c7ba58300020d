//! tower-http's other layers, and timeouts.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use integration_tests::{Gate, Gated, Kit, soon};
use token_core::TokenManager;
use tokio::time::timeout;
use tower::timeout::TimeoutLayer;
use tower::timeout::error::Elapsed;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::compression::CompressionLayer;
use tower_http::decompression::DecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::map_response_body::MapResponseBodyLayer;
use tower_http::set_header::SetRequestHeaderLayer;
use tower_http::timeout::TimeoutLayer as StatusTimeoutLayer;

use crate::support::{Echo, Whole, http1, pattern};

/// What it waits for never comes.
const SHORT: Duration = Duration::from_millis(100);

/// Long enough for a request to arrive in it.
const LONG: Duration = Duration::from_secs(2);

fn request(kit: &Kit) -> Request<Whole> {
    Request::post(kit.server.api_url()).body(Full::new(pattern(1000))).expect("a request")
}

/// A manager whose token requests wait at a gate: at once for its first token, or after a refusal.
fn gated(kit: &Kit, gate: &Gate, refused: bool) -> TokenManager {
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), gate));
    let seed = if refused { kit.valid_seed() } else { kit.seed() };
    if refused {
        kit.server.revoke_access_tokens();
    }
    TokenManager::builder(endpoint).seed(seed).build().expect("a manager")
}

#[tokio::test]
async fn a_timeout_above_drops_its_caller_and_not_the_renewal() {
    for (refused, with_status) in [(false, false), (true, false), (false, true), (true, true)] {
        let (kit, gate) = (Kit::start(), Gate::closed());
        let tokens = gated(&kit, &gate, refused);
        let client = kit.layer(&tokens).layer(http1());
        // Nothing arrives at the gate where the time was too short for the refusal.
        let mut limit = SHORT;
        loop {
            if with_status {
                let status = StatusCode::REQUEST_TIMEOUT;
                let service = ServiceBuilder::new()
                    .layer(StatusTimeoutLayer::with_status_code(status, limit))
                    .layer(MapResponseBodyLayer::new(Body::new))
                    .service(client.clone());
                assert_eq!(soon(service.oneshot(request(&kit))).await.unwrap().status(), status);
            } else {
                let service = TimeoutLayer::new(limit).layer(client.clone());
                let error = soon(service.oneshot(request(&kit))).await.unwrap_err();
                assert!(error.is::<Elapsed>(), "{error}");
            }
            if timeout(limit, gate.arrivals(1)).await.is_ok() {
                break;
            }
            limit *= 2;
            assert!(limit < Duration::from_secs(60), "no renewal begins");
        }
        gate.open();
        assert_eq!(soon(client.oneshot(request(&kit))).await.unwrap().status(), 200);
        assert_eq!(kit.token_requests(), 1);
    }
}

#[tokio::test]
async fn a_timeout_below_does_not_count_the_wait_for_a_token() {
    let (kit, gate) = (Kit::start(), Gate::closed());
    let tokens = gated(&kit, &gate, true);
    let service = ServiceBuilder::new().layer(kit.layer(&tokens)).timeout(LONG).service(http1());
    let begun = Instant::now();
    let answer = tokio::spawn(service.oneshot(request(&kit)));
    gate.arrivals(1).await;
    // Real time: the timeout has no other.
    tokio::time::sleep(LONG + SHORT).await;
    gate.open();
    assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200);
    assert!(begun.elapsed() > LONG);
}

#[tokio::test]
async fn what_a_timeout_below_answers_is_the_callers() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    tokens.ready().await.unwrap();
    kit.server.api_delay(Duration::from_secs(3600));
    let service = ServiceBuilder::new().layer(kit.layer(&tokens)).timeout(LONG).service(http1());
    let error = soon(service.oneshot(request(&kit))).await.unwrap_err();
    assert!(error.is::<Elapsed>(), "{error}");
    let service = ServiceBuilder::new()
        .layer(kit.layer(&tokens))
        .layer(StatusTimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LONG))
        .layer(MapResponseBodyLayer::new(Body::new))
        .service(http1());
    assert_eq!(soon(service.oneshot(request(&kit))).await.unwrap().status(), 504);
    assert_eq!((kit.token_requests(), kit.server.counters().api_requests), (1, 2));
}

#[tokio::test]
async fn decompression_above_and_below() {
    let echo = Echo::with(|router| router.layer(CompressionLayer::new())).await;
    let compressed = Arc::new(AtomicUsize::new(0));
    let count = {
        let compressed = Arc::clone(&compressed);
        move |answer: Response<Incoming>| {
            if answer.headers().contains_key(CONTENT_ENCODING) {
                compressed.fetch_add(1, Ordering::SeqCst);
            }
            answer
        }
    };
    let client = || http1().map_response(count.clone());
    let above = ServiceBuilder::new()
        .layer(DecompressionLayer::new())
        .layer(echo.layer())
        .service(client());
    echo.exercise(above).await;
    let below = ServiceBuilder::new()
        .layer(echo.layer())
        .layer(DecompressionLayer::new())
        .service(client());
    echo.exercise(below).await;
    assert_eq!(compressed.load(Ordering::SeqCst), 4, "each answer but the refusals");
}

#[tokio::test]
async fn headers_set_above_or_below_go_with_both_attempts() {
    let agent = HeaderValue::from_static("tests");
    for above in [true, false] {
        let echo = Echo::start().await;
        let set = SetRequestHeaderLayer::if_not_present(USER_AGENT, agent.clone());
        if above {
            echo.exercise(set.layer(echo.layer().layer(http1()))).await;
        } else {
            echo.exercise(echo.layer().layer(set.layer(http1()))).await;
        }
        echo.seen(|seen| assert!(seen.heads.iter().all(|head| head[USER_AGENT] == agent)));
    }
}

#[tokio::test]
async fn an_authorization_set_above_is_the_callers_own() {
    let echo = Echo::start().await;
    let own = HeaderValue::from_static("Basic b3duOm93bg==");
    let service = ServiceBuilder::new()
        .layer(SetRequestHeaderLayer::overriding(AUTHORIZATION, own.clone()))
        .layer(echo.layer())
        .service(http1());
    let answer = soon(service.oneshot(echo.post(Whole::default()))).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(echo.counts(), (1, 1));
    assert!(echo.seen(|seen| seen.heads[0][AUTHORIZATION] == own));
}

#[tokio::test]
async fn a_body_limit_above() {
    let echo = Echo::start().await;
    let service = ServiceBuilder::new()
        .layer(RequestBodyLimitLayer::new(20_000))
        .layer(echo.layer())
        .service(http1());
    echo.exercise(service.clone()).await;
    let (requests, _) = echo.counts();
    let mut long = echo.post(Full::new(pattern(20_001)));
    long.headers_mut().insert("content-length", HeaderValue::from(20_001));
    assert_eq!(soon(service.clone().oneshot(long)).await.unwrap().status(), 413);
    // Without that header it is found out on the way, and is an error; nothing shorter arrives.
    let whole = echo.seen(|seen| seen.whole);
    let long = echo.post(Full::new(pattern(20_001)));
    assert!(soon(service.oneshot(long)).await.is_err());
    assert_eq!(echo.seen(|seen| seen.whole), whole);
    assert!(echo.counts().0 <= requests + 1);
}
