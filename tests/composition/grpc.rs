//! A generated tonic client over the layer.

use std::time::Duration;

use futures_util::stream;
use integration_tests::{BoxError, Kit, event, soon, until};
use token_core::TokenManager;
use token_core::event::Event;
use token_core::http::{Origins, ReplayBody};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::map_request_body::{MapRequestBody, MapRequestBodyLayer};
use tower_token_refresh::{TokenRefresh, TokenRefreshLayer};

use crate::grpc_server::generated::Parcel;
use crate::grpc_server::generated::parcels_client::ParcelsClient;
use crate::grpc_server::{FOREVER, GrpcServer, UNAUTHENTICATED, weight_of};

/// A tonic channel with the layer, for those who have to write its type.
type Authenticated = TokenRefresh<MapRequestBody<Channel, fn(ReplayBody<Body>) -> Body>>;

fn authenticated(channel: Channel, layer: TokenRefreshLayer) -> Authenticated {
    ServiceBuilder::new()
        .layer(layer)
        .layer(MapRequestBodyLayer::new(Body::new as fn(ReplayBody<Body>) -> Body))
        .service(channel)
}

struct Setup {
    kit: Kit,
    tokens: TokenManager,
    server: GrpcServer,
    channel: Channel,
}

impl Setup {
    async fn new() -> Self {
        let kit = Kit::start();
        let tokens = kit.manager().build().expect("a manager");
        tokens.ready().await.expect("a token");
        let server = GrpcServer::start().await;
        let channel = Endpoint::new(server.origin().to_owned())
            .expect("an endpoint")
            .connect()
            .await
            .expect("a connection");
        Self { kit, tokens, server, channel }
    }

    fn layer(&self) -> TokenRefreshLayer {
        let origins = Origins::only(self.server.origin()).expect("an origin").and_relative();
        TokenRefreshLayer::new(self.tokens.clone(), origins)
    }

    fn client(&self) -> ParcelsClient<Authenticated> {
        ParcelsClient::new(authenticated(self.channel.clone(), self.layer()))
    }

    fn revoke(&self) {
        self.server.revoke(&self.tokens);
    }

    /// Requests that the server saw, and token requests.
    fn counts(&self) -> (usize, u64) {
        (self.server.heads().len(), self.kit.token_requests())
    }
}

fn parcel(content: &[u8]) -> Parcel {
    Parcel { content: content.to_vec() }
}

#[tokio::test]
async fn unary() {
    let setup = Setup::new().await;
    let mut client = setup.client();
    for refused in [false, true] {
        if refused {
            setup.revoke();
        }
        let weight = soon(client.weigh(parcel(b"one"))).await.unwrap().into_inner();
        assert_eq!(weight, weight_of([b"one".as_slice()]));
    }
    assert_eq!(setup.counts(), (3, 2));
}

#[tokio::test]
async fn server_streaming() {
    let setup = Setup::new().await;
    let mut client = setup.client();
    for refused in [false, true] {
        if refused {
            setup.revoke();
        }
        let mut parts = soon(client.split(parcel(b"a,b,c"))).await.unwrap().into_inner();
        for part in [b"a", b"b", b"c"] {
            assert_eq!(soon(parts.message()).await.unwrap().unwrap().content, part);
        }
        assert!(soon(parts.message()).await.unwrap().is_none());
    }
    assert_eq!(setup.counts(), (3, 2));
}

#[tokio::test]
async fn client_streaming() {
    let setup = Setup::new().await;
    let mut client = setup.client();
    let contents: Vec<Vec<u8>> = (0..30_u8).map(|number| vec![number; 1000]).collect();
    for refused in [false, true] {
        if refused {
            setup.revoke();
        }
        let parcels: Vec<_> = contents.iter().map(|content| parcel(content)).collect();
        let weight = soon(client.collect(stream::iter(parcels))).await.unwrap().into_inner();
        assert_eq!(weight, weight_of(contents.iter().map(Vec::as_slice)));
    }
    assert_eq!(setup.counts(), (3, 2));
}

