//! What a browser sees: `/connect`, where it comes back to, and `/status`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use examples::BoxError;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, StatusCode, Uri};

use crate::connect::{Attempt, Connect};
use crate::locations::Locations;

struct App {
    connect: Connect,
    locations: Arc<Locations>,
}

pub(crate) fn app(connect: Connect, locations: Arc<Locations>) -> Router {
    Router::new()
        .route("/connect", get(begin))
        .route("/oauth/callback", get(come_back))
        .route("/status", get(async |State(app): State<Arc<App>>| app.locations.report()))
        .with_state(Arc::new(App { connect, locations }))
}

/// Sends the browser away, and has it remember what it has to bring back. Only the one that was sent can come back
/// (RFC 9700 §4.7). Behind https the cookie should be `Secure` too.
async fn begin(State(app): State<Arc<App>>) -> Response {
    let attempt = match Attempt::new() {
        Ok(attempt) => attempt,
        Err(error) => return failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    };
    let Attempt { state, verifier } = &attempt;
    let cookie =
        format!("connect={state}.{verifier}; Path=/oauth; Max-Age=600; HttpOnly; SameSite=Lax");
    ([(SET_COOKIE, cookie)], Redirect::to(&app.connect.url(&attempt))).into_response()
}

async fn come_back(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    let query = uri.query().unwrap_or_default();
    let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let known = attempt(&headers).filter(|attempt| query.get("state") == Some(&attempt.state));
    let Some(attempt) = known else {
        return failed(StatusCode::BAD_REQUEST, "this browser did not begin here; open /connect");
    };
    let Some(code) = query.get("code") else {
        return failed(StatusCode::BAD_REQUEST, "nothing was allowed; open /connect to try again");
    };
    match connect(&app, code, &attempt).await {
        Ok(location) => format!("location {location} is connected\n").into_response(),
        Err(error) => failed(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

async fn connect(app: &App, code: &str, attempt: &Attempt) -> Result<String, BoxError> {
    let tokens = app.connect.exchange(code, &attempt.verifier).await?;
    let location = tokens.extra().get("locationId").and_then(|location| location.as_str());
    let location = location.ok_or("the answer names no location")?.to_owned();
    app.locations.of(&location)?.login(tokens).await?;
    Ok(location)
}

fn attempt(headers: &HeaderMap) -> Option<Attempt> {
    let cookies = headers.get(COOKIE)?.to_str().ok()?;
    let cookie = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("connect="))?;
    let (state, verifier) = cookie.split_once('.')?;
    Some(Attempt { state: state.to_owned(), verifier: verifier.to_owned() })
}

fn failed(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}
