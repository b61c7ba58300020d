//! What the cells are sent through: each adapter, around its own client.

use std::any::Any;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::TryFutureExt;
use http::{Request, Response, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use integration_tests::{BoxError, Kit, TestBody, soon, whole};
use reqwest::redirect;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_token_refresh::TokenRefreshMiddleware;
use token_core::TokenManager;
use token_core::http::{Origins, ReplayBody};
use tower::{Layer, ServiceExt};
use tower_token_refresh::TokenRefresh;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Adapter {
    Tower,
    Reqwest,
}

/// What a caller gives as a body.
pub(crate) enum Payload {
    Whole(Bytes),
    Stream(TestBody),
}

/// An answer whose body is kept until this is dropped.
pub(crate) type Answered = Response<Box<dyn Any + Send>>;

pub(crate) type Exchange = Pin<Box<dyn Future<Output = Result<Answered, BoxError>> + Send>>;

#[derive(Clone)]
pub(crate) enum Api {
    Tower(Box<TokenRefresh<Client<HttpConnector, ReplayBody<TestBody>>>>),
    Reqwest(ClientWithMiddleware),
}

impl Adapter {
    pub(crate) fn api(self, kit: &Kit, tokens: &TokenManager, version: Version) -> Api {
        let http2 = version == Version::HTTP_2;
        match self {
            Self::Tower => {
                let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
                Api::Tower(Box::new(kit.layer(tokens).layer(client)))
            }
            Self::Reqwest => {
                let origins = Origins::only(kit.server.origin()).expect("an origin");
                // hyper's client follows none either.
                let client = reqwest::Client::builder().redirect(redirect::Policy::none());
                let client = if http2 { client.http2_prior_knowledge() } else { client };
                let client = client.build().expect("a client");
                let middleware = TokenRefreshMiddleware::new(tokens.clone(), origins);
                Api::Reqwest(ClientBuilder::new(client).with(middleware).build())
            }
        }
    }
}

impl Api {
    pub(crate) fn send(&self, request: Request<Payload>) -> Exchange {
        // Boxed: rustc cannot tell that it is `Send` once the body is known to have a boxed error.
        match self.clone() {
            Self::Tower(service) => {
                let request = request.map(|body| match body {
                    Payload::Whole(bytes) => whole(bytes),
                    Payload::Stream(body) => body,
                });
                Box::pin(soon(service.oneshot(request).map_ok(kept)))
            }
            Self::Reqwest(client) => {
                let request = request.map(|body| match body {
                    Payload::Whole(bytes) => reqwest::Body::from(bytes),
                    Payload::Stream(body) => reqwest::Body::wrap(body),
                });
                Box::pin(async move {
                    let answer = soon(client.execute(request.try_into()?)).await?;
                    Ok(kept(Response::<reqwest::Body>::from(answer)))
                })
            }
        }
    }
}

fn kept<R: Send + 'static>(answer: Response<R>) -> Answered {
    answer.map(|body| Box::new(body) as Box<dyn Any + Send>)
}
