//! hyper-util's client below the layer.

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use integration_tests::{BoxError, Kit, soon};
use token_core::http::ReplayBody;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Echo, Whole, http1, http2, pattern};

type Streamed = Channel<Bytes, BoxError>;

#[tokio::test]
async fn whole_bodies_over_http_1_and_http_2() {
    let echo = Echo::start().await;
    echo.exercise(echo.layer().layer(http1())).await;
    let echo = Echo::start().await;
    echo.exercise(echo.layer().layer(http2())).await;
}

/// Talks back and forth on one request that is refused first: each piece comes back before the next is sent.
async fn converse(client: Client<HttpConnector, ReplayBody<Streamed>>) {
    let echo = Echo::start().await;
    let mut service = echo.layer().layer(client);
    for refused in [false, true] {
        if refused {
            echo.revoke();
        }
        let (mut sender, body) = Streamed::new(1);
        let answer = soon(service.ready().await.expect("ready").call(echo.post(body)))
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut answer = answer.into_body();
        for number in 0..20_u8 {
            let piece = Bytes::from(vec![number; 1000]);
            soon(sender.send_data(piece.clone())).await.expect("a reader");
            let mut back = Vec::new();
            while back.len() < piece.len() {
                let frame = soon(answer.frame()).await.expect("more").expect("a frame");
                back.extend_from_slice(&frame.into_data().expect("data"));
            }
            assert_eq!(back, piece);
        }
        drop(sender);
        assert!(soon(answer.collect()).await.expect("an end").to_bytes().is_empty());
    }
    assert_eq!(echo.counts(), (3, 2));
}

#[tokio::test]
async fn both_ways_streamed_over_http_1() {
    converse(http1()).await;
}

#[tokio::test]
async fn both_ways_streamed_over_http_2() {
    converse(http2()).await;
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_replay() {
    for http_2 in [false, true] {
        let kit = Kit::start();
        let tokens = kit.manager().build().unwrap();
        tokens.ready().await.unwrap();
        let client = if http_2 { http2() } else { http1() };
        let mut service = kit.layer(&tokens).layer(client);
        for round in 0..5 {
            let request = http::Request::post(kit.server.api_url());
            let request: http::Request<Whole> = request.body(Full::new(pattern(1000))).unwrap();
            let answer = soon(service.ready().await.unwrap().call(request)).await.unwrap();
            assert_eq!(answer.status(), 200);
            soon(answer.into_body().collect()).await.unwrap();
            // The renewals' connections are counted too: each has one of its own.
            let connections = kit.server.counters().connections - kit.token_requests();
            assert_eq!(connections, 1, "round {round}");
            if round % 2 == 0 {
                kit.server.revoke_access_tokens();
            }
        }
        assert_eq!(kit.token_requests(), 3);
    }
}
