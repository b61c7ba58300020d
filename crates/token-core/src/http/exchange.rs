//! What both adapters do with a request, step by step. They perform the steps: send, wait, read.

use std::fmt;

use http::{Request, request};
use http_body::Body;

use super::body::{Replay, ReplayBody};
use super::challenge::Verdict;
use super::policy::Policy;
use super::replay::{Attempt, Next, SavedHead};
use crate::token::Token;

/// A request that goes out with a token: what its answer is held against.
pub struct Sent<B: Body> {
    token: Token,
    again: Option<(SavedHead, Replay<B>)>,
}

impl<B: Body> Sent<B> {
    /// Puts the token into the head, and keeps what a replay would need.
    pub fn with_token(
        policy: &Policy,
        head: &mut request::Parts,
        replay: Replay<B>,
        token: Token,
    ) -> Self {
        let again = replay.is_possible().then(|| (SavedHead::of(head), replay));
        policy.attach(&mut head.headers, &token);
        Self { token, again }
    }

    /// Over a client that follows redirects: the answer came from another URL than the one that was asked.
    ///
    /// What is not idempotent (RFC 9110 §9.2.2) is not sent again then: a POST that is answered with a redirect was mostly
    /// carried out, and what was refused is the page behind it.
    #[must_use]
    pub fn redirected(mut self) -> Self {
        self.again = self.again.filter(|(head, _)| head.is_idempotent());
        self
    }

    /// What to do with the answer: `None` gives it to the caller. The first copy of a stream is held from here on.
    pub fn answered(self, verdict: Verdict) -> Option<Refused<B>> {
        let possible = self.again.as_ref().is_some_and(|(_, replay)| replay.is_possible());
        let again = match Next::after(Attempt::First, verdict, possible) {
            Next::Return => return None,
            Next::RenewAndReturn => None,
            Next::RenewAndReplay => self.again,
        };
        if let Some((_, replay)) = &again {
            replay.hold();
        }
        Some(Refused { token: self.token, again })
    }
}

/// A request whose token was refused: [`renew`](crate::TokenSource::renew) the token, wait for it, and then
/// [`replay`](Self::replay). Where no new token can be had, drop this and give the refusal to the caller.
pub struct Refused<B: Body> {
    token: Token,
    again: Option<(SavedHead, Replay<B>)>,
}

impl<B: Body> Refused<B> {
    /// The token that was refused.
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// Whether there is something to replay. [`replay`](Self::replay) may find later that it is gone.
    pub const fn may_be_replayed(&self) -> bool {
        self.again.is_some()
    }

    /// The request to send again, once what is left of the refusal was [read](super::Drain); its answer is the caller's.
    /// `None`: the refusal is.
    pub fn replay(self, policy: &Policy, renewed: &Token) -> Option<Request<ReplayBody<B>>> {
        let (saved, replay) = self.again?;
        // The stream may have failed since it was looked at.
        let mut request = saved.into_request(replay.take()?);
        policy.attach(request.headers_mut(), renewed);
        Some(request)
    }
}

impl<B: Body> fmt::Debug for Sent<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").field("token", &self.token).finish_non_exhaustive()
    }
}

impl<B: Body> fmt::Debug for Refused<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("token", &self.token).finish_non_exhaustive()
    }
}
