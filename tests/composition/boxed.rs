//! Services and bodies without their types, and what can be sent between threads.

use std::cell::Cell;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use integration_tests::BoxError;
use token_core::http::ReplayBody;
use tower::util::{BoxCloneService, BoxCloneSyncService, BoxService};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_token_refresh::{TokenRefresh, TokenRefreshLayer};

use crate::support::{Echo, Whole, http1};

type Answer = Response<Incoming>;
type Sent = Request<ReplayBody<Whole>>;

#[tokio::test]
async fn boxed_services_above() {
    let echo = Echo::start().await;
    let service = || echo.layer().layer(http1());
    echo.exercise(BoxCloneService::<Request<Whole>, Answer, BoxError>::new(service())).await;
    echo.exercise(BoxCloneSyncService::<Request<Whole>, Answer, BoxError>::new(service())).await;
    echo.exercise(BoxService::<Request<Whole>, Answer, BoxError>::new(service())).await;
}

#[tokio::test]
async fn boxed_services_below() {
    let echo = Echo::start().await;
    let client = || http1().map_err(BoxError::from);
    let cloned: BoxCloneService<Sent, Answer, BoxError> = client().boxed_clone();
    // It is not `Sync`, and the layer does not ask for that.
    echo.exercise(echo.layer().layer(cloned)).await;
    let sync: BoxCloneSyncService<Sent, Answer, BoxError> = BoxCloneSyncService::new(client());
    echo.exercise(echo.layer().layer(sync)).await;
}

#[tokio::test]
async fn boxed_bodies() {
    let echo = Echo::start().await;
    let stack = |layer: TokenRefreshLayer| ServiceBuilder::new().layer(layer);
    let unsync: fn(Whole) -> UnsyncBoxBody<Bytes, BoxError> =
        |body| body.map_err(Into::into).boxed_unsync();
    echo.exercise(MapRequestBodyLayer::new(unsync).layer(stack(echo.layer()).service(http1())))
        .await;
    let sync: fn(Whole) -> BoxBody<Bytes, BoxError> = |body| body.map_err(Into::into).boxed();
    echo.exercise(MapRequestBodyLayer::new(sync).layer(stack(echo.layer()).service(http1()))).await;
    let axum: fn(Whole) -> axum::body::Body = axum::body::Body::new;
    echo.exercise(MapRequestBodyLayer::new(axum).layer(stack(echo.layer()).service(http1()))).await;
    let echo = Echo::start().await;
    let tonic: fn(Whole) -> tonic::body::Body = tonic::body::Body::new;
    echo.exercise(MapRequestBodyLayer::new(tonic).layer(stack(echo.layer()).service(http1())))
        .await;
}

#[tokio::test]
async fn a_service_below_that_takes_one_body_type_gets_a_line_between() {
    let echo = Echo::start().await;
    let client: Client<HttpConnector, axum::body::Body> = http1();
    let service = ServiceBuilder::new()
        .layer(echo.layer())
        .layer(MapRequestBodyLayer::new(axum::body::Body::new))
        .service(client);
    echo.exercise(service).await;
}

/// A client that threads cannot share.
#[derive(Clone)]
struct NotSync {
    client: Client<HttpConnector, ReplayBody<Whole>>,
    _cell: PhantomData<Cell<()>>,
}

impl Service<Sent> for NotSync {
    type Response = Answer;
    type Error = hyper_util::client::legacy::Error;
    type Future = hyper_util::client::legacy::ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.client.poll_ready(cx)
    }

    fn call(&mut self, request: Sent) -> Self::Future {
        self.client.call(request)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_sync_can_be_sent_and_cloned_to_other_threads() {
    let echo = Echo::start().await;
    let service = echo.layer().layer(NotSync { client: http1(), _cell: PhantomData });
    for refused in [false, true] {
        if refused {
            echo.revoke();
        }
        let calls: Vec<_> = (0..10)
            .map(|_| tokio::spawn(service.clone().oneshot(echo.post(Full::new(Bytes::new())))))
            .collect();
        for call in calls {
            assert_eq!(integration_tests::soon(call).await.unwrap().unwrap().status(), 200);
        }
    }
    echo.exercise(service).await;
}

#[test]
fn what_is_sendable_below_is_sendable_with_the_layer() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>() {}
    type Over<S> = TokenRefresh<S>;
    type Future<S, B> = <Over<S> as Service<Request<B>>>::Future;
    type Hyper<B> = Client<HttpConnector, ReplayBody<B>>;

    shared::<Over<Hyper<Whole>>>();
    shared::<Over<Hyper<axum::body::Body>>>();
    shared::<Over<BoxCloneSyncService<Sent, Answer, BoxError>>>();
    shared::<TokenRefreshLayer>();
    sent::<Over<NotSync>>();
    sent::<Future<Hyper<Whole>, Whole>>();
    sent::<Future<Hyper<axum::body::Body>, axum::body::Body>>();
    sent::<Future<NotSync, Whole>>();
    sent::<Future<BoxCloneService<Sent, Answer, BoxError>, Whole>>();
    // A body is `Sync` if what is in it is.
    fn sync<T: Send + Sync>() {}
    sync::<ReplayBody<BoxBody<Bytes, BoxError>>>();
}
