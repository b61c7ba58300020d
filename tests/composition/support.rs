//! What the compositions share: a client, an API that echoes, and the two requests that every stack has to pass.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::body::Body as AxumBody;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Router, serve};
use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use integration_tests::{BoxError, Kit, event, soon};
use token_core::TokenManager;
use token_core::event::Event;
use token_core::http::Origins;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tower::{Service, ServiceExt};
use tower_token_refresh::TokenRefreshLayer;

/// A body in memory.
pub(crate) type Whole = Full<Bytes>;

/// hyper's client of HTTP/1.
pub(crate) fn http1<B>() -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

/// hyper's client of HTTP/2 with prior knowledge.
pub(crate) fn http2<B>() -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

/// Bytes that tell their place.
pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| (at / 7) as u8).collect()
}

/// Listens on a free port of loopback until it is dropped.
pub(crate) struct Server {
    pub(crate) origin: String,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            serve(listener, router).await.expect("it serves for ever");
        });
        Self { origin, task }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An API that asks the kit about tokens and streams each body back. A refusal does not wait for the body.
pub(crate) struct Echo {
    pub(crate) kit: Kit,
    pub(crate) tokens: TokenManager,
    state: EchoState,
    server: Server,
}

#[derive(Clone)]
struct EchoState {
    kit_api: String,
    client: Client<HttpConnector, Empty<Bytes>>,
    seen: Arc<Mutex<Seen>>,
}

/// What the API saw, and what it is to do.
#[derive(Default)]
pub(crate) struct Seen {
    /// The heads of all requests.
    pub(crate) heads: Vec<HeaderMap>,
    /// Bodies that came to their end.
    pub(crate) whole: usize,
    /// Bodies that broke off.
    pub(crate) broken: usize,
    /// Statuses to answer before tokens are looked at.
    pub(crate) script: VecDeque<u16>,
}

impl Echo {
    /// One that takes the manager's token.
    pub(crate) async fn start() -> Self {
        Self::with(|router| router).await
    }

    /// The same with layers of the server's own.
    pub(crate) async fn with(layer: impl FnOnce(Router) -> Router) -> Self {
        let kit = Kit::start();
        let tokens = kit.manager().build().expect("a manager");
        tokens.ready().await.expect("a token");
        let state =
            EchoState { kit_api: kit.server.api_url(), client: http1(), seen: Arc::default() };
        let router = layer(Router::new().fallback(answer).with_state(state.clone()));
        let server = Server::start(router).await;
        Self { kit, tokens, state, server }
    }

    /// Another server of the same API.
    pub(crate) async fn twin(&self) -> Server {
        Server::start(Router::new().fallback(answer).with_state(self.state.clone())).await
    }

    pub(crate) fn origin(&self) -> &str {
        &self.server.origin
    }

    /// The layer, for this API.
    pub(crate) fn layer(&self) -> TokenRefreshLayer {
        TokenRefreshLayer::new(
            self.tokens.clone(),
            Origins::only(self.origin()).expect("an origin").and_relative(),
        )
    }

    pub(crate) fn revoke(&self) {
        self.kit.server.revoke_access_tokens();
    }

    /// Waits for a renewal that nobody waits for, once `act` has brought it about.
    pub(crate) async fn renewed_after<T>(&self, act: impl Future<Output = T>) -> T {
        let mut events = self.tokens.events();
        let done = soon(act).await;
        event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
        done
    }

    pub(crate) fn post<B>(&self, body: B) -> Request<B> {
        Request::post(format!("{}/echo?a=1", self.origin())).body(body).expect("a request")
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.state.seen.lock().expect("no panic"))
    }

    /// Requests that the API saw, and token requests.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.seen(|seen| seen.heads.len()), self.kit.token_requests())
    }

    /// Sends through a stack: with a good token, then with one that the API refuses. Both bodies have to arrive whole,
    /// the second with one renewal and one replay. Four times in a row are too often: renewals after refusals have a pace.
    pub(crate) async fn exercise<S, R>(&self, service: S)
    where
        S: Service<Request<Whole>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Error: Into<BoxError>>,
    {
        self.exercise_with(service, |body| self.post(Full::new(body))).await;
    }

    /// The same with requests of the test's own making.
    pub(crate) async fn exercise_with<S, B, R>(
        &self,
        mut service: S,
        request: impl Fn(Bytes) -> Request<B>,
    ) where
        S: Service<Request<B>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Error: Into<BoxError>>,
    {
        let (requests, token_requests) = self.counts();
        for refused in [false, true] {
            if refused {
                self.revoke();
            }
            let body = pattern(10_000);
            let ready = soon(service.ready()).await.map_err(Into::into).expect("ready");
            let answer = soon(ready.call(request(body.clone()))).await.map_err(Into::into);
            arrived(answer.expect("an answer"), &body).await;
        }
        assert_eq!(self.counts(), (requests + 3, token_requests + 1), "one renewal, one replay");
    }
}

/// Asserts that a body came back whole.
pub(crate) async fn arrived<R: Body<Error: Into<BoxError>>>(answer: Response<R>, body: &[u8]) {
    let (status, back) = read(answer).await;
    assert_eq!((status, back.len()), (StatusCode::OK, body.len()));
    assert!(back == body, "other bytes came back");
}

/// An answer's status and body.
pub(crate) async fn read<R: Body<Error: Into<BoxError>>>(
    answer: Response<R>,
) -> (StatusCode, Bytes) {
    let (head, body) = answer.into_parts();
    let body = soon(body.collect()).await.map_err(Into::into).expect("a whole answer");
    (head.status, body.to_bytes())
}

async fn answer(State(state): State<EchoState>, request: Request<AxumBody>) -> Response<AxumBody> {
    let (mut head, mut body) = request.into_parts();
    let scripted = {
        let mut seen = state.seen.lock().expect("no panic");
        seen.heads.push(head.headers.clone());
        seen.script.pop_front()
    };
    if let Some(status) = scripted {
        return StatusCode::from_u16(status).expect("a status").into_response();
    }
    let mut check = Request::get(&state.kit_api).body(Empty::new()).expect("a request");
    if let Some(value) = head.headers.remove(AUTHORIZATION) {
        check.headers_mut().insert(AUTHORIZATION, value);
    }
    let verdict = state.client.request(check).await.expect("the kit is there");
    if verdict.status() != StatusCode::OK {
        let mut refusal = verdict.map(|_| AxumBody::from("refused"));
        refusal.headers_mut().remove(http::header::CONTENT_LENGTH);
        refusal.headers_mut().remove(HOST);
        return refusal;
    }
    let (sender, echo) = mpsc::channel::<Result<Frame<Bytes>, BoxError>>(1);
    tokio::spawn(async move {
        let whole = loop {
            match body.frame().await {
                None => break true,
                Some(Ok(frame)) => {
                    if sender.send(Ok(frame)).await.is_err() {
                        break false;
                    }
                }
                Some(Err(_)) => break false,
            }
        };
        if !whole {
            // Its caller may be gone.
            _ = sender.send(Err("the upload broke off".into())).await;
        }
        let mut seen = state.seen.lock().expect("no panic");
        if whole {
            seen.whole += 1
        } else {
            seen.broken += 1
        };
    });
    Response::new(AxumBody::new(StreamBody::new(ReceiverStream::new(echo))))
}
