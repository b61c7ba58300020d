//! What happens to a grant, for programs ([`Events`]) and for logs.
//!
//! Every event is also a `tracing` event of the target `token_core::event`, with the grant's key as the field `grant`:
//!
//! | event | level | message |
//! |---|---|---|
//! | [`Refreshed`](Event::Refreshed) | INFO | `access token refreshed` |
//! | [`Adopted`](Event::Adopted) | DEBUG | `newer tokens taken over from the store` |
//! | [`RefreshFailed`](Event::RefreshFailed) | WARN | `refresh failed` |
//! | [`RefreshFailed`](Event::RefreshFailed) that is not tried again by itself ([`Configuration`](ErrorKind::Configuration)) | ERROR | `refresh failed` |
//! | [`NeedsLogin`](Event::NeedsLogin) | ERROR | `login needed` |
//! | [`EndsSoon`](Event::EndsSoon) | WARN | `tokens end soon, somebody has to bring new ones` |
//! | [`Changed`](Event::Changed) | INFO | `tokens changed by hand` |
//! | [`SeedTaken`](Event::SeedTaken) | INFO | `seed taken over` |
//! | [`Throttled`](Event::Throttled) | WARN | `refusals come too fast, their refresh is put off` |
//! | [`CommitDelayed`](Event::CommitDelayed) | ERROR | `store failed to take new tokens, serving from memory` |
//! | [`HolderOverdue`](Event::HolderOverdue) | WARN | `refresh of another process is overdue, waiting for it` |
//! | [`TakenOver`](Event::TakenOver) | WARN | `refresh of a process that is gone taken over` |
//! | [`Settling`](Event::Settling) | INFO | `store may have lost newer tokens, waiting for who has them` |
//! | [`RecordRepaired`](Event::RecordRepaired) | ERROR | `store fell back or lost the record, repaired` |
//! | [`RecordSetAside`](Event::RecordSetAside) | ERROR | `unreadable record set aside` |
//! | [`AnswerDropped`](Event::AnswerDropped) | WARN | `late answer dropped` |
//!
//! `NeedsLogin` is reported once per login epoch, however many requests fail. `EndsSoon` is reported first
//! [`warn_before`](crate::TokenManagerBuilder::warn_before) the end, then daily, and anew by each process that starts.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast;

use crate::error::{Error, ErrorKind};
use crate::version::Version;

/// How many events wait for a slow reader before the oldest is dropped.
const BUFFERED: usize = 64;

/// Something that happened to a grant. Holds no secret.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// This process refreshed the access token, and the store has it.
    Refreshed {
        /// The new version.
        version: Version,
    },
    /// Another process, or another manager of this one, refreshed or changed the tokens.
    Adopted {
        /// The new version.
        version: Version,
    },
    /// A refresh failed. While the current token is good, nobody else hears of it.
    RefreshFailed {
        /// What its waiters got.
        error: Error,
        /// The number of failures in a row.
        failures: u32,
    },
    /// Nothing goes on without a login.
    NeedsLogin {
        /// Why.
        error: Error,
    },
    /// The tokens end, and no refresh and no login of the grant's own gets others: an access token without a refresh token, or a
    /// refresh token of a known end that the server takes again and again. One-time refresh tokens are not warned of, for each
    /// refresh replaces them.
    EndsSoon {
        /// When.
        ends_at: SystemTime,
        /// The whole days until then, rounded down.
        days_left: i64,
    },
    /// The API refuses one token after the other, and refreshes for that are put off. Reported once, until one is made again.
    Throttled {
        /// What the refused requests' renewals got; their callers have the refusal.
        error: Error,
    },
    /// Somebody logged in, updated the tokens or logged out through this manager.
    Changed {
        /// The new version.
        version: Version,
    },
    /// The store had no record of the grant, or one from other seeds, and the configured seed was taken over.
    SeedTaken {
        /// The new version.
        version: Version,
    },
    /// The store failed to take an answer. It is served from memory and stored as soon as that works.
    CommitDelayed {
        /// Why.
        error: Error,
    },
    /// Another process should have ended its refresh long ago, and may be stopped. It is left alone until whatever it sent
    /// must be over, and then [taken over](Self::TakenOver).
    HolderOverdue,
    /// An intent of a process that went away was taken over.
    TakenOver,
    /// A refresh waits, because the store may have lost newer tokens: whoever has them gets the time to bring them back before an older
    /// refresh token is presented. So it is once for each seed that is taken over where a store may lose records, such as Redis,
    /// and after each of its failovers and restarts.
    Settling {
        /// The longest that it waits.
        at_most: Duration,
    },
    /// The store showed less than this process had seen, and was repaired.
    RecordRepaired,
    /// A login replaced a record that could not be read. What was there is kept.
    RecordSetAside {
        /// Where, as the store says it.
        place: String,
    },
    /// An answer came too late: somebody logged in meanwhile, or another process was answered for the same token.
    AnswerDropped,
    /// The reader was too slow, and this many events before this one were dropped.
    Lagged {
        /// The number of events.
        missed: u64,
    },
}

