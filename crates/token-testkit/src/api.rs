//! Everything under `/api`: answers who has a valid access token, and challenges who has not
//! (RFC 6750 §3).

use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    Fingerprint,
    response::{self, Reply, Whole},
    shared::Shared,
};

/// Here a 401 is answered before the body has been read.
const EARLY: &str = "/api/early";
/// Here a valid token is not enough.
const FORBIDDEN: &str = "/api/forbidden";

/// SHA-256 of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) async fn serve(shared: &Shared, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let delay = {
        let mut state = shared.state();
        state.counters.api_requests += 1;
        state.api_delay
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let refusal = match authorize(shared, &head) {
        Ok(token) => return accept(shared, &head, token, body).await,
        Err(refusal) => refusal,
    };
    // A body left unread costs an HTTP/1 connection its life.
    if head.uri.path() != EARLY && drain(body).await.is_err() {
        return Reply::Close;
    }
    refusal.response().into()
}

/// Why a request is refused (RFC 6750 §3.1).
enum Refusal {
    NoToken,
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
        }
    }

    fn response(&self) -> Whole {
        let challenge = match self {
            Self::NoToken => "Bearer",
            Self::InvalidRequest => "Bearer error=\"invalid_request\"",
            Self::InvalidToken => "Bearer error=\"invalid_token\"",
            Self::InsufficientScope => "Bearer error=\"insufficient_scope\", scope=\"admin\"",
        };
        let mut response = response::empty(self.status());
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        response
    }
}

fn authorize(shared: &Shared, head: &request::Parts) -> Result<Fingerprint, Refusal> {
    let credential = bearer_token(&head.headers);
    let now = shared.now();
    let mut state = shared.state();
    let verdict = credential.and_then(|token| {
        let token = state.tokens.check_access(token, now).ok_or(Refusal::InvalidToken)?;
        if head.uri.path() == FORBIDDEN { Err(Refusal::InsufficientScope) } else { Ok(token) }
    });
    if let Err(Refusal::NoToken | Refusal::InvalidToken) = verdict {
        state.counters.api_unauthorized += 1;
    }
    verdict
}

fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(Refusal::NoToken);
    };
    // Who adds a header to another one gets to know it.
    if values.next().is_some() {
        return Err(Refusal::InvalidRequest);
    }
    match value.to_str().ok().and_then(|value| value.split_once(' ')) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(Refusal::NoToken),
    }
}

async fn accept(
    shared: &Shared,
    head: &request::Parts,
    token: Fingerprint,
    body: Incoming,
) -> Reply {
    #[derive(Serialize)]
    struct Echo<'a> {
        method: &'a str,
        path: &'a str,
        query: Option<&'a str>,
        body_bytes: u64,
        body_sha256: &'a str,
        token: String,
    }
    let Ok((body_bytes, body_sha256)) = digest(body).await else {
        return Reply::Close;
    };
    shared.state().counters.api_ok += 1;
    let echo = Echo {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query(),
        body_bytes,
        body_sha256: body_sha256.as_deref().unwrap_or(EMPTY_SHA256),
        token: token.to_string(),
    };
    response::json(StatusCode::OK, &echo).into()
}

/// Length and SHA-256 of a body, in one pass; no hash of none.
async fn digest(mut body: Incoming) -> Result<(u64, Option<String>), hyper::Error> {
    if body.is_end_stream() {
        return Ok((0, None));
    }
    let mut length = 0;
    let mut hasher = Sha256::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            length += data.len() as u64;
            hasher.update(&data);
        }
    }
    let hash = hasher.finalize();
    Ok((length, Some(hash.iter().map(|byte| format!("{byte:02x}")).collect())))
}

async fn drain(mut body: Incoming) -> Result<(), hyper::Error> {
    while let Some(frame) = body.frame().await {
        frame?;
    }
    Ok(())
}
