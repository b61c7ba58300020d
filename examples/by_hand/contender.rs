//! The two that are compared, each as a client of the API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use examples::BoxError;
use http::Extensions;
use reqwest::{Client, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use reqwest_token_refresh::{ReqwestEndpoint, TokenRefreshMiddleware};
use serde::{Deserialize, Serialize};
use token_core::endpoint::{ClientAuth, TokenEndpoint};
use token_core::http::Origins;
use token_core::{Freshness, TokenManager, TokenSet};
use token_store_file::FileStore;
use token_testkit::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
use tokio::sync::Semaphore;

use crate::by_hand::ByHand;

/// The most requests on the wire at once: a process may have a thousand files open.
const SOCKETS: usize = 200;

/// The kit's server is done with a request as soon as it has answered. The default of 10 s would only make everything longer.
const SERVER_DRAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Contender {
    ByHand { always_refresh: bool },
    Ours,
}

/// What a service has in its settings, the same for both.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Setup {
    pub(crate) token_url: String,
    pub(crate) origin: String,
    pub(crate) api_url: String,
    /// Where the tokens are kept.
    pub(crate) directory: PathBuf,
    /// Of the login.
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) expires_at: SystemTime,
    /// How long before its end a token is replaced.
    pub(crate) margin: Duration,
    /// How long the token endpoint may take.
    pub(crate) timeout: Duration,
}

impl Contender {
    pub(crate) const fn is_ours(self) -> bool {
        matches!(self, Self::Ours)
    }

    /// A client as a service builds it when it starts.
    pub(crate) fn open(self, setup: &Setup) -> std::result::Result<ClientWithMiddleware, BoxError> {
        let client = Client::builder().pool_max_idle_per_host(SOCKETS).build()?;
        let client = ClientBuilder::new(client);
        let client = match self {
            Self::ByHand { always_refresh } => client.with(ByHand::open(setup, always_refresh)?),
            Self::Ours => client.with(ours(setup)?),
        };
        Ok(client.with(Sockets(Arc::new(Semaphore::new(SOCKETS)))).build())
    }
}

fn ours(setup: &Setup) -> std::result::Result<TokenRefreshMiddleware, BoxError> {
    let endpoint = ReqwestEndpoint::new(Client::builder())?;
    let auth = ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
    let endpoint = TokenEndpoint::refresh_token(endpoint, &setup.token_url, auth);
    let seed = TokenSet::new(setup.access_token.as_str())
        .with_refresh_token(setup.refresh_token.as_str())
        .with_expires_at(setup.expires_at);
    // The tokens here are short, the margin is meant, and both are to refresh at the same time.
    let freshness =
        Freshness::default().refresh_before(setup.margin).refresh_fraction(0.9).jitter(0.0);
    let tokens = TokenManager::builder(endpoint)
        .store(FileStore::open(&setup.directory)?)
        .seed(seed)
        .freshness(freshness)
        .exchange_deadline(setup.timeout)
        .server_drain(SERVER_DRAIN)
        .build()?;
    Ok(TokenRefreshMiddleware::new(tokens, Origins::only(&setup.origin)?))
}

/// Below either, so that all requests have their token before they wait for a socket.
struct Sockets(Arc<Semaphore>);

#[async_trait]
impl Middleware for Sockets {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let _permit = self.0.acquire().await.map_err(Error::middleware)?;
        next.run(request, extensions).await
    }
}
