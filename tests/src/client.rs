//! A client of the API: the layer under test around hyper's client.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use sha2::{Digest, Sha256};
use token_core::http::ReplayBody;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};
use tower_token_refresh::{TokenRefresh, TokenRefreshLayer};

use crate::{BoxError, Gate, soon};

/// The most requests that are on the wire at once.
const SOCKETS: usize = 256;

/// A body of any kind.
pub type TestBody = BoxBody<Bytes, BoxError>;

/// No body.
pub fn empty() -> TestBody {
    whole(Bytes::new())
}

/// A body that is in memory.
pub fn whole(bytes: impl Into<Bytes>) -> TestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// The layer around the wire.
pub type Layered<B> = TokenRefresh<Wire<B>>;

/// Sends requests through the layer, and reads the answers whole.
#[derive(Debug)]
pub struct ApiClient<B: Body + Unpin> {
    service: Layered<B>,
    url: String,
}

impl<B: Body + Unpin> Clone for ApiClient<B> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), url: self.url.clone() }
    }
}

impl<B> ApiClient<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError> + Send,
{
    /// A client over at most 256 HTTP/1.1 connections.
    pub fn new(layer: TokenRefreshLayer, url: String) -> Self {
        let client =
            Client::builder(TokioExecutor::new()).pool_max_idle_per_host(SOCKETS).build_http();
        Self { service: layer.layer(Wire::new(client)), url }
    }

    /// A client over one HTTP/2 connection.
    pub fn http2(layer: TokenRefreshLayer, url: String) -> Self {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        Self { service: layer.layer(Wire::new(client)), url }
    }

    /// A request to a path below the API's URL.
    ///
    /// # Panics
    ///
    /// Such a path does not exist.
    pub fn request(&self, method: &str, path: &str, body: B) -> Request<B> {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .body(body)
            .expect("a valid request")
    }

    /// Sends one.
    ///
    /// # Errors
    ///
    /// The layer gave no token, or the connection failed.
    pub fn send(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Answer, BoxError>> + Send + use<B> {
        let answer = self.service.clone().oneshot(request);
        // Boxed: rustc cannot tell that it is `Send` once `B` is known to have a boxed error.
        let answer: Pin<Box<dyn Future<Output = Result<Answer, BoxError>> + Send>> =
            Box::pin(async move {
                let (head, body) = soon(answer).await?.into_parts();
                let Ok(body) = soon(body.collect()).await;
                Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
            });
        answer
    }
}

impl ApiClient<TestBody> {
    /// `GET` of a path below the API's URL.
    ///
    /// # Panics
    ///
    /// There is no answer.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path, empty())).await.expect("an answer")
    }

    /// `POST` of a body that is in memory.
    ///
    /// # Panics
    ///
    /// There is no answer.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(self.request("POST", path, whole(body))).await.expect("an answer")
    }

    /// The error of a `GET` for which no token could be had.
    ///
    /// # Panics
    ///
    /// There is an answer, or the error is not a token's.
    pub async fn token_error(&self) -> token_core::Error {
        let error = self.send(self.request("GET", "", empty())).await.expect_err("no token");
        *error.downcast().expect("a token's error")
    }
}

/// An answer of the API.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

impl Answer {
    /// Whether the API took the token and says that it received just these bytes.
    pub fn received(&self, body: &[u8]) -> bool {
        let echo: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        self.status == StatusCode::OK
            && echo["body_bytes"] == body.len()
            && echo["body_sha256"] == hash.as_str()
    }

    /// The fingerprint of the token that the API saw.
    pub fn token(&self) -> String {
        let echo: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        echo["token"].as_str().unwrap_or_default().to_owned()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A request extension: counts how often the request was put on the wire.
#[derive(Clone, Debug, Default)]
pub struct Sends(Arc<AtomicUsize>);

impl Sends {
    /// How often so far.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A request extension: holds the first answer back until the gate is open.
#[derive(Clone, Debug)]
pub struct HoldAnswer(Gate);

impl HoldAnswer {
    /// At this gate.
    pub fn at(gate: &Gate) -> Self {
        Self(gate.clone())
    }
}

/// hyper's client, with at most 256 requests on the wire. The limit is below the layer, so that all requests meet the
/// same token.
#[derive(Debug)]
pub struct Wire<B: Body + Unpin> {
    client: Client<HttpConnector, ReplayBody<B>>,
    permits: Arc<Semaphore>,
}

impl<B: Body + Unpin> Wire<B> {
    fn new(client: Client<HttpConnector, ReplayBody<B>>) -> Self {
        Self { client, permits: Arc::new(Semaphore::new(SOCKETS)) }
    }
}

impl<B: Body + Unpin> Clone for Wire<B> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), permits: Arc::clone(&self.permits) }
    }
}

impl<B> Service<Request<ReplayBody<B>>> for Wire<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<BoxError> + Send,
{
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<B>>) -> Self::Future {
        let Self { client, permits } = self.clone();
        Box::pin(async move {
            let sends = request.extensions().get::<Sends>().cloned();
            let sent_before = sends.map_or(0, |sends| sends.0.fetch_add(1, Ordering::SeqCst));
            let hold =
                request.extensions().get::<HoldAnswer>().cloned().filter(|_| sent_before == 0);
            let answer = {
                let _permit = permits.acquire().await?;
                let (head, body) = client.request(request).await?.into_parts();
                Response::from_parts(head, Full::new(body.collect().await?.to_bytes()))
            };
            if let Some(HoldAnswer(gate)) = hold {
                gate.pass().await;
            }
            Ok(answer)
        })
    }
}
