//! Watches the token requests, and counts the occasions that required a new token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use token_core::RefreshError;
use token_core::endpoint::HttpEndpoint;

/// Less than this part of a lifetime after the last token, a new one was not called for.
const SHORTEST_PART: f64 = 0.6;

/// What was seen so far. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Occasions {
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Copy, Debug)]
enum Seen {
    /// Every access token was revoked.
    Revoked,
    Requested {
        at: Instant,
        issued: bool,
        lifetime: Option<Duration>,
        refused_grant: bool,
    },
}

impl Occasions {
    pub(crate) fn revoked(&self) {
        self.push(Seen::Revoked);
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.count(|seen| matches!(seen, Seen::Requested { .. }))
    }

    /// How often the server refused the grant itself.
    pub(crate) fn refused_grants(&self) -> u64 {
        self.count(|seen| matches!(seen, Seen::Requested { refused_grant: true, .. }))
    }

    /// The number of occasions: the beginning, each revocation that was met, and each token that came near its end. What
    /// was requested beside them, or again after a failure, is no occasion.
    pub(crate) fn count_occasions(&self) -> u64 {
        let mut occasions = 0;
        let mut last: Option<(Instant, Option<Duration>)> = None;
        let mut revoked = false;
        for seen in self.lock().iter() {
            match seen {
                Seen::Revoked => revoked = true,
                Seen::Requested { at, issued, lifetime, .. } => {
                    let due = last.is_none_or(|(before, lifetime)| {
                        lifetime.is_some_and(|lifetime| {
                            at.duration_since(before) >= lifetime.mul_f64(SHORTEST_PART)
                        })
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

    fn count(&self, what: impl Fn(&Seen) -> bool) -> u64 {
        self.lock().iter().filter(|seen| what(seen)).count() as u64
    }

    fn push(&self, seen: Seen) {
        self.lock().push(seen);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An endpoint that is watched.
pub(crate) struct Watched<H> {
    pub(crate) endpoint: H,
    pub(crate) occasions: Occasions,
}

impl<H: HttpEndpoint> HttpEndpoint for Watched<H> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let at = Instant::now();
        let result = self.endpoint.send(request).await;
        let answer: serde_json::Value = result
            .as_ref()
            .ok()
            .and_then(|answer| serde_json::from_slice(answer.body()).ok())
            .unwrap_or_default();
        let lifetime = answer["expires_in"]
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        self.occasions.push(Seen::Requested {
            at,
            issued: answer["access_token"].is_string(),
            lifetime,
            refused_grant: answer["error"] == "invalid_grant",
        });
        result
    }
}
