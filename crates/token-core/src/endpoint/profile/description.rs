//! A profile as it is used: judged, and without a way to be wrong.

use std::time::Duration;

use http::{HeaderName, Method};

use super::condition::Condition;
pub(super) use super::document::{Current, RequestWord as Ask};
use super::expiry::ExpiryRule;
use super::pointer::Pointer;
use super::secret::SecretRef;
use crate::http::Scheme;
use crate::protocol::GraceWindow;
use crate::refresher::{Outcome, Spends};

#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) base_url: Option<String>,
    pub(super) even_http: bool,
    pub(super) login: Option<RequestRule>,
    pub(super) refresh: Option<RequestRule>,
    pub(super) reusable: bool,
    pub(super) grace_window: Option<GraceWindow>,
    pub(super) answer: AnswerRule,
    /// `None`: any 2xx without an `error`, as RFC 6749 has it.
    pub(super) success: Option<Condition>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) refresh_before: Option<Duration>,
    pub(super) every: Option<Duration>,
    pub(super) api: ApiRule,
}

/// A request to the token endpoint.
#[derive(Clone, Debug)]
pub(super) struct RequestRule {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) bearer: Option<Value>,
    pub(super) headers: Vec<(HeaderName, Value)>,
    pub(super) query: Vec<(String, Value)>,
    pub(super) body: Option<Body>,
}

#[derive(Clone, Debug)]
pub(super) enum Url {
    Whole(String),
    /// To be put behind the base URL.
    Path(String),
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Form(Vec<(String, Value)>),
    Json(Vec<(String, Value)>),
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    Current(Current),
    Secret(SecretRef),
}

#[derive(Clone, Debug)]
pub(super) struct AnswerRule {
    pub(super) access_token: Pointer,
    pub(super) refresh_token: Pointer,
    pub(super) token_type: Pointer,
    pub(super) scope: Pointer,
    pub(super) expires: ExpiryRule,
    pub(super) extra: Vec<(String, Pointer)>,
}

/// What an answer of the token endpoint means that looks like this.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// The request that it answers; `None` means either.
    pub(super) of: Option<Ask>,
    pub(super) when: Condition,
    pub(super) outcome: Outcome,
    pub(super) message: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct ApiRule {
    pub(super) header: HeaderName,
    pub(super) scheme: Scheme,
    pub(super) probe: Option<Url>,
    pub(super) refused: Vec<Condition>,
}

impl Description {
    /// What this request uses up.
    pub(super) fn stake(&self, ask: Ask) -> Spends {
        let presents =
            self.refresh.as_ref().is_some_and(|refresh| refresh.presents(Current::RefreshToken));
        match ask {
            Ask::Login => Spends::Nothing,
            Ask::Refresh if presents && !self.reusable => Spends::RefreshToken,
            Ask::Refresh => Spends::Reusable,
        }
    }
}

impl RequestRule {
    /// All that the request carries, each with the name of its place.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, &Value)> {
        let body = match &self.body {
            Some(Body::Form(fields) | Body::Json(fields)) => fields.as_slice(),
            None => &[],
        };
        let bearer = self.bearer.iter().map(|value| ("bearer", value));
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value));
        let fields = self.query.iter().chain(body).map(|(name, value)| (name.as_str(), value));
        bearer.chain(headers).chain(fields)
    }

    /// Whether the request presents this token.
    pub(super) fn presents(&self, token: Current) -> bool {
        self.values()
            .any(|(_, value)| matches!(value, Value::Current(current) if *current == token))
    }
}
