//! The refusal that a replay replaces: read within bounds, so that its connection is used again.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use integration_tests::{BoxError, Gate, Gated, Kit, TestBody, empty, soon, until};
use token_core::TokenManager;
use token_core::http::ReplayBody;
use token_testkit::ApiFault;
use tower::{Layer, ServiceExt};

/// How many connections it takes that 64 clients are refused at once, and replay at once. The refusal has a body of so
/// many bytes.
async fn connections_for_64_replays(refusal_bytes: usize) -> u64 {
    let kit = Kit::start();
    let gate = Gate::closed();
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens = TokenManager::builder(endpoint).seed(kit.valid_seed()).build().expect("a manager");
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(64).build_http();
    let api = kit.layer(&tokens).layer(client);
    let refused = ApiFault::unauthorized("Bearer").with_body(vec![b'x'; refusal_bytes]);
    kit.server.api_script(vec![refused; 64]);
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let request = http::Request::post(kit.server.api_url());
            let request = request.body(Full::new(Bytes::from("order"))).expect("a request");
            let answer = soon(api.clone().oneshot(request));
            tokio::spawn(async move { answer.await.expect("an answer").status() })
        })
        .collect();
    until(|| kit.server.counters().api_unauthorized == 64).await;
    gate.open();
    for client in clients {
        assert_eq!(client.await.expect("no panic"), 200);
    }
    let counters = kit.server.counters();
    assert_eq!((counters.api_ok, counters.token_requests), (64, 1));
    counters.connections - counters.token_requests
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_of_a_replaced_refusal_is_used_again_under_load() {
    for bytes in [0, 2_000, 60_000] {
        let connections = connections_for_64_replays(bytes).await;
        assert!(connections <= 72, "{connections} connections for 64 clients, {bytes} bytes");
    }
}

/// The other side of the bound: nobody waits for a refusal that is a download.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_past_the_bound_costs_its_connection_and_nothing_else() {
    let connections = connections_for_64_replays(4_000_000).await;
    assert!(connections > 64, "{connections}");
}

/// Ready for ever, and never a byte.
struct Heartbeats;

impl http_body::Body for Heartbeats {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::new()))))
    }
}

/// A body that never comes to anything.
fn silence() -> TestBody {
    let (sender, body) = Channel::<Bytes, BoxError>::new(1);
    std::mem::forget(sender);
    body.boxed()
}

#[tokio::test]
async fn a_refusal_whose_body_never_ends_does_not_hold_the_replay_up() {
    for refusal in [|| Heartbeats.boxed(), silence] {
        let kit = Kit::start();
        let tokens = kit.manager().build().expect("a manager");
        let sent = Arc::new(AtomicUsize::new(0));
        let inner = tower::service_fn(move |_: http::Request<ReplayBody<TestBody>>| {
            let (status, body) = match sent.fetch_add(1, Ordering::SeqCst) {
                0 => (401, refusal()),
                _ => (200, empty()),
            };
            std::future::ready(http::Response::builder().status(status).body(body))
        });
        let request = http::Request::get(kit.server.api_url()).body(empty()).expect("a request");
        let answer = soon(kit.layer(&tokens).layer(inner).oneshot(request)).await;
        assert_eq!(answer.expect("an answer").status(), 200);
    }
}
