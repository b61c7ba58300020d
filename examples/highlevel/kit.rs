//! The same against a server of the kit: two locations, two workers, and a clock on which 20 hours pass at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use examples::{BoxError, claim, connector, kit_profile, say};
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{Request, Response, StatusCode};
use token_core::clock::ManualClock;
use token_core::endpoint::HttpEndpoint;
use token_core::{Health, TokenManager};
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Dialect};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tower_token_refresh::HyperEndpoint;

use crate::connect::Connect;
use crate::locations::Locations;
use crate::web;

const HOUR: Duration = Duration::from_secs(3600);

/// What takes longer than this never happens.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn play() -> Result<(), BoxError> {
    let server = AuthorizationServer::builder().dialect(Dialect::HighLevel).start()?;
    let directory = tempfile::tempdir()?;
    let secrets =
        [("GHL_CLIENT_ID", DEFAULT_CLIENT_ID), ("GHL_CLIENT_SECRET", DEFAULT_CLIENT_SECRET)];
    let profile = kit_profile("highlevel", server.origin(), directory.path(), &secrets)?;
    let clock = ManualClock::new();
    let worker = async || {
        let (clock, store) = (clock.clone(), directory.path().join("tokens"));
        let clocked = move |tokens: token_core::TokenManagerBuilder| tokens.clock(clock.clone());
        Locations::open(profile.clone(), &store, clocked).await.map(Arc::new)
    };

    say!("A person connects two locations.\n");
    let first = worker().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let connect = Connect {
        profile: profile.clone(),
        authorize_url: format!("{}/oauth/chooselocation", server.origin()),
        token_url: server.token_url(),
        redirect_uri: format!("{origin}/oauth/callback"),
        scope: "contacts.readonly".to_owned(),
        client_id: DEFAULT_CLIENT_ID.to_owned(),
        client_secret: DEFAULT_CLIENT_SECRET.into(),
    };
    let web =
        tokio::spawn(axum::serve(listener, web::app(connect, Arc::clone(&first))).into_future());
    for location in ["berlin", "lisbon"] {
        say!("{}", connect_in_browser(&origin, location).await?);
    }
    let forged = browse(&format!("{origin}/oauth/callback?code=x&state=y"), None).await?;
    claim!(forged.status() == StatusCode::BAD_REQUEST, "a forged callback got {}", forged.status());

    say!("\nA second worker starts on the same directory, and 20 hours pass.\n");
    let second = worker().await?;
    let workers = [&first, &second];
    let both = workers.map(|worker| worker.all()).concat();
    claim!(both.len() == 4, "the workers know {} of 4 grants", both.len());
    all_at(&both, 0).await?;
    let before = server.counters().token_requests;
    clock.advance(20 * HOUR);
    all_at(&both, 1).await?;
    say!("{}{}", first.report(), second.report());
    let requests = server.counters().token_requests - before;
    say!("{requests} token requests by two workers for two locations");
    claim!(requests == 2, "{requests} token requests where 2 were needed");

    say!("\nThe server is down when the next 20 hours have passed.\n");
    let [berlin, lisbon] = [first.of("berlin")?, first.of("lisbon")?];
    server.refuse_connections()?;
    clock.advance(20 * HOUR);
    until("the failure is told", || {
        both.iter().all(|tokens| tokens.status().last_error().is_some())
    })
    .await?;
    say!("{}", first.report());
    claim!(berlin.token().await.is_ok(), "the token that is still good was not served");
    server.accept_connections()?;
    clock.advance(Duration::from_secs(60));
    all_at(&both, 2).await?;
    say!("{}", first.report());

    say!("\nLisbon's grant is revoked, and Porto was never connected.\n");
    let token = lisbon.token().await?;
    claim!(server.revoke_family_of(token.expose_secret()), "there was no such grant");
    let refused = lisbon.refresh_now().await.err().ok_or("a dead grant was refreshed")?;
    claim!(refused.needs_login(), "{refused}");
    let never = first.of("porto")?.token().await.err().ok_or("porto has a token")?;
    claim!(never.needs_login(), "{never}");
    berlin.refresh_now().await?;
    say!("{}", first.report());

    say!("\n{}", connect_in_browser(&origin, "lisbon").await?);
    claim!(lisbon.token().await.is_ok(), "lisbon has no token");
    claim!(lisbon.status().health() == Health::Valid, "lisbon is not connected");
    say!("{}", first.report());

    let reused = server.counters().reuse_detected;
    claim!(reused == 0, "{reused} refresh tokens were used twice");
    web.abort();
    second.shutdown().await?;
    first.shutdown().await
}

/// What a person does with a browser.
async fn connect_in_browser(origin: &str, location: &str) -> Result<String, BoxError> {
    let sent = browse(&format!("{origin}/connect"), None).await?;
    let cookie = header(&sent, SET_COOKIE)?;
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    // The choice of a location, which the kit takes from the query.
    let choice = format!("{}&locationId={location}", header(&sent, LOCATION)?);
    let back = browse(&choice, None).await?;
    let connected = browse(header(&back, LOCATION)?, Some(&cookie)).await?;
    let said = String::from_utf8_lossy(connected.body()).trim().to_owned();
    claim!(connected.status() == StatusCode::OK, "{location} could not be connected: {said}");
    Ok(said)
}

async fn browse(url: &str, cookie: Option<&str>) -> Result<Response<Bytes>, BoxError> {
    let mut request = Request::get(url);
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    Ok(HyperEndpoint::new(connector()).send(request.body(Bytes::new())?).await?)
}

fn header(answer: &Response<Bytes>, name: http::HeaderName) -> Result<&str, BoxError> {
    let value = answer.headers().get(&name);
    Ok(value.ok_or_else(|| format!("{} without {name}", answer.status()))?.to_str()?)
}

/// Waits until all have the tokens of this generation.
async fn all_at(all: &[TokenManager], generation: u64) -> Result<(), BoxError> {
    let at = |tokens: &TokenManager| tokens.status().version().map(|version| version.generation());
    let what = format!("everybody has the tokens of generation {generation}");
    until(&what, || all.iter().all(|tokens| at(tokens) == Some(generation))).await
}

async fn until(what: &str, holds: impl Fn() -> bool) -> Result<(), BoxError> {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.map_err(|_| format!("it never came that {what}").into())
}
