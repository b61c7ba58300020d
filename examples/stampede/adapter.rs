//! A client of each adapter, with no more requests on the wire than it may have sockets. That limit is below the adapter,
//! so that all requests meet the expired token.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use examples::BoxError;
use http::{Extensions, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use reqwest::ResponseBuilderExt;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};
use reqwest_token_refresh::TokenRefreshMiddleware;
use token_core::TokenManager;
use token_core::endpoint::profile::Profile;
use token_core::http::Origins;
use tokio::sync::Semaphore;
use tower::{Layer, Service, ServiceExt};
use tower_token_refresh::{LookAtBodies, TokenRefresh, TokenRefreshLayer};

use crate::load::Sends;
use crate::sockets::Sockets;

/// What is under test around a client.
#[derive(Clone)]
pub(crate) enum StampedeClient {
    Tower(Box<TokenRefresh<Sockets>>),
    TowerForProfile(Box<TokenRefresh<LookAtBodies<Sockets>>>),
    Reqwest(ClientWithMiddleware),
}

impl StampedeClient {
    pub(crate) fn tower(
        tokens: TokenManager,
        origins: Origins,
        profile: Option<&Profile>,
        sockets: u16,
    ) -> Self {
        let layer = TokenRefreshLayer::new(tokens, origins);
        let sockets = Sockets::new(sockets);
        match profile {
            Some(profile) => {
                Self::TowerForProfile(Box::new(layer.for_profile(profile).layer(sockets)))
            }
            None => Self::Tower(Box::new(layer.layer(sockets))),
        }
    }

    pub(crate) fn reqwest(
        tokens: TokenManager,
        origins: Origins,
        profile: Option<&Profile>,
        sockets: u16,
    ) -> reqwest::Result<Self> {
        let client = reqwest::Client::builder().pool_max_idle_per_host(sockets.into());
        let middleware = TokenRefreshMiddleware::new(tokens, origins);
        let (client, middleware) = match profile {
            Some(profile) => middleware.for_profile(profile, client)?,
            None => (client.build()?, middleware),
        };
        let client = ClientBuilder::new(client)
            .with(middleware)
            .with(Wire(Arc::new(Semaphore::new(sockets.into()))));
        Ok(Self::Reqwest(client.build()))
    }

    /// Sends a request, and reads the whole answer.
    pub(crate) async fn send(
        &mut self,
        request: Request<Bytes>,
    ) -> Result<Response<Bytes>, BoxError> {
        match self {
            Self::Tower(service) => whole(service, request).await,
            Self::TowerForProfile(service) => whole(service, request).await,
            Self::Reqwest(client) => {
                let (mut head, body) = request.into_parts();
                // reqwest keeps the extensions of its requests to itself.
                let mut extensions = std::mem::take(&mut head.extensions);
                let request = Request::from_parts(head, body).try_into()?;
                let answer = client.execute_with_extensions(request, &mut extensions).await?;
                let mut read = Response::new(Bytes::new());
                *read.status_mut() = answer.status();
                *read.headers_mut() = answer.headers().clone();
                *read.body_mut() = answer.bytes().await?;
                Ok(read)
            }
        }
    }
}

async fn whole<S, B>(service: &mut S, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>>,
    B: Body<Error: Into<BoxError>>,
{
    let service = service.ready().await.map_err(Into::into)?;
    let answer = service.call(request.map(Full::new)).await.map_err(Into::into)?;
    let (head, body) = answer.into_parts();
    let body = body.collect().await.map_err(Into::into)?.to_bytes();
    Ok(Response::from_parts(head, body))
}

/// What [`Sockets`] is to the tower layer.
struct Wire(Arc<Semaphore>);

#[async_trait]
impl Middleware for Wire {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let _permit = self.0.acquire().await.map_err(Error::middleware)?;
        if let Some(sends) = extensions.get::<Sends>() {
            sends.count();
        }
        let mut answer = next.run(request, extensions).await?;
        let (status, url) = (answer.status(), answer.url().clone());
        let headers = std::mem::take(answer.headers_mut());
        let body = answer.bytes().await?;
        // The connection's task has to put it back into the pool before the next request looks for one there.
        tokio::task::yield_now().await;
        let whole = Response::builder().status(status).url(url).body(body);
        let mut whole = whole.map_err(Error::middleware)?;
        *whole.headers_mut() = headers;
        Ok(whole.into())
    }
}
