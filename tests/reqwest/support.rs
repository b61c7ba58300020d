//! A client with the middleware, and one below it that watches.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::Extensions;
use integration_tests::Kit;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next, Result};
use reqwest_token_refresh::TokenRefreshMiddleware;
use token_core::TokenManager;
use token_core::http::Origins;

/// A manager with a token that the API takes.
pub(crate) async fn ready(kit: &Kit) -> TokenManager {
    let tokens = kit.manager().build().expect("a manager");
    tokens.ready().await.expect("a token");
    kit.server.record_api();
    tokens
}

/// A manager whose token the API refuses.
pub(crate) async fn refused(kit: &Kit) -> TokenManager {
    let tokens = ready(kit).await;
    kit.server.revoke_access_tokens();
    tokens
}

pub(crate) fn origins(kit: &Kit) -> Origins {
    Origins::only(kit.server.origin()).expect("an origin")
}

pub(crate) fn middleware(kit: &Kit, tokens: &TokenManager) -> TokenRefreshMiddleware {
    TokenRefreshMiddleware::new(tokens.clone(), origins(kit))
}

/// reqwest's client as it is, with the middleware.
pub(crate) fn client(kit: &Kit, tokens: &TokenManager) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest::Client::new()).with(middleware(kit, tokens)).build()
}

/// Requests that the API has seen, and token requests.
pub(crate) fn counts(kit: &Kit) -> (u64, u64) {
    (kit.server.counters().api_requests, kit.token_requests())
}

/// An extension that the caller sets, and that the watch replaces on the way down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) &'static str);

/// One sending, as a middleware sees it.
#[derive(Debug)]
pub(crate) struct Sending {
    /// The whole body, if it is in memory.
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) has_body: bool,
    pub(crate) can_be_cloned: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) mark: Option<Mark>,
    pub(crate) header: Option<String>,
}

/// Takes note of each sending.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Vec<Sending>>>);

impl Watch {
    pub(crate) fn sendings(&self) -> Vec<Sending> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

#[async_trait]
impl Middleware for Watch {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let header =
            request.headers().get("x-order").map(|value| value.to_str().expect("text").to_owned());
        let sending = Sending {
            bytes: request.body().and_then(|body| body.as_bytes()).map(<[u8]>::to_vec),
            has_body: request.body().is_some(),
            can_be_cloned: request.try_clone().is_some(),
            timeout: request.timeout().copied(),
            mark: extensions.insert(Mark("seen below")),
            header,
        };
        self.0.lock().expect("no panic").push(sending);
        next.run(request, extensions).await
    }
}
