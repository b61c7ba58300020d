//! The kit's server with somebody logged in, and what talks to its token endpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::http::Origins;
use token_core::{RefreshError, TokenManager, TokenManagerBuilder, TokenSet};
use token_testkit::{
    AuthorizationServer, Builder, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Login,
};
use tokio::sync::Semaphore;
use tower_token_refresh::{HyperEndpoint, TokenRefreshLayer};

use crate::client::{ApiClient, TestBody};

/// The token endpoint's client: real sockets, no TLS.
pub type Http = HyperEndpoint<Client<HttpConnector, Full<Bytes>>>;

/// A server and a login of its default client.
#[derive(Debug)]
#[non_exhaustive]
pub struct Kit {
    /// The server; it stops when it is dropped.
    pub server: AuthorizationServer,
    /// Somebody's login.
    pub login: Login,
}

impl Kit {
    /// A server with every default.
    pub fn start() -> Self {
        Self::with(AuthorizationServer::builder())
    }

    /// A server set up by a builder.
    ///
    /// # Panics
    ///
    /// There is no socket.
    pub fn with(builder: Builder) -> Self {
        let server = builder.start().expect("a server");
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        Self { server, login }
    }

    /// The default client's credentials, in the header.
    pub fn auth() -> ClientAuth {
        ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
    }

    /// An HTTP client for a token endpoint.
    pub fn http() -> Http {
        HyperEndpoint::new(HttpConnector::new())
    }

    /// The refresh-token grant at the server.
    pub fn endpoint(&self) -> TokenEndpoint<Http> {
        self.endpoint_over(Self::http())
    }

    /// The same over another client.
    pub fn endpoint_over<H: HttpEndpoint>(&self, http: H) -> TokenEndpoint<H> {
        TokenEndpoint::refresh_token(http, self.server.token_url(), Self::auth())
    }

    /// A manager to be, with the login's refresh token as its seed: its first request obtains an access token.
    pub fn manager(&self) -> TokenManagerBuilder {
        TokenManager::builder(self.endpoint()).seed(self.seed())
    }

    /// The login's refresh token alone.
    pub fn seed(&self) -> TokenSet {
        TokenSet::from_refresh_token(self.login.refresh_token())
    }

    /// The login's tokens, good for the server's lifetime from now on.
    pub fn valid_seed(&self) -> TokenSet {
        tokens_of(&self.login).with_expires_in(self.login.expires_in())
    }

    /// The login's tokens, with an access token that ended an hour ago.
    pub fn expired_seed(&self) -> TokenSet {
        tokens_of(&self.login).with_expires_at(SystemTime::now() - Duration::from_secs(3600))
    }

    /// The tokens of another login of the same client.
    pub fn another_login(&self) -> TokenSet {
        tokens_of(&self.server.sign_in(DEFAULT_CLIENT_ID))
            .with_expires_in(Duration::from_secs(3600))
    }

    /// The layer, for requests to the server's API.
    ///
    /// # Panics
    ///
    /// The server's origin is none.
    pub fn layer(&self, tokens: &TokenManager) -> TokenRefreshLayer {
        TokenRefreshLayer::new(
            tokens.clone(),
            Origins::only(self.server.origin()).expect("an origin"),
        )
    }

    /// A client of the server's API, with the layer.
    pub fn client(&self, tokens: &TokenManager) -> ApiClient<TestBody> {
        self.client_of(self.layer(tokens))
    }

    /// The same with a layer of the test's own.
    pub fn client_of(&self, layer: TokenRefreshLayer) -> ApiClient<TestBody> {
        ApiClient::new(layer, self.server.api_url())
    }

    /// How many token requests the server has seen.
    pub fn token_requests(&self) -> u64 {
        self.server.counters().token_requests
    }
}

fn tokens_of(login: &Login) -> TokenSet {
    TokenSet::new(login.access_token()).with_refresh_token(login.refresh_token())
}

/// Holds whoever comes until it is opened. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    permits: Arc<Semaphore>,
    arrived: tokio::sync::watch::Sender<usize>,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self { permits: Arc::new(Semaphore::new(0)), arrived: tokio::sync::watch::Sender::new(0) }
    }

    /// Lets everybody through, for ever.
    pub fn open(&self) {
        self.permits.close();
    }

    /// Waits until so many have come.
    pub async fn arrivals(&self, n: usize) {
        let mut arrived = self.arrived.subscribe();
        // This gate keeps the sender alive.
        let _ = crate::soon(arrived.wait_for(|arrived| *arrived >= n)).await;
    }

    /// Comes to the gate, and waits until it is open.
    pub async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // The error says that it was opened.
        let _ = self.permits.acquire().await;
    }
}

/// A token endpoint whose requests, or whose answers, are held at a gate.
#[derive(Debug)]
pub struct Gated<H> {
    http: H,
    gate: Gate,
    answers: bool,
}

impl<H> Gated<H> {
    /// Holds the requests.
    pub fn new(http: H, gate: &Gate) -> Self {
        Self { http, gate: gate.clone(), answers: false }
    }

    /// Holds the answers.
    pub fn answers(http: H, gate: &Gate) -> Self {
        Self { http, gate: gate.clone(), answers: true }
    }
}

impl<H: HttpEndpoint> HttpEndpoint for Gated<H> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        if !self.answers {
            self.gate.pass().await;
        }
        let answer = self.http.send(request).await;
        if self.answers {
            self.gate.pass().await;
        }
        answer
    }
}
