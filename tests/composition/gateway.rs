//! An axum server that has the client in its state and streams in both directions.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{Request, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use integration_tests::{BoxError, soon, until};
use token_core::http::ReplayBody;
use tokio::task::JoinSet;
use tower::util::{BoxCloneSyncService, MapResponseLayer};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_token_refresh::TokenRefresh;

use crate::support::{Echo, Server, arrived, http1, http2, pattern, read};

/// The client with its types, and without.
type Concrete = TokenRefresh<Client<HttpConnector, ReplayBody<Body>>>;
type Erased = BoxCloneSyncService<Request<Body>, Response, BoxError>;

#[derive(Clone)]
struct Upstream<C> {
    client: C,
    origin: String,
}

async fn by_type(State(upstream): State<Upstream<Concrete>>, request: Request<Body>) -> Response {
    let request = upstream.forwarded(request);
    match upstream.client.oneshot(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => failed(&error),
    }
}

async fn erased(State(upstream): State<Upstream<Erased>>, request: Request<Body>) -> Response {
    let request = upstream.forwarded(request);
    upstream.client.oneshot(request).await.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &BoxError) -> Response {
    let status = match error.downcast_ref::<token_core::Error>() {
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        None => StatusCode::BAD_GATEWAY,
    };
    status.into_response()
}

impl<C> Upstream<C> {
    /// Another origin, and not the caller's credentials: the layer would leave a header of the caller's own alone.
    fn forwarded(&self, request: Request<Body>) -> Request<Body> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        head.uri = format!("{}{path}", self.origin).parse().expect("a URI");
        head.headers.remove(HOST);
        head.headers.remove(AUTHORIZATION);
        head.version = http::Version::default();
        Request::from_parts(head, body)
    }
}

/// Both gateways before one API.
async fn gateways(echo: &Echo) -> [Server; 2] {
    let origin = echo.origin().to_owned();
    let client: Concrete = echo.layer().layer(http1());
    let concrete = Router::new()
        .fallback(by_type)
        .with_state(Upstream { client: client.clone(), origin: origin.clone() });
    let client: Erased = BoxCloneSyncService::new(
        ServiceBuilder::new()
            .layer(MapResponseLayer::new(|answer: http::Response<hyper::body::Incoming>| {
                answer.map(Body::new)
            }))
            .service(client),
    );
    let erased = Router::new().fallback(erased).with_state(Upstream { client, origin });
    [Server::start(concrete).await, Server::start(erased).await]
}

type Caller = Client<HttpConnector, Channel<Bytes, BoxError>>;

fn upload(gateway: &Server) -> (Sender<Bytes, BoxError>, Request<Channel<Bytes, BoxError>>) {
    let (sender, body) = Channel::new(1);
    let request =
        Request::post(format!("{}/echo", gateway.origin)).header(AUTHORIZATION, "Basic x");
    (sender, request.body(body).expect("a request"))
}

#[tokio::test]
async fn a_gateway_streams_both_ways() {
    let echo = Echo::start().await;
    for (number, gateway) in gateways(&echo).await.iter().enumerate() {
        for (caller, refused) in [(http1(), false), (http2(), true)] as [(Caller, bool); 2] {
            if refused {
                echo.revoke();
            }
            let (mut sender, request) = upload(gateway);
            let mut answer = soon(caller.request(request)).await.unwrap();
            assert_eq!(answer.status(), 200);
            for piece in 0..200_u8 {
                soon(sender.send_data(Bytes::from(vec![piece; 1000]))).await.unwrap();
                let mut back = Vec::new();
                while back.len() < 1000 {
                    let frame = soon(answer.frame()).await.unwrap().unwrap();
                    back.extend_from_slice(&frame.into_data().unwrap());
                }
                assert_eq!(back, [piece; 1000]);
            }
            drop(sender);
            assert_eq!(read(answer).await.1.len(), 0);
        }
        assert_eq!(echo.counts(), (3 * (number + 1), 2 + number as u64));
        assert_eq!(echo.seen(|seen| seen.whole), 2 * (number + 1));
    }
}

#[tokio::test]
async fn fifty_callers_of_a_gateway_share_one_renewal() {
    let echo = Echo::start().await;
    for (number, gateway) in gateways(&echo).await.iter().enumerate() {
        echo.revoke();
        let mut callers = JoinSet::new();
        let client: Client<HttpConnector, Full<Bytes>> = http1();
        for caller in 0..50 {
            let body = pattern(1000 + caller);
            let url = format!("{}/echo", gateway.origin);
            let request = Request::post(url).body(Full::new(body.clone())).unwrap();
            let client = client.clone();
            callers.spawn(async move {
                arrived(client.request(request).await.unwrap(), &body).await;
            });
        }
        soon(callers.join_all()).await;
        assert_eq!(echo.kit.token_requests(), 2 + number as u64);
    }
}

#[tokio::test]
async fn an_upload_past_the_limit_gets_the_refusal_and_the_next_caller_a_new_token() {
    let echo = Echo::start().await;
    for gateway in gateways(&echo).await {
        echo.revoke();
        let client: Client<HttpConnector, Full<Bytes>> = http2();
        let send = |length| {
            let request = Request::post(format!("{}/echo", gateway.origin));
            client.request(request.body(Full::new(pattern(length))).unwrap())
        };
        assert_eq!(echo.renewed_after(send(1_000_000)).await.unwrap().status(), 401);
        assert_eq!(echo.seen(|seen| seen.whole), 0, "no shortened upload was accepted");
        arrived(soon(send(1_000_000)).await.unwrap(), &pattern(1_000_000)).await;
        echo.seen(|seen| seen.whole = 0);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_half_way_breaks_its_upload_and_nothing_else() {
    let echo = Echo::start().await;
    for (number, gateway) in gateways(&echo).await.iter().enumerate() {
        for refused in [false, true] {
            if refused {
                echo.revoke();
            }
            let caller: Caller = http1();
            let (mut sender, request) = upload(gateway);
            let mut answer = soon(caller.request(request)).await.unwrap();
            soon(sender.send_data(pattern(1000))).await.unwrap();
            soon(answer.frame()).await.unwrap().unwrap();
            // Not the end of the upload: the end of its caller.
            sender.abort("gone".into());
            drop((answer, caller));
            let broken = 2 * number + usize::from(refused) + 1;
            until(|| echo.seen(|seen| seen.broken) == broken).await;
        }
        let client: Client<HttpConnector, Full<Bytes>> = http1();
        let request = Request::post(format!("{}/echo", gateway.origin));
        let answer = client.request(request.body(Full::new(pattern(10))).unwrap());
        arrived(soon(answer).await.unwrap(), &pattern(10)).await;
    }
    assert_eq!(echo.seen(|seen| seen.whole), 2);
}

#[tokio::test]
async fn a_caller_learns_that_there_is_no_token() {
    let echo = Echo::start().await;
    let gateways = gateways(&echo).await;
    echo.tokens.logout().await.unwrap();
    for gateway in gateways {
        let client: Client<HttpConnector, Full<Bytes>> = http1();
        let request = Request::post(format!("{}/echo", gateway.origin));
        let answer = client.request(request.body(Full::new(pattern(10))).unwrap());
        assert_eq!(soon(answer).await.unwrap().status(), 503);
    }
    assert_eq!(echo.counts().0, 0);
}
