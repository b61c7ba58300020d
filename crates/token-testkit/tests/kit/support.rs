//! A small client for the tests: one token request, one API request, and how each ended.

use std::{future::Future, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Version, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};

/// What waits longer than this waits for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a readable header"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).expect("a JSON body")
    }

    pub(crate) fn text(&self, field: &str) -> String {
        let json = self.json();
        json[field].as_str().unwrap_or_else(|| panic!("no {field} in {json}")).to_owned()
    }

    pub(crate) fn error(&self) -> (u16, String) {
        (self.status.as_u16(), self.text("error"))
    }
}

#[derive(Clone)]
pub(crate) struct Caller(Client<HttpConnector, Full<Bytes>>);

impl Caller {
    pub(crate) fn http1() -> Self {
        Self(Client::builder(TokioExecutor::new()).build(connector()))
    }

    pub(crate) fn http2() -> Self {
        Self(Client::builder(TokioExecutor::new()).http2_only(true).build(connector()))
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Received, Error> {
        let (head, body) = soon(self.0.request(request)).await?.into_parts();
        let bytes = soon(body.collect()).await.expect("a whole body").to_bytes();
        Ok(Received { status: head.status, version: head.version, headers: head.headers, bytes })
    }

    /// A token request with this form and, if given, these Basic credentials.
    pub(crate) async fn token(
        &self,
        server: &AuthorizationServer,
        basic: Option<&str>,
        form: &[(&str, &str)],
    ) -> Result<Received, Error> {
        self.send(token_request(&server.token_url(), basic, form)).await
    }

    /// A refresh by the default client.
    pub(crate) async fn refresh(
        &self,
        server: &AuthorizationServer,
        refresh_token: &str,
    ) -> Result<Received, Error> {
        self.refresh_at(&server.token_url(), refresh_token).await
    }

    /// The same, for a task that cannot borrow the server.
    pub(crate) async fn refresh_at(
        &self,
        token_url: &str,
        refresh_token: &str,
    ) -> Result<Received, Error> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.send(token_request(token_url, Some(&default_basic()), &form)).await
    }

    /// The same, if a whole answer came.
    pub(crate) async fn try_refresh(
        &self,
        server: &AuthorizationServer,
        refresh_token: &str,
    ) -> Option<Received> {
        let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        let request = token_request(&server.token_url(), Some(&default_basic()), &form);
        let (head, body) = soon(self.0.request(request)).await.ok()?.into_parts();
        let bytes = soon(body.collect()).await.ok()?.to_bytes();
        Some(Received { status: head.status, version: head.version, headers: head.headers, bytes })
    }

    pub(crate) async fn api(
        &self,
        server: &AuthorizationServer,
        method: Method,
        path: &str,
        authorization: &[&str],
        body: &'static [u8],
    ) -> Received {
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", server.api_url()));
        for value in authorization {
            request = request.header(header::AUTHORIZATION, *value);
        }
        let request = request.body(Bytes::from_static(body).into()).expect("a valid request");
        self.send(request).await.expect("an answer")
    }

    /// Whether the API takes this access token.
    pub(crate) async fn accepted(&self, server: &AuthorizationServer, access_token: &str) -> bool {
        let bearer = format!("Bearer {access_token}");
        let received = self.api(server, Method::GET, "/thing", &[&bearer], b"").await;
        match received.status.as_u16() {
            200 => true,
            401 => false,
            other => panic!("unexpected {other}"),
        }
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    // Or small frames wait for acknowledgements that are late on purpose.
    connector.set_nodelay(true);
    connector
}

fn token_request(url: &str, basic: Option<&str>, form: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let mut request =
        Request::post(url).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    if let Some(pair) = basic {
        let value = format!("Basic {}", STANDARD.encode(pair));
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(body.into()).expect("a valid request")
}

pub(crate) fn default_basic() -> String {
    format!("{DEFAULT_CLIENT_ID}:{DEFAULT_CLIENT_SECRET}")
}

pub(crate) fn start() -> AuthorizationServer {
    AuthorizationServer::start().expect("a server")
}

/// Fails a test that would otherwise wait for ever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("done in time")
}

/// Waits for something that the server does after the client has left.
pub(crate) async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
