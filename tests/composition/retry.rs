//! `tower::retry`, above the layer and below it.

use std::future::{Ready, ready};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use http_body_util::channel::Channel;
use integration_tests::{BoxError, soon};
use token_core::http::ReplayBody;
use tower::retry::{Policy, RetryLayer};
use tower::{ServiceBuilder, ServiceExt};

use crate::support::{Echo, Whole, http1};

/// Sends idempotent requests again when the API is overloaded: the lines of `docs/composition.md`.
#[derive(Clone)]
struct Overloaded {
    left: usize,
}

impl Overloaded {
    fn again<R, E>(&mut self, result: &Result<Response<R>, E>) -> Option<Ready<()>> {
        let overloaded =
            result.as_ref().is_ok_and(|answer| answer.status() == StatusCode::SERVICE_UNAVAILABLE);
        self.left = self.left.checked_sub(usize::from(overloaded))?;
        overloaded.then(|| ready(()))
    }
}

/// The request with another body: for bodies that are no `Clone`.
fn copy<A, B>(request: &Request<A>, body: B) -> Request<B> {
    let mut copy = Request::new(body);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

/// Below the layer.
impl<B: Body, R, E> Policy<Request<ReplayBody<B>>, Response<R>, E> for Overloaded {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<ReplayBody<B>>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Ready<()>> {
        self.again(result)
    }

    fn clone_request(
        &mut self,
        request: &Request<ReplayBody<B>>,
    ) -> Option<Request<ReplayBody<B>>> {
        // A stream cannot be copied: it is sent once, and its answer is the caller's.
        let body = request.method().is_idempotent().then(|| request.body().try_clone())??;
        Some(copy(request, body))
    }
}

/// Above the layer.
impl<R, E> Policy<Request<Whole>, Response<R>, E> for Overloaded {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Whole>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Ready<()>> {
        self.again(result)
    }

    fn clone_request(&mut self, request: &Request<Whole>) -> Option<Request<Whole>> {
        request.method().is_idempotent().then(|| request.clone())
    }
}

fn put(echo: &Echo, body: Bytes) -> Request<Whole> {
    Request::put(echo.origin()).body(Full::new(body)).expect("a request")
}

fn retries() -> RetryLayer<Overloaded> {
    RetryLayer::new(Overloaded { left: 2 })
}

#[tokio::test]
async fn above_and_below_bodies_arrive_whole() {
    let echo = Echo::start().await;
    let above = ServiceBuilder::new().layer(retries()).layer(echo.layer()).service(http1());
    echo.exercise_with(above.clone(), |body| put(&echo, body)).await;
    let below = ServiceBuilder::new().layer(echo.layer()).layer(retries()).service(http1());
    echo.exercise_with(below.clone(), |body| put(&echo, body)).await;

    let (requests, token_requests) = echo.counts();
    echo.seen(|seen| seen.script.extend([503, 503]));
    crate::support::arrived(soon(above.oneshot(put(&echo, "abc".into()))).await.unwrap(), b"abc")
        .await;
    echo.seen(|seen| seen.script.extend([503, 503]));
    crate::support::arrived(soon(below.oneshot(put(&echo, "abc".into()))).await.unwrap(), b"abc")
        .await;
    assert_eq!(echo.counts(), (requests + 6, token_requests));
}

/// With two retries a request is sent three times; with the layer as its factor, six times at most.
#[tokio::test]
async fn attempts_multiply_to_twice_the_retries_at_most() {
    let echo = Echo::start().await;
    let above = ServiceBuilder::new().layer(retries()).layer(echo.layer()).service(http1());
    echo.seen(|seen| seen.script.extend([401, 503, 401, 503, 401, 503]));
    assert_eq!(soon(above.oneshot(put(&echo, "abc".into()))).await.unwrap().status(), 503);
    assert_eq!(echo.counts(), (6, 4), "each retry is a request of its own to the layer");

    let echo = Echo::start().await;
    let below = ServiceBuilder::new().layer(echo.layer()).layer(retries()).service(http1());
    echo.seen(|seen| seen.script.extend([503, 503, 401, 503, 503, 503]));
    assert_eq!(soon(below.oneshot(put(&echo, "abc".into()))).await.unwrap().status(), 503);
    assert_eq!(echo.counts(), (6, 2), "one replay, whatever happens below");
}

#[tokio::test]
async fn what_cannot_be_copied_is_not_retried_below() {
    let echo = Echo::start().await;
    let below = ServiceBuilder::new().layer(echo.layer()).layer(retries()).service(http1());
    echo.seen(|seen| seen.script.extend([503]));
    let (mut sender, body) = Channel::<Bytes, BoxError>::new(1);
    sender.send_data("abc".into()).await.unwrap();
    drop(sender);
    let request = Request::put(echo.origin()).body(body).unwrap();
    assert_eq!(soon(below.oneshot(request)).await.unwrap().status(), 503);
    assert_eq!(echo.counts().0, 1);
    // An order that is not idempotent neither.
    let below = ServiceBuilder::new().layer(echo.layer()).layer(retries()).service(http1());
    echo.seen(|seen| seen.script.extend([503]));
    assert_eq!(soon(below.oneshot(echo.post(Whole::default()))).await.unwrap().status(), 503);
    assert_eq!(echo.counts().0, 2);
}