/// The refusal comes before most of the stream was sent, and so does the replay.
#[tokio::test]
async fn client_streaming_that_goes_on_after_the_refusal() {
    let setup = Setup::new().await;
    let mut client = setup.client();
    setup.revoke();
    let (sender, receiver) = mpsc::channel(1);
    let answer = tokio::spawn(async move { client.collect(ReceiverStream::new(receiver)).await });
    soon(sender.send(parcel(b"first"))).await.unwrap();
    until(|| setup.counts().0 == 2).await;
    for _ in 0..200 {
        soon(sender.send(parcel(&[7; 1000]))).await.unwrap();
    }
    drop(sender);
    let weight = soon(answer).await.unwrap().unwrap().into_inner();
    let rest = std::iter::repeat_n([7; 1000].as_slice(), 200);
    assert_eq!(weight, weight_of(std::iter::once(b"first".as_slice()).chain(rest)));
    assert_eq!(setup.counts(), (2, 2));
}

#[tokio::test]
async fn client_streaming_past_the_limit_gets_status_16_and_the_next_call_a_new_token() {
    let setup = Setup::new().await;
    let mut client =
        ParcelsClient::new(authenticated(setup.channel.clone(), setup.layer().body_limit(0)));
    setup.revoke();
    let parcels = || stream::iter((0..10).map(|_| parcel(&[7; 1000])));
    let mut events = setup.tokens.events();
    let status = soon(client.collect(parcels())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
    assert_eq!(soon(client.collect(parcels())).await.unwrap().into_inner().bytes, 10_000);
    assert_eq!(setup.counts(), (2, 2));
}

#[tokio::test]
async fn bidirectional_streaming() {
    let setup = Setup::new().await;
    let mut client = setup.client();
    for refused in [false, true] {
        if refused {
            setup.revoke();
        }
        let (sender, receiver) = mpsc::channel(1);
        let mut weights =
            soon(client.exchange(ReceiverStream::new(receiver))).await.unwrap().into_inner();
        for number in 0..20_u8 {
            let content = [number; 1000];
            soon(sender.send(parcel(&content))).await.unwrap();
            let weight = soon(weights.message()).await.unwrap().unwrap();
            assert_eq!(weight, weight_of([content.as_slice()]));
        }
        drop(sender);
        assert!(soon(weights.message()).await.unwrap().is_none());
    }
    assert_eq!(setup.counts(), (3, 2));
}

#[tokio::test]
async fn status_16_after_messages_is_the_callers() {
    let setup = Setup::new().await;
    let mut client = setup.client();
    let content = [b"a,".as_slice(), UNAUTHENTICATED].concat();
    let mut parts = soon(client.split(parcel(&content))).await.unwrap().into_inner();
    assert_eq!(soon(parts.message()).await.unwrap().unwrap().content, b"a");
    assert_eq!(soon(parts.message()).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(setup.counts(), (1, 1), "neither replayed nor renewed");
}

#[tokio::test]
async fn requests_have_no_origin_unless_the_client_is_given_one() {
    let setup = Setup::new().await;
    let origin = setup.server.origin();
    let strict = || {
        let layer = TokenRefreshLayer::new(setup.tokens.clone(), Origins::only(origin).unwrap());
        authenticated(setup.channel.clone(), layer)
    };
    let status = soon(ParcelsClient::new(strict()).weigh(parcel(b"x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(!setup.server.heads()[0].contains_key("authorization"));

    let mut client = ParcelsClient::with_origin(strict(), origin.parse().unwrap());
    soon(client.weigh(parcel(b"x"))).await.unwrap();
    setup.revoke();
    soon(client.weigh(parcel(b"x"))).await.unwrap();
    assert_eq!(setup.counts(), (4, 2));
}

#[tokio::test]
async fn metadata_and_the_deadline_are_sent_again() {
    let setup = Setup::new().await;
    setup.revoke();
    let mut request = tonic::Request::new(parcel(b"x"));
    request.set_timeout(Duration::from_secs(60));
    request.metadata_mut().insert("x-order", "42".parse().unwrap());
    request
        .metadata_mut()
        .insert_bin("x-order-bin", tonic::metadata::MetadataValue::from_bytes(b"\0\xff"));
    soon(setup.client().weigh(request)).await.unwrap();
    let heads = setup.server.heads();
    assert_eq!(heads.len(), 2);
    for name in ["grpc-timeout", "x-order", "x-order-bin", "te", "content-type"] {
        assert!(heads[0].contains_key(name), "{name}");
        assert_eq!(heads[0].get(name), heads[1].get(name), "{name}");
    }
    assert_ne!(heads[0]["authorization"], heads[1]["authorization"]);
}

#[tokio::test]
async fn a_deadline_that_passes_is_an_error_of_its_own() {
    let setup = Setup::new().await;
    let mut request = tonic::Request::new(parcel(FOREVER));
    request.set_timeout(Duration::from_secs(2));
    let status = soon(setup.client().weigh(request)).await.unwrap_err();
    // The server's and the channel's clocks race; both say that there was no time.
    assert!(matches!(status.code(), Code::Cancelled | Code::DeadlineExceeded), "{status:?}");
    assert_eq!(setup.counts(), (1, 1));
}

#[tokio::test]
async fn an_interceptor_above() {
    let setup = Setup::new().await;
    let add = |mut request: tonic::Request<()>| {
        request.metadata_mut().insert("x-tenant", "a".parse().expect("a value"));
        Ok(request)
    };
    let service = authenticated(setup.channel.clone(), setup.layer());
    let mut client = ParcelsClient::with_interceptor(service, add);
    for refused in [false, true] {
        if refused {
            setup.revoke();
        }
        soon(client.weigh(parcel(b"x"))).await.unwrap();
    }
    assert_eq!(setup.counts(), (3, 2));
    assert!(setup.server.heads().iter().all(|head| head["x-tenant"] == "a"));

    let refuse = |_: tonic::Request<()>| Err(Status::permission_denied("not here"));
    let service = authenticated(setup.channel.clone(), setup.layer());
    let mut client = ParcelsClient::with_interceptor(service, refuse);
    let status = soon(client.weigh(parcel(b"x"))).await.unwrap_err();
    assert_eq!((status.code(), setup.counts().0), (Code::PermissionDenied, 3));
}

#[tokio::test]
async fn a_boxed_stack() {
    let setup = Setup::new().await;
    let service = authenticated(setup.channel.clone(), setup.layer());
    let boxed: tower::util::BoxCloneService<http::Request<Body>, http::Response<Body>, BoxError> =
        service.boxed_clone();
    let mut client = ParcelsClient::new(boxed);
    setup.revoke();
    soon(client.weigh(parcel(b"x"))).await.unwrap();
    assert_eq!(setup.counts(), (2, 2));
}

/// tonic knows no token error: it is `Unknown`, with the error as its source.
#[tokio::test]
async fn no_token_is_an_unknown_status_with_the_error_as_its_source() {
    let setup = Setup::new().await;
    setup.tokens.logout().await.unwrap();
    let status = soon(setup.client().weigh(parcel(b"x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unknown);
    let source = std::error::Error::source(&status).unwrap();
    let error = source.downcast_ref::<token_core::Error>().unwrap();
    assert!(error.needs_login());
    assert_eq!(status.message(), error.to_string());
    assert_eq!(setup.counts().0, 0);
}

/// The lines of `docs/composition.md`.
fn status_of(error: BoxError) -> BoxError {
    match error.downcast::<token_core::Error>() {
        Ok(error) if error.is_transient() => Status::unavailable(error.to_string()).into(),
        Ok(error) => Status::unauthenticated(error.to_string()).into(),
        Err(other) => other,
    }
}

#[tokio::test]
async fn a_line_above_makes_no_token_a_status_of_ones_own() {
    let setup = Setup::new().await;
    let client = || {
        let service = authenticated(setup.channel.clone(), setup.layer());
        ParcelsClient::new(ServiceBuilder::new().map_err(status_of).service(service))
    };
    soon(client().weigh(parcel(b"x"))).await.unwrap();
    setup.kit.server.always(Some(token_testkit::Fault::status(503)));
    setup.tokens.expire_locally();
    let status = soon(client().weigh(parcel(b"x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    setup.tokens.logout().await.unwrap();
    let status = soon(client().weigh(parcel(b"x"))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(setup.counts().0, 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_as_without_the_layer() {
    let setup = Setup::new().await;
    let gone = {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let channel = Endpoint::new(format!("http://{gone}")).unwrap().connect_lazy();
    let bare = soon(ParcelsClient::new(channel.clone()).weigh(parcel(b"x"))).await.unwrap_err();
    let mut client = ParcelsClient::new(authenticated(channel, setup.layer()));
    let ours = soon(client.weigh(parcel(b"x"))).await.unwrap_err();
    assert_eq!((bare.code(), ours.code()), (Code::Unavailable, Code::Unavailable));
}
