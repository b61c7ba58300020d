//! A replica of a service: it calls an API all the time, and its tokens are those of all replicas.

use std::time::Duration;

use bytes::Bytes;
use examples::{BoxError, Parent, tell_parent};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::http::{Origins, ReplayBody};
use token_core::{RefreshError, Shutdown, TokenManager, TokenSet};
use token_testkit::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
use tokio::task::JoinSet;
use tokio::time::interval;
use tower::{Layer, Service, ServiceExt};
use tower_token_refresh::{HyperEndpoint, TokenRefresh, TokenRefreshLayer};

use crate::words::{Leave, Settings, Told};

type ApiClient = TokenRefresh<Client<HttpConnector, ReplayBody<Empty<Bytes>>>>;

/// A call begins so often, whether or not those before have ended.
const CALL_EVERY: Duration = Duration::from_millis(50);

/// How long the others wait after the death of one that asks depends on these, and a story has to go on. The defaults
/// are 10 s each.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(3);
const SERVER_DRAIN: Duration = Duration::from_secs(1);

/// Serves until it is told to leave.
pub(crate) async fn serve(mut parent: Parent) -> Result<(), BoxError> {
    let settings: Settings = parent.order().await?;
    let tokens = tokens(&settings).await?;
    let mut events = tokens.events();
    let client = TokenRefreshLayer::new(tokens.clone(), Origins::only(&settings.origin)?)
        .layer(Client::builder(TokioExecutor::new()).build(HttpConnector::new()));
    let url: Uri = settings.api_url.parse()?;
    tell_parent(&Told::Joined)?;

    let mut calls = JoinSet::new();
    let mut begin = interval(CALL_EVERY);
    let Leave = loop {
        tokio::select! {
            leave = parent.order() => break leave?,
            _ = begin.tick() => { calls.spawn(call(client.clone(), url.clone())); }
            Some(ended) = calls.join_next() => tell_failure(ended?)?,
            Some(event) = events.next() => tell_parent(&Told::from(event))?,
        }
    };

    // The order of a good end: no new calls, those under way have their answers, and so has a refresh.
    while let Some(ended) = calls.join_next().await {
        tell_failure(ended?)?;
    }
    let end = tokens.shutdown(EXCHANGE_DEADLINE + SERVER_DRAIN).await;
    if end != Shutdown::Clean {
        return Err(format!("the tokens were not left in order: {end:?}").into());
    }
    drop((tokens, client));
    while let Some(event) = events.next().await {
        tell_parent(&Told::from(event))?;
    }
    Ok(tell_parent(&Told::Left)?)
}

async fn tokens(settings: &Settings) -> Result<TokenManager, BoxError> {
    let endpoint = Announced(HyperEndpoint::new(HttpConnector::new()));
    let auth = ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
    let endpoint = TokenEndpoint::refresh_token(endpoint, &settings.token_url, auth);
    let builder = TokenManager::builder(endpoint)
        .seed(TokenSet::from_refresh_token(settings.refresh_token.as_str()))
        .exchange_deadline(EXCHANGE_DEADLINE)
        .server_drain(SERVER_DRAIN);
    Ok(settings.store.hold(builder).await?.build()?)
}

async fn call(mut client: ApiClient, url: Uri) -> Result<(), BoxError> {
    let request = Request::get(url).body(Empty::new())?;
    let answer = client.ready().await?.call(request).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    if status.is_success() { Ok(()) } else { Err(format!("the API answered {status}").into()) }
}

fn tell_failure(called: Result<(), BoxError>) -> std::io::Result<()> {
    called.or_else(|error| tell_parent(&Told::CallFailed(error.to_string())))
}

/// Tells the parent before it asks, so that it knows whom to kill.
struct Announced<H>(H);

impl<H: HttpEndpoint> HttpEndpoint for Announced<H> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        tell_parent(&Told::Asks)
            .map_err(|error| RefreshError::not_sent("the parent is gone").with_source(error))?;
        self.0.send(request).await
    }
}
