//! How a request and its extensions go through the middleware.

use std::time::Duration;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{Extensions, HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use http_body_util::channel::Channel;
use integration_tests::{BoxError, Gate, Gated, Kit, soon};
use reqwest::{Body, Request, Response};
use reqwest_middleware::{ClientBuilder, Middleware, Next, Result};
use token_core::TokenManager;
use token_core::http::{NoReplay, NoToken};

use crate::support::{Mark, Watch, client, counts, middleware, ready, refused};

const LIMIT: usize = 64 * 1024;

#[tokio::test]
async fn a_request_can_opt_out_of_the_token() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    kit.server.record_api();
    let request = client(&kit, &tokens).get(kit.server.api_url()).with_extension(NoToken::new());
    assert_eq!(soon(request.send()).await.unwrap().status(), 401);
    assert!(!kit.server.api_history()[0].headers.contains_key(AUTHORIZATION));
    assert_eq!(counts(&kit), (1, 0), "nor is one asked for");
}

#[tokio::test]
async fn a_request_can_opt_out_of_the_replay() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let client = client(&kit, &tokens);
    let request = client.post(kit.server.api_url()).body("once").with_extension(NoReplay::new());
    assert_eq!(soon(request.send()).await.unwrap().status(), 401);
    assert_eq!(counts(&kit), (1, 2), "renewed for the next");
    assert_eq!(soon(client.get(kit.server.api_url()).send()).await.unwrap().status(), 200);
    assert_eq!(counts(&kit), (2, 2));
}

#[tokio::test]
async fn a_body_in_memory_is_never_wrapped() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let watch = Watch::default();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(middleware(&kit, &tokens))
        .with(watch.clone())
        .build();
    // Over the limit it is sent once.
    for (length, sendings) in [(1, 2), (LIMIT, 2), (LIMIT + 1, 1)] {
        kit.server.revoke_access_tokens();
        let body = vec![7; length];
        let request = client.post(kit.server.api_url()).body(body.clone());
        soon(request.send()).await.unwrap();
        let seen = watch.sendings();
        assert_eq!(seen.len(), sendings, "{length} bytes");
        for sending in seen {
            assert!(sending.can_be_cloned && sending.bytes.as_ref() == Some(&body));
        }
    }
    let (mut sender, body) = Channel::<bytes::Bytes, BoxError>::new(1);
    let request = client.post(kit.server.api_url()).body(Body::wrap(body.boxed()));
    sender.send_data("abc".into()).await.unwrap();
    drop(sender);
    assert_eq!(soon(request.send()).await.unwrap().status(), 200);
    assert!(!watch.sendings()[0].can_be_cloned);
}

#[tokio::test]
async fn the_replay_is_the_same_request_below() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    let watch = Watch::default();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(middleware(&kit, &tokens))
        .with(watch.clone())
        .build();
    let timeout = Duration::from_secs(77);
    let request = client
        .get(format!("{}/a?b=c", kit.server.api_url()))
        .header("x-order", "7")
        .timeout(timeout)
        .with_extension(Mark("the caller's"));
    assert_eq!(soon(request.send()).await.unwrap().status(), 200);
    let seen = watch.sendings();
    assert_eq!(seen.len(), 2);
    for sending in seen {
        assert_eq!(sending.timeout, Some(timeout));
        assert_eq!(sending.mark, Some(Mark("the caller's")));
        assert_eq!(sending.header.as_deref(), Some("7"));
        assert!(!sending.has_body);
    }
    let history = kit.server.api_history();
    assert!(history.iter().all(|request| request.path == "/api/a?b=c"), "{history:?}");
}

/// Gives up after one poll, and looks at what is left of the extensions.
struct Impatient;

#[async_trait]
impl Middleware for Impatient {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let copy = request.try_clone().expect("no stream");
        {
            let first = std::pin::pin!(next.clone().run(copy, extensions));
            assert!(integration_tests::poll_once(first).is_pending(), "it waits for a token");
        }
        assert!(extensions.get::<NoReplay>().is_some(), "given up, and the extension is gone");
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn a_request_that_is_given_up_above_leaves_its_extensions() {
    let kit = Kit::start();
    let gate = Gate::closed();
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens = TokenManager::builder(endpoint).seed(kit.seed()).build().unwrap();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(Impatient)
        .with(middleware(&kit, &tokens))
        .build();
    let request = client.get(kit.server.api_url()).with_extension(NoReplay::new());
    let answer = tokio::spawn(soon(request.send()));
    gate.arrivals(1).await;
    gate.open();
    assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    assert_eq!(counts(&kit), (1, 1));
}

/// The middleware does not see the client's default headers: they are added below it, where there is none of that name.
#[tokio::test]
async fn the_token_comes_before_a_default_authorization_of_the_client() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic b3duOm93bg=="));
    let client = reqwest::Client::builder().default_headers(headers).build().unwrap();
    let client = ClientBuilder::new(client).with(middleware(&kit, &tokens)).build();
    assert_eq!(soon(client.get(kit.server.api_url()).send()).await.unwrap().status(), 200);
    // With `NoToken` it is the client's.
    let request = client.get(kit.server.api_url()).with_extension(NoToken::new());
    assert_eq!(soon(request.send()).await.unwrap().status(), 401);
}
