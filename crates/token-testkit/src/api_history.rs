//! What the API received, request by request.

use std::{borrow::Cow, collections::BTreeMap};

use http::{HeaderMap, HeaderName, HeaderValue, Version, header, request};
use serde::{Serialize, Serializer};

use crate::{Fingerprint, body::Digested};

/// One request to the API, as far as it came.
///
/// It serializes with the version as text, and headers as lists of values by name.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ApiRequest {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// HTTP/1.1 or HTTP/2.
    #[serde(serialize_with = "version")]
    pub version: Version,
    /// Its headers; of a token, in `authorization` or where the dialect has it, there is the [`Fingerprint`] only.
    #[serde(serialize_with = "headers")]
    pub headers: HeaderMap,
    /// How many bytes of its body were read.
    pub body_bytes: u64,
    /// The SHA-256 of what was read, in hexadecimal, once the reading has ended.
    pub body_sha256: Option<String>,
    /// The trailers after the body.
    #[serde(serialize_with = "trailers")]
    pub trailers: Option<HeaderMap>,
    /// How the reading of its body ended.
    pub body_end: BodyEnd,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
}

/// How the reading of a body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyEnd {
    /// It has not, or nobody reads.
    Open,
    /// With the body's own end: it was received whole.
    Complete,
    /// The client broke it off.
    BrokenOff,
}

fn version<S: Serializer>(version: &Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{version:?}"))
}

fn headers<S: Serializer>(headers: &HeaderMap, serializer: S) -> Result<S::Ok, S::Error> {
    by_name(headers).serialize(serializer)
}

fn trailers<S: Serializer>(trailers: &Option<HeaderMap>, serializer: S) -> Result<S::Ok, S::Error> {
    trailers.as_ref().map(by_name).serialize(serializer)
}

fn by_name(headers: &HeaderMap) -> BTreeMap<&str, Vec<Cow<'_, str>>> {
    let mut values: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, value) in headers {
        values.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()));
    }
    values
}

/// The requests so far, if anybody wants to know.
#[derive(Default)]
pub(crate) struct ApiHistory {
    pub(crate) recording: bool,
    requests: Vec<ApiRequest>,
}

impl ApiHistory {
    /// Takes note of a request; gives its place.
    pub(crate) fn arrived(&mut self, head: &request::Parts, token: &HeaderName) -> Option<usize> {
        self.recording.then(|| {
            self.requests.push(ApiRequest {
                method: head.method.to_string(),
                path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
                version: head.version,
                headers: without_tokens(&head.headers, token),
                body_bytes: 0,
                body_sha256: None,
                trailers: None,
                body_end: BodyEnd::Open,
                status: None,
            });
            self.requests.len() - 1
        })
    }

    pub(crate) fn body_ended(&mut self, place: Option<usize>, body: Digested, end: BodyEnd) {
        if let Some(entry) = place.and_then(|place| self.requests.get_mut(place)) {
            entry.body_bytes = body.bytes;
            entry.body_sha256 = Some(body.sha256);
            entry.trailers = body.trailers;
            entry.body_end = end;
        }
    }

    pub(crate) fn answered(&mut self, place: Option<usize>, status: u16) {
        if let Some(entry) = place.and_then(|place| self.requests.get_mut(place)) {
            entry.status = Some(status);
        }
    }

    pub(crate) fn requests(&self) -> &[ApiRequest] {
        &self.requests
    }
}

fn without_tokens(headers: &HeaderMap, token: &HeaderName) -> HeaderMap {
    let shown = |value: &HeaderValue| {
        let text = String::from_utf8_lossy(value.as_bytes());
        let (scheme, token) = text.split_once(' ').unwrap_or(("", &text));
        let shown = format!("{scheme} {}", Fingerprint::of(token.trim()));
        // Sixteen hexadecimal digits are a header's value.
        HeaderValue::from_str(shown.trim()).unwrap_or_else(|_| HeaderValue::from_static("?"))
    };
    headers
        .iter()
        .map(|(name, value)| match *name == header::AUTHORIZATION || name == token {
            true => (name.clone(), shown(value)),
            false => (name.clone(), value.clone()),
        })
        .collect()
}
