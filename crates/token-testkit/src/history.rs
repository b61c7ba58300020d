//! What was presented to the token endpoint, in order, and what became of it.

use std::{collections::BTreeMap, time::Duration};

use serde::{Serialize, Serializer};

use crate::Fingerprint;

/// One request to the token endpoint.
///
/// It serializes with times as seconds.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Presentation {
    /// Place in the history, from 0.
    pub sequence: u64,
    /// When the request had been read, since the server's start.
    #[serde(serialize_with = "seconds")]
    pub at: Duration,
    /// When the answer was handed to the connection, since the server's start; `None` if there is
    /// none, yet or for ever.
    #[serde(serialize_with = "seconds")]
    pub answered_at: Option<Duration>,
    /// The client that the request named, whether or not it proved to be it; or the user, in a
    /// [`Dialect`](crate::Dialect) without clients.
    pub client: Option<String>,
    /// The `grant_type` parameter, or what it would be where a [`Dialect`](crate::Dialect) has none; presenting a service
    /// token is `service_token`, asking for one `new_service_token`.
    pub grant_type: Option<String>,
    /// The refresh token, or what a dialect has in its place, that was presented.
    pub presented: Option<Fingerprint>,
    /// The family of the presented refresh token, if the server had issued it.
    pub family: Option<u64>,
    /// The generation of the presented refresh token within its family: the login's is 0, and each
    /// one issued later has the next number, branches of a [`Grace`](crate::Grace) window too.
    pub generation: Option<u64>,
    /// The request's `X-Request-Id` header, by which a sender finds its own request.
    pub request_id: Option<String>,
    /// What the server's own rules came to, answered or not: [`Answer::Issued`], [`Answer::Refused`] or
    /// [`Answer::ReuseDetected`]. `None` if they were not asked, yet or for ever.
    pub decided: Option<Answer>,
    /// When they did, since the server's start.
    #[serde(serialize_with = "seconds")]
    pub decided_at: Option<Duration>,
    /// What became of the request.
    pub answer: Answer,
}

/// What became of a token request.
///
/// It serializes as a map whose `kind` is the variant's name in snake case.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Answer {
    /// It is still in progress, or hangs.
    Pending,
    /// New tokens.
    #[non_exhaustive]
    Issued {
        /// The generation of the refresh token that came with it, or stays valid.
        generation: u64,
        /// The new access token.
        access: Fingerprint,
        /// The refresh token in the answer.
        refresh: Option<Fingerprint>,
        /// The presented refresh token had been spent before; a [`Grace`](crate::Grace) window let
        /// it pass.
        in_grace: bool,
    },
    /// An OAuth error by the server's own rules.
    #[non_exhaustive]
    Refused {
        /// The code of RFC 6749 §5.2.
        error: String,
    },
    /// `invalid_grant`, because the presented refresh token or code was spent before: the family ended.
    ReuseDetected,
    /// A scripted answer.
    #[non_exhaustive]
    Fault {
        /// The status of the answer.
        status: u16,
        /// Whether the request had been carried out: what it rotated is rotated.
        processed: bool,
    },
    /// The connection was closed without an answer, by a fault or by the client.
    #[non_exhaustive]
    NoAnswer {
        /// Whether the request had been carried out: what it rotated is rotated.
        processed: bool,
    },
}

fn seconds<S: Serializer>(
    time: &(impl Copy + Into<Option<Duration>>),
    serializer: S,
) -> Result<S::Ok, S::Error> {
    (*time).into().map(|time| time.as_secs_f64()).serialize(serializer)
}

/// The whole history, and which of it is still in progress.
#[derive(Default)]
pub(crate) struct History {
    presentations: Vec<Presentation>,
    in_flight: u64,
}

impl History {
    /// Takes note of a request; gives its place and how many are in progress now.
    pub(crate) fn arrived(&mut self, at: Duration, what: Presented) -> (u64, u64) {
        let sequence = self.presentations.len() as u64;
        self.presentations.push(Presentation {
            sequence,
            at,
            answered_at: None,
            client: what.client,
            grant_type: what.grant_type,
            presented: what.presented,
            family: what.lineage.map(|(family, _)| family),
            generation: what.lineage.map(|(_, generation)| generation),
            request_id: what.request_id,
            decided: None,
            decided_at: None,
            answer: Answer::Pending,
        });
        self.in_flight += 1;
        (sequence, self.in_flight)
    }

    /// Takes note of what the server's own rules came to for the request at `sequence`.
    pub(crate) fn decided(&mut self, sequence: u64, now: Duration, decision: Answer) {
        if let Some(entry) = self.entry(sequence) {
            entry.decided = Some(decision);
            entry.decided_at = Some(now);
        }
    }

    /// Takes note of what became of the request at `sequence`.
    pub(crate) fn ended(&mut self, sequence: u64, now: Duration, answer: Answer) {
        if let Some(entry) = self.entry(sequence) {
            entry.answered_at = (!matches!(answer, Answer::NoAnswer { .. })).then_some(now);
            entry.answer = answer;
            self.in_flight = self.in_flight.saturating_sub(1);
        }
    }

    pub(crate) fn entry(&mut self, sequence: u64) -> Option<&mut Presentation> {
        self.presentations.get_mut(usize::try_from(sequence).ok()?)
    }

    pub(crate) fn presentations(&self) -> &[Presentation] {
        &self.presentations
    }

    /// How often the refresh token of each (family, generation) was presented.
    pub(crate) fn per_generation(&self) -> BTreeMap<(u64, u64), u64> {
        let mut counts = BTreeMap::new();
        for entry in &self.presentations {
            if let (Some(family), Some(generation)) = (entry.family, entry.generation) {
                *counts.entry((family, generation)).or_default() += 1;
            }
        }
        counts
    }
}

/// What a request presents, without its secrets.
#[derive(Default)]
pub(crate) struct Presented {
    pub(crate) client: Option<String>,
    pub(crate) grant_type: Option<String>,
    pub(crate) presented: Option<Fingerprint>,
    pub(crate) request_id: Option<String>,
    /// Family and generation of the presented refresh token.
    pub(crate) lineage: Option<(u64, u64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_overlap_until_they_end() {
        let mut history = History::default();
        let at = Duration::from_secs;
        assert_eq!(history.arrived(at(1), Presented::default()), (0, 1));
        assert_eq!(history.arrived(at(2), Presented::default()), (1, 2));
        history.ended(0, at(3), Answer::ReuseDetected);
        history.ended(1, at(4), Answer::NoAnswer { processed: true });
        assert_eq!(history.arrived(at(5), Presented::default()), (2, 1));

        let answered: Vec<_> =
            history.presentations().iter().map(|entry| entry.answered_at).collect();
        assert_eq!(answered, [Some(at(3)), None, None]);
    }

    #[test]
    fn presentations_are_counted_by_family_and_generation() {
        let mut history = History::default();
        for lineage in [Some((0, 0)), Some((0, 1)), Some((0, 1)), Some((1, 0)), None] {
            history.arrived(Duration::ZERO, Presented { lineage, ..Presented::default() });
        }
        let counts: Vec<_> = history.per_generation().into_iter().collect();
        assert_eq!(counts, [((0, 0), 1), ((0, 1), 2), ((1, 0), 1)]);
    }
}
