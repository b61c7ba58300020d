//! The token endpoint over reqwest: what of the builder it keeps, and what it does not.

use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::{Request, Response};
use integration_tests::{Kit, soon};
use reqwest::{Client, ClientBuilder, Proxy, redirect, retry};
use reqwest_token_refresh::ReqwestEndpoint;
use token_core::endpoint::{HttpEndpoint, LARGEST_ANSWER};
use token_core::{Outcome, RefreshError};
use token_testkit::Fault;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;

fn endpoint(builder: ClientBuilder) -> ReqwestEndpoint {
    ReqwestEndpoint::new(builder).expect("a client")
}

async fn ask(endpoint: &impl HttpEndpoint, url: &str) -> Result<Response<Bytes>, RefreshError> {
    let request = Request::post(url).body(Bytes::from_static(b"grant_type=x")).expect("a request");
    soon(endpoint.send(request)).await
}

fn outcome(answer: Result<Response<Bytes>, RefreshError>) -> Outcome {
    answer.expect_err("no answer").outcome()
}

#[tokio::test]
async fn what_the_builder_says_of_redirects_and_retries_is_put_right() {
    let kit = Kit::start();
    let retry = retry::for_host("127.0.0.1").no_budget().classify_fn(|answer| answer.retryable());
    let endpoint = endpoint(Client::builder().redirect(redirect::Policy::limited(5)).retry(retry));
    for fault in ["redirect=/token status=307", "status=503", "reset-after"] {
        kit.server.script([fault.parse::<Fault>().unwrap()]);
        let before = kit.token_requests();
        // What comes of it is the outcome table's; here it is how often it was sent.
        _ = ask(&endpoint, &kit.server.token_url()).await;
        assert_eq!(kit.token_requests(), before + 1, "{fault}");
    }
}

#[tokio::test]
async fn a_proxy_of_the_builder_is_used_and_one_that_is_down_means_that_nothing_was_sent() {
    let kit = Kit::start();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let endpoint = endpoint(Client::builder().proxy(Proxy::all(url).unwrap()));
    assert_eq!(outcome(ask(&endpoint, &kit.server.token_url()).await), Outcome::NotSent);
    assert_eq!(kit.server.counters().connections, 0);
}

#[tokio::test]
async fn a_timeout_of_the_builder_leaves_the_outcome_unknown() {
    let kit = Kit::start();
    kit.server.script([Fault::hang()]);
    let endpoint = endpoint(Client::builder().timeout(Duration::from_millis(50)));
    assert_eq!(outcome(ask(&endpoint, &kit.server.token_url()).await), Outcome::Ambiguous);
}

/// What counts is what it unpacks to: two kilobytes may be two megabytes.
#[tokio::test]
async fn a_compressed_answer_is_read_up_to_the_limit() {
    let answer = |bytes: usize| move || async move { "x".repeat(bytes) };
    let router = Router::new()
        .route("/token", post(answer(1000)))
        .route("/bomb", post(answer(2 * LARGEST_ANSWER)))
        .layer(CompressionLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoint = endpoint(Client::builder().gzip(true));
    let answer = ask(&endpoint, &format!("{origin}/token")).await.unwrap();
    assert_eq!(answer.body().len(), 1000);
    assert!(!answer.headers().contains_key("content-length"), "it came compressed");
    assert_eq!(outcome(ask(&endpoint, &format!("{origin}/bomb")).await), Outcome::Ambiguous);
    server.abort();
}

#[tokio::test]
async fn no_error_shows_the_query_of_the_url() {
    let kit = Kit::start();
    kit.server.refuse_connections().expect("the port stays reserved");
    let url = format!("{}?key=canary", kit.server.token_url());
    for url in [&*url, "http://[::1]:1/?key=canary", "ftp://127.0.0.1/?key=canary"] {
        let error = ask(&endpoint(Client::builder()), url).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
