//! tower's own layers, above us and below.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Request, StatusCode, Uri};
use http_body_util::Full;
use integration_tests::{BoxError, Gate, Gated, Kit, poll_once, soon, until};
use token_core::TokenManager;
use token_core::http::NoToken;
use tokio::task::JoinSet;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::hedge::{Hedge, Policy};
use tower::limit::ConcurrencyLimitLayer;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::spawn_ready::SpawnReadyLayer;
use tower::steer::Steer;
use tower::util::{BoxCloneSyncService, MapRequestLayer};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{Echo, Whole, arrived, http1, pattern};

/// Fifty requests at once with a token that the API refuses: one renewal.
async fn fifty<S, R>(echo: &Echo, service: S, url: &str)
where
    S: Service<Request<Whole>, Response = http::Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: http_body::Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (_, token_requests) = echo.counts();
    echo.revoke();
    let mut callers = JoinSet::new();
    for number in 0..50 {
        let body = pattern(1000 + number);
        let request = Request::post(url).body(Full::new(body.clone())).expect("a request");
        let service = service.clone();
        callers.spawn(async move {
            let answer = service.oneshot(request).await.map_err(Into::into).expect("an answer");
            arrived(answer, &body).await;
        });
    }
    soon(callers.join_all()).await;
    assert_eq!(echo.kit.token_requests(), token_requests + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buffer_above_and_below() {
    let echo = Echo::start().await;
    let url = echo.origin().to_owned();
    let above = ServiceBuilder::new().buffer(4).layer(echo.layer()).service(http1());
    echo.exercise(above.clone()).await;
    fifty(&echo, above, &url).await;
    let echo = Echo::start().await;
    let url = echo.origin().to_owned();
    let below = ServiceBuilder::new().layer(echo.layer()).buffer(4).service(http1());
    echo.exercise(below.clone()).await;
    fifty(&echo, below, &url).await;
}

/// The caller can still ask the error what it is.
#[tokio::test]
async fn a_tokens_error_passes_a_buffer_and_a_limit() {
    let echo = Echo::start().await;
    echo.tokens.logout().await.unwrap();
    let service = ServiceBuilder::new()
        .buffer(4)
        .concurrency_limit(1)
        .timeout(Duration::from_secs(60))
        .layer(echo.layer())
        .service(http1());
    let error = soon(service.oneshot(echo.post(Whole::default()))).await.unwrap_err();
    assert!(error.downcast_ref::<token_core::Error>().unwrap().needs_login());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_one_above_and_below() {
    let echo = Echo::start().await;
    let url = echo.origin().to_owned();
    let above = ServiceBuilder::new().concurrency_limit(1).layer(echo.layer()).service(http1());
    echo.exercise(above.clone()).await;
    fifty(&echo, above, &url).await;
    let below = ServiceBuilder::new().layer(echo.layer()).concurrency_limit(1).service(http1());
    echo.exercise(below).await;
}

#[tokio::test]
async fn a_limit_of_one_lets_all_through_after_a_token_was_awaited() {
    for above in [true, false] {
        let (kit, gate) = (Kit::start(), Gate::closed());
        let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
        let tokens = TokenManager::builder(endpoint).seed(kit.seed()).build().unwrap();
        let limit = ConcurrencyLimitLayer::new(1);
        let service: BoxCloneSyncService<Request<Whole>, _, BoxError> = if above {
            BoxCloneSyncService::new(limit.layer(kit.layer(&tokens).layer(http1())))
        } else {
            BoxCloneSyncService::new(kit.layer(&tokens).layer(limit.layer(http1())))
        };
        let mut callers = JoinSet::new();
        for _ in 0..10 {
            let request = Request::post(kit.server.api_url()).body(Full::new(pattern(10))).unwrap();
            let service = service.clone();
            callers.spawn(async move { service.oneshot(request).await.unwrap().status() });
        }
        gate.arrivals(1).await;
        gate.open();
        assert_eq!(soon(callers.join_all()).await, [StatusCode::OK; 10]);
        assert_eq!(kit.token_requests(), 1);
    }
}

/// Why a limit goes above where somebody keeps places without using them, as `Balance` and `Steer` do.
#[tokio::test]
async fn a_replay_needs_a_place_of_its_own_in_a_limit_below() {
    let echo = Echo::start().await;
    let mut service =
        ServiceBuilder::new().layer(echo.layer()).concurrency_limit(1).service(http1());
    let mut idle = service.clone();
    echo.revoke();
    let mut answer = pin!(service.ready().await.unwrap().call(echo.post(Full::new(pattern(10)))));
    {
        // It queues up behind the first call, and so before the replay.
        let mut ready = pin!(idle.ready());
        assert!(poll_once(ready.as_mut()).is_pending());
        let ready = futures_util::future::select(answer.as_mut(), ready);
        assert!(matches!(soon(ready).await, Either::Right((Ok(_), _))), "a replay without a place");
    }
    let renewed = pin!(until(|| echo.kit.token_requests() == 2));
    let renewed = futures_util::future::select(answer.as_mut(), renewed);
    assert!(matches!(soon(renewed).await, Either::Right(_)), "a replay without a place");
    assert_eq!(echo.counts().0, 1);
    drop(idle);
    arrived(soon(answer).await.unwrap(), &pattern(10)).await;
}

#[tokio::test]
async fn load_shed_above_sheds_callers_and_below_no_replay() {
    let echo = Echo::start().await;
    let above =
        ServiceBuilder::new().load_shed().concurrency_limit(1).layer(echo.layer()).service(http1());
    echo.exercise(above.clone()).await;
    // A renewal takes its place until it is done.
    let (kit, gate) = (Kit::start(), Gate::closed());
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens = TokenManager::builder(endpoint).seed(kit.seed()).build().unwrap();
    let service = ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(1)
        .layer(kit.layer(&tokens))
        .service(http1());
    let request = || Request::post(kit.server.api_url()).body(Whole::default()).unwrap();
    let first = tokio::spawn(service.clone().oneshot(request()));
    gate.arrivals(1).await;
    let shed = soon(service.oneshot(request())).await.unwrap_err();
    assert!(shed.is::<tower::load_shed::error::Overloaded>(), "{shed}");
    gate.open();
    assert_eq!(soon(first).await.unwrap().unwrap().status(), 200);

    let below =
        ServiceBuilder::new().layer(echo.layer()).load_shed().concurrency_limit(1).service(http1());
    echo.exercise(below).await;
}

/// Why load is shed above.
#[tokio::test]
async fn load_shed_below_sheds_a_replay_whose_place_another_request_took() {
    let (kit, gate) = (Kit::start(), Gate::closed());
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens = TokenManager::builder(endpoint).seed(kit.valid_seed()).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(kit.layer(&tokens))
        .load_shed()
        .concurrency_limit(1)
        .service(http1());
    let request = || Request::post(kit.server.api_url()).body(Whole::default()).unwrap();
    kit.server.revoke_access_tokens();
    let refused = tokio::spawn(service.clone().oneshot(request()));
    gate.arrivals(1).await;
    kit.server.api_delay(HOUR);
    let mut other = request();
    other.extensions_mut().insert(NoToken::new());
    let other = tokio::spawn(service.oneshot(other));
    until(|| kit.server.counters().api_requests == 2).await;
    gate.open();
    let shed = soon(refused).await.unwrap().unwrap_err();
    assert!(shed.is::<tower::load_shed::error::Overloaded>(), "{shed}");
    other.abort();
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_rate_limit_above_counts_requests_and_below_attempts() {
    let echo = Echo::start().await;
    // Two requests, three attempts; the fourth has to wait.
    let below =
        ServiceBuilder::new().layer(echo.layer()).buffer(4).rate_limit(3, HOUR).service(http1());
    echo.exercise(below.clone()).await;
    let mut more = pin!(below.oneshot(echo.post(Whole::default())));
    assert!(poll_once(more.as_mut()).is_pending());
    let above =
        ServiceBuilder::new().buffer(4).rate_limit(2, HOUR).layer(echo.layer()).service(http1());
    echo.exercise(above).await;
}

/// Sends what has no origin to this one.
fn at(
    origin: &str,
) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + Send + Sync + 'static> {
    let authority: Authority = origin.trim_start_matches("http://").parse().expect("an authority");
    MapRequestLayer::new(move |mut request: Request<Body>| {
        let mut uri = std::mem::take(request.uri_mut()).into_parts();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(authority.clone());
        *request.uri_mut() = Uri::from_parts(uri).expect("a URI");
        request
    })
}

type Body = token_core::http::ReplayBody<Whole>;

/// How many servers were asked.
fn hosts(echo: &Echo) -> usize {
    let mut hosts: Vec<_> =
        echo.seen(|seen| seen.heads.iter().map(|head| head[HOST].clone()).collect());
    hosts.sort();
    hosts.dedup();
    hosts.len()
}

fn relative(body: Bytes) -> Request<Whole> {
    Request::post("/echo").body(Full::new(body)).expect("a request")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_balancing_below() {
    let echo = Echo::start().await;
    let twin = echo.twin().await;
    let endpoints = [echo.origin(), &twin.origin].map(|origin| {
        PendingRequests::new(at(origin).layer(http1()), CompleteOnResponse::default())
    });
    let service = ServiceBuilder::new()
        .layer(echo.layer())
        .buffer(16)
        .service(Balance::new(ServiceList::new::<Request<Body>>(endpoints)));
    echo.exercise_with(service.clone(), relative).await;
    fifty(&echo, service, "/echo").await;
    assert_eq!(hosts(&echo), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_balancing_above_with_a_limit_per_endpoint() {
    let echo = Echo::start().await;
    let twin = echo.twin().await;
    let endpoints = [echo.origin(), &twin.origin].map(|origin| {
        // The limit is above the layer: `Balance` keeps places of endpoints that it does not call.
        let endpoint = ServiceBuilder::new()
            .concurrency_limit(1)
            .layer(echo.layer())
            .layer(at(origin))
            .service(http1());
        PendingRequests::new(endpoint, CompleteOnResponse::default())
    });
    let service = ServiceBuilder::new()
        .buffer(16)
        .service(Balance::new(ServiceList::new::<Request<Whole>>(endpoints)));
    echo.exercise_with(service.clone(), relative).await;
    fifty(&echo, service, "/echo").await;
    assert_eq!(hosts(&echo), 2);
}

#[tokio::test]
async fn steer_between_two_apis_with_tokens_of_their_own() {
    let apis = [Echo::start().await, Echo::start().await];
    let services = apis.each_ref().map(|api| api.layer().layer(http1()));
    let first = apis[0].origin().to_owned();
    let mut service = Steer::new(services, move |request: &Request<Whole>, _: &[_]| {
        usize::from(!request.uri().to_string().starts_with(&first))
    });
    apis[0].exercise(&mut service).await;
    apis[1].exercise(&mut service).await;
}

#[tokio::test]
async fn a_filter_above_rejects_before_a_token_is_asked_for_and_below_after() {
    let reject = |request: Request<Whole>| match request.headers().contains_key("x-no") {
        true => Err(BoxError::from("no")),
        false => Ok(request),
    };
    let echo = Echo::start().await;
    let service = ServiceBuilder::new().filter(reject).layer(echo.layer()).service(http1());
    echo.exercise(service.clone()).await;
    let counts = echo.counts();
    let mut request = echo.post(Whole::default());
    request.headers_mut().insert("x-no", "1".parse().unwrap());
    assert_eq!(soon(service.oneshot(request)).await.unwrap_err().to_string(), "no");
    assert_eq!(echo.counts(), counts);

    let below = ServiceBuilder::new()
        .layer(echo.layer())
        .filter(|request: Request<Body>| match request.headers().contains_key("authorization") {
            true => Ok(request),
            false => Err("no token"),
        })
        .service(http1());
    echo.exercise(below).await;
}

#[derive(Clone)]
struct Twice;

impl Policy<Request<Whole>> for Twice {
    fn clone_request(&self, request: &Request<Whole>) -> Option<Request<Whole>> {
        Some(request.clone())
    }

    fn can_retry(&self, _: &Request<Whole>) -> bool {
        true
    }
}

#[tokio::test]
async fn hedge_and_spawn_ready_above() {
    let echo = Echo::start().await;
    // It has seen too little to send anything twice.
    let hedged = Hedge::new(echo.layer().layer(http1()), Twice, 1000, 0.9, HOUR);
    echo.exercise(hedged).await;
    echo.exercise(SpawnReadyLayer::new().layer(echo.layer().layer(http1()))).await;
}
