//! What requests go through: each adapter, set up from a profile alone.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use integration_tests::{BoxError, Kit, soon};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_token_refresh::{ReqwestEndpoint, TokenRefreshMiddleware};
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::http::{Origins, ReplayBody};
use token_core::{TokenManager, TokenManagerBuilder};
use tower::ServiceExt;
use tower::limit::ConcurrencyLimitLayer;
use tower::util::BoxCloneSyncService;
use tower_token_refresh::TokenRefreshLayer;

/// The most requests that are on the wire at once.
const SOCKETS: usize = 128;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapter {
    Tower,
    Reqwest,
}

/// A client of the API.
#[derive(Clone)]
pub(crate) enum ApiClient {
    Tower(BoxCloneSyncService<Request<Full<Bytes>>, Response<Bytes>, BoxError>),
    Reqwest(ClientWithMiddleware),
}

impl Adapter {
    pub(crate) const ALL: [Self; 2] = [Self::Tower, Self::Reqwest];

    /// A manager to be, over this adapter's own HTTP client for token endpoints.
    pub(crate) fn manager(self, profile: Profile) -> TokenManagerBuilder {
        match self {
            Self::Tower => ProfileEndpoint::new(Kit::http(), profile).manager(),
            Self::Reqwest => {
                let http = ReqwestEndpoint::new(talkative()).expect("a client");
                ProfileEndpoint::new(http, profile).manager()
            }
        }
    }

    pub(crate) fn client(
        self,
        profile: &Profile,
        tokens: &TokenManager,
        origin: &str,
    ) -> ApiClient {
        let origins = Origins::only(origin).expect("an origin");
        match self {
            Self::Tower => {
                let client: Client<HttpConnector, ReplayBody<Full<Bytes>>> =
                    Client::builder(TokioExecutor::new()).build_http();
                let service = tower::ServiceBuilder::new()
                    .layer(TokenRefreshLayer::new(tokens.clone(), origins).for_profile(profile))
                    .layer(ConcurrencyLimitLayer::new(SOCKETS))
                    .service(client)
                    .map_err(BoxError::from)
                    .and_then(read);
                ApiClient::Tower(BoxCloneSyncService::new(service))
            }
            Self::Reqwest => {
                let (client, middleware) = TokenRefreshMiddleware::new(tokens.clone(), origins)
                    .for_profile(profile, talkative())
                    .expect("a client");
                ApiClient::Reqwest(ClientBuilder::new(client).with(middleware).build())
            }
        }
    }
}

/// A client that would log whatever goes over its connections.
pub(crate) fn talkative() -> reqwest::ClientBuilder {
    reqwest::Client::builder().connection_verbose(true)
}

impl ApiClient {
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        match self.clone() {
            Self::Tower(service) => soon(service.oneshot(request.map(Full::new))).await,
            Self::Reqwest(client) => {
                let answer: Response<reqwest::Body> =
                    soon(client.execute(request.try_into()?)).await?.into();
                read(answer).await
            }
        }
    }
}

async fn read<B>(answer: Response<B>) -> Result<Response<Bytes>, BoxError>
where
    B: Body<Error: Into<BoxError>>,
{
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(Into::into)?;
    Ok(Response::from_parts(head, body.to_bytes()))
}
