//! Only an instance that was polled ready is called, through other layers too, and what readiness reports passes.
//! `attach.rs` has the bare layer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use integration_tests::{BoxError, Gate, Gated, Kit, soon};
use token_core::TokenManager;
use token_core::http::ReplayBody;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{Echo, Whole, http1};

/// A client that is ready at the second asking, may then be called once, and notices who does otherwise.
struct Strict {
    client: Client<HttpConnector, ReplayBody<Whole>>,
    asked: bool,
    ready: bool,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    misused: AtomicBool,
    broken: AtomicBool,
}

impl Strict {
    fn new() -> Self {
        Self { client: http1(), asked: false, ready: false, shared: Arc::default() }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        let (client, shared) = (self.client.clone(), Arc::clone(&self.shared));
        Self { client, asked: false, ready: false, shared }
    }
}

impl Service<Request<ReplayBody<Whole>>> for Strict {
    type Response = Response<Incoming>;
    type Error = BoxError;
    type Future = futures_util::future::MapErr<
        hyper_util::client::legacy::ResponseFuture,
        fn(hyper_util::client::legacy::Error) -> BoxError,
    >;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        if self.shared.broken.load(Ordering::SeqCst) {
            return Poll::Ready(Err("broken".into()));
        }
        if !std::mem::replace(&mut self.asked, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Whole>>) -> Self::Future {
        self.asked = false;
        if !std::mem::take(&mut self.ready) {
            self.shared.misused.store(true, Ordering::SeqCst);
        }
        futures_util::TryFutureExt::map_err(self.client.call(request), Into::into)
    }
}

#[tokio::test]
async fn through_buffers_limits_and_the_layer_alone() {
    let strict = Strict::new();
    let echo = Echo::start().await;
    echo.exercise(echo.layer().layer(strict.clone())).await;
    let limited =
        ServiceBuilder::new().layer(echo.layer()).concurrency_limit(1).service(strict.clone());
    echo.exercise(limited).await;
    let echo = Echo::start().await;
    let above = ServiceBuilder::new().buffer(2).layer(echo.layer()).service(strict.clone());
    echo.exercise(above).await;
    let below = ServiceBuilder::new().layer(echo.layer()).buffer(2).service(strict.clone());
    echo.exercise(below).await;
    assert!(!strict.shared.misused.load(Ordering::SeqCst), "called without being ready");
}

#[tokio::test]
async fn while_a_token_is_awaited_the_ready_instance_waits_with_the_request() {
    let strict = Strict::new();
    for buffered in [false, true] {
        let (kit, gate) = (Kit::start(), Gate::closed());
        let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
        let tokens = TokenManager::builder(endpoint).seed(kit.seed()).build().unwrap();
        let mut service = kit.layer(&tokens).layer(strict.clone());
        let request = || Request::post(kit.server.api_url()).body(Whole::default()).unwrap();
        let mut answers = Vec::new();
        if buffered {
            let service = ServiceBuilder::new().buffer(2).service(service);
            for _ in 0..5 {
                answers.push(tokio::spawn(service.clone().oneshot(request())));
            }
        } else {
            for _ in 0..5 {
                let call = service.ready().await.unwrap().call(request());
                answers.push(tokio::spawn(call));
            }
        }
        gate.arrivals(1).await;
        gate.open();
        for answer in answers {
            assert_eq!(soon(answer).await.unwrap().unwrap().status(), 200);
        }
    }
    assert!(!strict.shared.misused.load(Ordering::SeqCst), "called without being ready");
}

#[tokio::test]
async fn what_readiness_reports_is_the_callers() {
    let strict = Strict::new();
    let echo = Echo::start().await;
    let mut service = echo.layer().layer(strict.clone());
    let first = service.ready().await.unwrap().call(echo.post(Whole::default()));
    assert_eq!(soon(first).await.unwrap().status(), 200);

    // The replay's instance is asked too; if it cannot, the caller has the refusal.
    echo.revoke();
    let replayed = service.ready().await.unwrap().call(echo.post(Whole::default()));
    strict.shared.broken.store(true, Ordering::SeqCst);
    assert_eq!(soon(replayed).await.unwrap().status(), 401);
    assert_eq!(echo.counts().0, 2);
    assert_eq!(soon(service.ready()).await.err().unwrap().to_string(), "broken");
}
