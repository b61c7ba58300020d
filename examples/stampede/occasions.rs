//! Watches the token requests, and counts the occasions that required a new token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use serde::{Deserialize, Serialize};
use token_core::RefreshError;
use token_core::endpoint::HttpEndpoint;
use token_core::endpoint::profile::Profile;

/// Less than this part of a lifetime after the last token, a new one was not called for.
const SHORTEST_PART: f64 = 0.6;

/// What is seen from one place. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Seen {
    at: SystemTime,
    what: What,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum What {
    /// Every access token was revoked.
    Revoked,
    Requested {
        issued: bool,
        lifetime: Option<Duration>,
        refused_grant: bool,
    },
}

impl Log {
    pub(crate) fn revoked(&self) {
        self.push(SystemTime::now(), What::Revoked);
    }

    /// All that was seen since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, at: SystemTime, what: What) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(Seen { at, what });
    }
}

/// What was seen from all places, in the order of time.
pub(crate) struct Occasions(Vec<Seen>);

impl Occasions {
    pub(crate) fn new(mut seen: Vec<Seen>) -> Self {
        seen.sort_by_key(|seen| seen.at);
        Self(seen)
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.count_of(|what| matches!(what, What::Requested { .. }))
    }

    /// How often the server refused the grant itself.
    pub(crate) fn refused_grants(&self) -> u64 {
        self.count_of(|what| matches!(what, What::Requested { refused_grant: true, .. }))
    }

    /// The number of occasions: the beginning, each revocation that was met, and each token that came near its end. What
    /// was requested beside them, or again after a failure, is no occasion.
    pub(crate) fn count(&self) -> u64 {
        let mut occasions = 0;
        let mut last: Option<(SystemTime, Option<Duration>)> = None;
        let mut revoked = false;
        for Seen { at, what } in &self.0 {
            match what {
                What::Revoked => revoked = true,
                What::Requested { issued, lifetime, .. } => {
                    let due = last.is_none_or(|(before, lifetime)| {
                        let age = at.duration_since(before).unwrap_or_default();
                        lifetime.is_some_and(|lifetime| age >= lifetime.mul_f64(SHORTEST_PART))
                    });
                    if due || revoked {
                        occasions += 1;
                        revoked = false;
                        last = Some((*at, None));
                    }
                    if *issued {
                        last = Some((*at, *lifetime));
                    }
                }
            }
        }
        occasions
    }

    fn count_of(&self, what: impl Fn(&What) -> bool) -> u64 {
        self.0.iter().filter(|seen| what(&seen.what)).count() as u64
    }
}

/// An endpoint that is watched.
pub(crate) struct Watched<H> {
    pub(crate) endpoint: H,
    pub(crate) log: Log,
    /// How its answers are read, unless it speaks OAuth.
    pub(crate) profile: Option<Profile>,
}

impl<H: HttpEndpoint> HttpEndpoint for Watched<H> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let at = SystemTime::now();
        let result = self.endpoint.send(request).await;
        let body = result.as_ref().map_or(&[][..], |answer| answer.body());
        let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let (issued, lifetime) = match &self.profile {
            Some(profile) => {
                let tokens = profile.read(body).ok();
                (tokens.is_some(), tokens.and_then(|tokens| tokens.expires_in()))
            }
            None => {
                let lifetime = answer["expires_in"].as_f64();
                let lifetime = lifetime.and_then(|secs| Duration::try_from_secs_f64(secs).ok());
                (answer["access_token"].is_string(), lifetime)
            }
        };
        let refused_grant = answer["error"] == "invalid_grant";
        self.log.push(at, What::Requested { issued, lifetime, refused_grant });
        result
    }
}
