use http::{Extensions, HeaderMap, Method, Uri, Version, request};

use super::challenge::Verdict;
use crate::guard::Guard;

/// Which time a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a request is sent twice at most")]
pub enum Attempt {
    /// The first time.
    First,
    /// After a renewal.
    Replay,
}

/// What an adapter does with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "adapters must handle every case")]
pub enum Next {
    /// Give it to the caller.
    Return,
    /// Renew for the requests to come, then give this answer to the caller, whatever came of it.
    RenewAndReturn,
    /// Renew, then send the request again. If that cannot be had, give this answer to the caller.
    RenewAndReplay,
}

impl Next {
    /// The one decision after an answer.
    pub fn after(attempt: Attempt, verdict: Verdict, can_be_sent_again: bool) -> Self {
        match (attempt, verdict) {
            (_, Verdict::Accepted) => Self::Return,
            // A second refusal is the caller's: another try would be a loop. The token that was refused is new, and
            // whether it is renewed is the pace's to say.
            (Attempt::Replay, Verdict::Refused) if Guard::ReplayOnce.on() => Self::Return,
            (_, Verdict::Refused) if can_be_sent_again => Self::RenewAndReplay,
            (_, Verdict::Refused) => Self::RenewAndReturn,
        }
    }
}

/// A request's head as it was before the token was attached.
#[derive(Clone, Debug)]
pub(super) struct SavedHead {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    extensions: Extensions,
}

impl SavedHead {
    /// Copies the head. Without headers and extensions of the caller's this allocates nothing.
    pub(super) fn of(head: &request::Parts) -> Self {
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            headers: head.headers.clone(),
            extensions: head.extensions.clone(),
        }
    }

    /// Whether the request may be carried out twice (RFC 9110 §9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The head again, with another body.
    pub(super) fn into_request<B>(self, body: B) -> http::Request<B> {
        let mut request = http::Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        *request.extensions_mut() = self.extensions;
        request
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[test]
    pub(crate) fn a_refused_request_is_sent_again_once_if_its_body_can_be() {
        assert_eq!(Next::after(Attempt::First, Verdict::Accepted, true), Next::Return);
        assert_eq!(Next::after(Attempt::First, Verdict::Refused, true), Next::RenewAndReplay);
        assert_eq!(Next::after(Attempt::First, Verdict::Refused, false), Next::RenewAndReturn);
        assert_eq!(Next::after(Attempt::Replay, Verdict::Refused, true), Next::Return);
    }
}
