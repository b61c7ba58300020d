//! What a dialect has to say: how requests are read and answers are written.

use std::{borrow::Cow, time::SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, request};
use serde_json::Value;

use super::encoding;
use crate::{
    api,
    fault::{Changes, Field, RefreshField},
    refusal::Refusal,
    response::{self, Whole},
    token_request::TokenRequest,
    tokens::Issued,
};

/// What an API looks like on the wire. It decides nothing: the rules are elsewhere.
pub(crate) trait Wire: Send + Sync {
    /// Every path beside those of the API. The first is where tokens are renewed.
    fn endpoints(&self) -> &'static [Endpoint];

    /// What a token request says.
    fn read(&self, sent: &Sent<'_>) -> TokenRequest;

    /// The good answer to this request.
    fn issued(&self, request: &TokenRequest, good: &Good<'_>) -> Fields;

    /// How this API puts a refusal of the rules.
    fn problem(&self, request: &TokenRequest, refusal: Refusal) -> Problem;

    /// The answer that tells of a problem.
    fn refused(&self, problem: &Problem) -> Refused;

    /// The header of API requests that has the token.
    fn token_header(&self) -> HeaderName {
        header::AUTHORIZATION
    }

    /// The access token of an API request.
    fn credential<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, api::Refusal> {
        encoding::bearer(headers)
    }

    /// What the API answers in place of what was asked for.
    fn api_refused(&self, refusal: api::Refusal) -> Whole;

    /// What the API answers to a request with a valid token.
    fn api_accepted(&self, echo: &api::Echo<'_>) -> Whole {
        response::json(StatusCode::OK, echo)
    }
}

/// A path and what is there.
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) serves: Serves,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Serves {
    /// Hands out tokens: it is in the history and has faults.
    Tokens,
    /// Sends a browser back with a code.
    Authorization,
    /// A page for people.
    LoginPage,
}

impl Endpoint {
    pub(crate) const fn tokens(path: &'static str) -> Self {
        Self { method: Method::POST, path, serves: Serves::Tokens }
    }
}

/// A token request as it was sent.
pub(crate) struct Sent<'a> {
    pub(crate) head: &'a request::Parts,
    pub(crate) body: &'a [u8],
}

impl Sent<'_> {
    pub(crate) fn path(&self) -> &str {
        self.head.uri.path()
    }

    pub(crate) fn form(&self) -> (encoding::Parameters, Option<Refusal>) {
        encoding::form(&self.head.headers, self.body)
    }

    pub(crate) fn json(&self) -> (encoding::Parameters, Option<Refusal>) {
        encoding::json(&self.head.headers, self.body)
    }

    pub(crate) fn query(&self) -> (encoding::Parameters, Option<Refusal>) {
        encoding::query(self.head.uri.query())
    }
}

/// Members of an answer, as raw JSON.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// Tokens to answer with, and how a fault changes them.
pub(crate) struct Good<'a> {
    pub(crate) issued: &'a Issued,
    pub(crate) changes: &'a Changes,
    /// By the server's clock.
    pub(crate) now: SystemTime,
}

impl Good<'_> {
    pub(crate) fn access(&self) -> String {
        text(&self.issued.access)
    }

    pub(crate) fn token_type(&self, usual: &str) -> Option<String> {
        match &self.changes.token_type {
            None => Some(text(usual)),
            Some(Field::Is(token_type)) => Some(text(token_type)),
            Some(Field::Absent) => None,
        }
    }

    /// When the access token ends; `usual` is this dialect's raw JSON.
    pub(crate) fn expiry(&self, usual: String) -> Option<String> {
        match &self.changes.expires_in {
            None => Some(usual),
            Some(Field::Is(raw)) => Some(raw.clone()),
            Some(Field::Absent) => None,
        }
    }

    pub(crate) fn refresh(&self) -> Option<String> {
        match (self.changes.refresh_token, &self.issued.refresh) {
            (None | Some(RefreshField::Repeated), Some(token)) => Some(text(token)),
            (Some(RefreshField::Null), _) => Some("null".to_owned()),
            (Some(RefreshField::Empty), _) => Some(text("")),
            _ => None,
        }
    }

    pub(crate) fn scope(&self, asked: Option<&str>) -> Option<String> {
        self.changes.scope.as_deref().or(asked).map(text)
    }
}

/// Those that are there.
pub(crate) fn present<const N: usize>(fields: [(&'static str, Option<String>); N]) -> Fields {
    fields.into_iter().filter_map(|(name, raw)| Some((name, raw?))).collect()
}

/// Why there are no tokens, in an API's own words.
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) description: Cow<'static, str>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, description: &'static str) -> Self {
        Self { status, code: Cow::Borrowed(""), description: description.into() }
    }

    /// As RFC 6749 §5.2 puts a refusal.
    pub(crate) fn of(refusal: Refusal) -> Self {
        let (code, description) = (refusal.error().into(), refusal.description().into());
        Self { status: refusal.status(), code, description }
    }
}

/// An answer without tokens.
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) challenge: Option<HeaderValue>,
    pub(crate) fields: Fields,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, fields: Fields) -> Self {
        Self { status, challenge: None, fields }
    }
}

/// A JSON string.
pub(crate) fn text(text: &str) -> String {
    Value::from(text).to_string()
}
