//! Both adapters, over HTTP/1.1 and HTTP/2, as one client.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryFutureExt;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use integration_tests::{BoxError, Kit, TestBody, soon, whole};
use reqwest_middleware::ClientBuilder;
use reqwest_token_refresh::TokenRefreshMiddleware;
use token_core::TokenManager;
use token_core::endpoint::profile::Profile;
use token_core::http::Origins;
use tower::{Layer, ServiceExt};
use tower_token_refresh::TokenRefreshLayer;

use crate::api::Api;

type Sending = Pin<Box<dyn Future<Output = Result<Response<TestBody>, BoxError>> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Adapter {
    Tower,
    Reqwest,
}

/// Every adapter with every version of HTTP.
pub(crate) const ALL: [(Adapter, Version); 4] = [
    (Adapter::Tower, Version::HTTP_11),
    (Adapter::Tower, Version::HTTP_2),
    (Adapter::Reqwest, Version::HTTP_11),
    (Adapter::Reqwest, Version::HTTP_2),
];

/// A client that goes by a profile.
#[derive(Clone)]
pub(crate) struct Through(Arc<dyn Fn(Request<Bytes>) -> Sending + Send + Sync>);

impl Adapter {
    pub(crate) fn client(
        self,
        version: Version,
        profile: &Profile,
        tokens: &TokenManager,
        origin: &str,
    ) -> Through {
        let http2 = version == Version::HTTP_2;
        let (tokens, origins) = (tokens.clone(), Origins::only(origin).expect("an origin"));
        match self {
            Self::Tower => {
                let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
                let layer = TokenRefreshLayer::new(tokens, origins).for_profile(profile);
                let service = layer.layer(client);
                Through(Arc::new(move |request| {
                    // No `async`: rustc cannot tell that it is `Send` once the body is known to have a boxed error.
                    Box::pin(service.clone().oneshot(request.map(whole)).map_ok(boxed))
                }))
            }
            Self::Reqwest => {
                let client = reqwest::Client::builder();
                let client = if http2 { client.http2_prior_knowledge() } else { client };
                let (client, middleware) = TokenRefreshMiddleware::new(tokens, origins)
                    .for_profile(profile, client)
                    .expect("a client");
                let client = ClientBuilder::new(client).with(middleware).build();
                Through(Arc::new(move |mut request| {
                    let client = client.clone();
                    Box::pin(async move {
                        let mut extensions = std::mem::take(request.extensions_mut());
                        let request = request.try_into()?;
                        let answer = client.execute_with_extensions(request, &mut extensions);
                        Ok(boxed(Response::<reqwest::Body>::from(answer.await?)))
                    })
                }))
            }
        }
    }
}

fn boxed<R>(answer: Response<R>) -> Response<TestBody>
where
    R: Body<Data = Bytes, Error: Into<BoxError>> + Send + Sync + 'static,
{
    answer.map(|body| body.map_err(Into::into).boxed())
}

impl Through {
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<TestBody>, BoxError> {
        soon((self.0)(request)).await
    }

    pub(crate) async fn get(&self, url: &str) -> Response<TestBody> {
        let request = Request::get(url).header("te", "trailers").body(Bytes::new());
        self.send(request.expect("a request")).await.expect("an answer")
    }
}

/// The kit for tokens, an API that is scripted, and a client of it.
pub(crate) struct Setting {
    pub(crate) kit: Kit,
    pub(crate) api: Api,
    pub(crate) tokens: TokenManager,
    pub(crate) client: Through,
}

impl Setting {
    /// `api` is that section of the profile.
    pub(crate) async fn new((adapter, version): (Adapter, Version), section: &str) -> Self {
        let (kit, api) = (Kit::start(), Api::start().await);
        let tokens = kit.manager().build().expect("a manager");
        tokens.ready().await.expect("a token");
        let client = adapter.client(version, &profile(section), &tokens, &api.origin);
        Self { kit, api, tokens, client }
    }

    pub(crate) async fn get(&self) -> Response<TestBody> {
        self.client.get(&self.api.url()).await
    }

    /// Requests to the API, and renewals.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.api.seen().len(), self.kit.token_requests() - 1)
    }
}

/// A profile of which only the API matters.
pub(crate) fn profile(section: &str) -> Profile {
    let text = format!(
        "name = \"test\"\n[refresh]\nurl = \"https://not.asked.example/\"\n\
         form = {{ refresh_token = {{ from = \"refresh_token\" }} }}\n[api]\n{section}"
    );
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A value in the body's JSON decides, and the token is in a header of its own.
pub(crate) const BY_BODY: &str = "header = \"x-auth-token\"\nscheme = \"\"\n\
     refused = [{ status = 200, json = { at = \"/err_code\", is_not = \"0\" } }]";

/// The whole text of a body.
pub(crate) async fn text(answer: Response<TestBody>) -> String {
    let body = soon(answer.into_body().collect()).await.expect("a whole body").to_bytes();
    String::from_utf8(body.into()).expect("text")
}
