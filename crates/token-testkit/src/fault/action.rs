//! What a fault is made of.

use std::{num::NonZeroUsize, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::refusal::Refusal;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Action {
    /// The server's own rules decide; their answer is changed.
    Rules(Changes),
    Reset,
    Hang,
    Answer(Scripted),
}

/// How the answer of the server's own rules is changed; refusals are not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Changes {
    pub(crate) kill_family: bool,
    pub(crate) expires_in: Option<Field>,
    pub(crate) token_type: Option<Field>,
    pub(crate) refresh_token: Option<RefreshField>,
    pub(crate) scope: Option<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    Absent,
    /// Raw JSON for `expires_in`, plain text for `token_type`.
    Is(String),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RefreshField {
    Absent,
    Repeated,
    Null,
    Empty,
}

/// An answer that the server's own rules have no part in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Scripted {
    pub(crate) status: Option<StatusCode>,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Body {
    #[default]
    Nothing,
    Bytes(Bytes),
    OAuthError(String),
    /// As the rules refuse.
    Refusal(Refusal),
    Html,
    Empty,
    Garbage,
    Truncated,
    CutJson,
    Redirect(HeaderValue),
    Huge(u64),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum RetryAfter {
    Text(HeaderValue),
    /// So many seconds from the answer's `Date` on.
    Date(i64),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Drip {
    pub(crate) bytes: NonZeroUsize,
    pub(crate) every: Duration,
}

impl Default for Action {
    fn default() -> Self {
        Self::Rules(Changes::default())
    }
}

impl Action {
    /// Both; where they contradict each other, the other one counts.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (own, Self::Rules(none)) if none == Changes::default() => own,
            (Self::Rules(own), Self::Rules(other)) => Self::Rules(Changes {
                kill_family: own.kill_family || other.kill_family,
                expires_in: other.expires_in.or(own.expires_in),
                token_type: other.token_type.or(own.token_type),
                refresh_token: other.refresh_token.or(own.refresh_token),
                scope: other.scope.or(own.scope),
            }),
            (Self::Answer(own), Self::Answer(other)) => Self::Answer(Scripted {
                status: other.status.or(own.status),
                content_type: other.content_type.or(own.content_type),
                body: if other.body == Body::Nothing { own.body } else { other.body },
            }),
            (_, other) => other,
        }
    }
}