impl Event {
    pub(crate) fn log(&self, grant: &str) {
        match self {
            Self::Refreshed { version } => {
                tracing::info!(grant, %version, "access token refreshed")
            }
            Self::Adopted { version } => {
                tracing::debug!(grant, %version, "newer tokens taken over from the store");
            }
            Self::RefreshFailed { error, failures } => {
                let cause = causes(error);
                let cause = Some(cause.as_str()).filter(|cause| !cause.is_empty());
                // For a login that is needed the next event calls somebody; for this nothing else would.
                if error.kind() == ErrorKind::Configuration {
                    tracing::error!(grant, failures, %error, cause, "refresh failed");
                } else {
                    tracing::warn!(grant, failures, %error, cause, "refresh failed");
                }
            }
            Self::NeedsLogin { error } => tracing::error!(grant, %error, "login needed"),
            Self::EndsSoon { ends_at, days_left } => {
                let ends_at = jiff::Timestamp::try_from(*ends_at).ok().map(tracing::field::display);
                tracing::warn!(
                    grant,
                    days_left,
                    ends_at,
                    "tokens end soon, somebody has to bring new ones"
                );
            }
            Self::Throttled { error } => {
                tracing::warn!(grant, %error, "refusals come too fast, their refresh is put off");
            }
            Self::Changed { version } => tracing::info!(grant, %version, "tokens changed by hand"),
            Self::SeedTaken { version } => tracing::info!(grant, %version, "seed taken over"),
            Self::CommitDelayed { error } => {
                tracing::error!(grant, %error, "store failed to take new tokens, serving from memory");
            }
            Self::HolderOverdue => {
                tracing::warn!(grant, "refresh of another process is overdue, waiting for it");
            }
            Self::TakenOver => {
                tracing::warn!(grant, "refresh of a process that is gone taken over")
            }
            Self::Settling { at_most } => {
                tracing::info!(
                    grant,
                    at_most = ?at_most,
                    "store may have lost newer tokens, waiting for who has them"
                );
            }
            Self::RecordRepaired => {
                tracing::error!(grant, "store fell back or lost the record, repaired")
            }
            Self::RecordSetAside { place } => {
                tracing::error!(grant, place, "unreadable record set aside")
            }
            Self::AnswerDropped => tracing::warn!(grant, "late answer dropped"),
            Self::Lagged { .. } => {}
        }
    }
}

/// What led to an error, from the nearest cause to the last: "Connection refused" is often the last.
fn causes(error: &Error) -> String {
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    causes.join(": ")
}

/// The events of one manager from the moment of [`TokenManager::events`](crate::TokenManager::events) on.
///
/// At most 64 wait for a slow reader; then the oldest is dropped and [`Event::Lagged`] says so.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    /// The next event; `None` when the manager is gone.
    ///
    /// # Cancel safety
    ///
    /// No event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct EventSender {
    grant: String,
    sender: broadcast::Sender<Event>,
}

impl EventSender {
    pub(crate) fn new(grant: String) -> Self {
        Self { grant, sender: broadcast::Sender::new(BUFFERED) }
    }

    pub(crate) fn send(&self, event: Event) {
        event.log(&self.grant);
        // Nobody has to listen.
        let _ = self.sender.send(event);
    }

    pub(crate) fn subscribe(&self) -> Events {
        Events { receiver: self.sender.subscribe() }
    }
}

#[cfg(test)]
mod tests {
    /// The table in this module's documentation is what operators match their alerts against.
    #[test]
    fn the_documented_table_names_each_message_at_its_level() {
        let source: String = include_str!("event.rs").split_whitespace().collect();
        let mut rows = 0;
        for row in include_str!("event.rs").lines().filter(|line| line.starts_with("//! | [`")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let (level, message) = (cells[2].to_lowercase(), cells[3].trim_matches('`'));
            let message: String = message.split_whitespace().collect();
            let (call, message) = (format!("tracing::{level}!("), format!("\"{message}\""));
            let mut calls = source.split(&call).skip(1).filter_map(|call| call.split(");").next());
            let found = calls.any(|call| call.contains(&message));
            assert!(found, "{row}");
            rows += 1;
        }
        assert_eq!(rows, 16);
    }
}
