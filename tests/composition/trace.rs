//! tower-http's tracing shows no token, above us or below.

use bytes::Bytes;
use http::HeaderName;
use http_body_util::Full;
use integration_tests::Log;
use token_core::http::Scheme;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_http::classify::{ServerErrorsAsFailures, SharedClassifier};
use tower_http::trace::{DefaultMakeSpan, DefaultOnRequest, DefaultOnResponse, TraceLayer};
use tracing::Level;

use crate::support::{Echo, http1};

type Talkative = TraceLayer<SharedClassifier<ServerErrorsAsFailures>>;

/// As much as the layer can tell.
fn trace() -> Talkative {
    TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(Level::TRACE).include_headers(true))
        .on_request(DefaultOnRequest::new().level(Level::TRACE))
        .on_response(DefaultOnResponse::new().level(Level::TRACE).include_headers(true))
}

// One thread: the log is this thread's.
#[tokio::test]
async fn no_token_in_the_log_at_trace() {
    let log = Log::of_this_thread();
    let echo = Echo::start().await;
    let mut secrets = vec![echo.tokens.cached().unwrap()];
    let stack =
        |layer| ServiceBuilder::new().layer(trace()).layer(layer).layer(trace()).service(http1());
    echo.exercise(stack(echo.layer())).await;
    secrets.push(echo.tokens.cached().unwrap());
    // A header of the API's own is as secret. This API does not know it, and refuses.
    let own = echo.layer().header(HeaderName::from_static("x-own-token")).scheme(Scheme::RAW);
    let mut service = stack(own);
    let request = echo.post(Full::new(Bytes::new()));
    assert_eq!(service.ready().await.unwrap().call(request).await.unwrap().status(), 401);
    secrets.push(echo.tokens.cached().unwrap());

    let log = log.text();
    for expected in ["started processing request", "Sensitive", "x-own-token", "\"authorization\""]
    {
        assert!(log.contains(expected), "the log is worth looking at: {expected}");
    }
    for secret in secrets {
        assert!(!log.contains(secret.expose_secret()), "a token is in the log");
    }
}
