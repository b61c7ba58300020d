use std::time::Duration;

use crate::record::DeadReason;
use crate::refresher::{Outcome, RefreshError};
use crate::store::StoreError;

/// Why a flight ended without what was asked for.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// Only new tokens from outside help.
    NeedsLogin(LoginReason),
    /// The exchange failed, and it is certain that the refresh token was not used up.
    Refresh(RefreshError),
    /// A refresh was sent and nobody knows what came of it; nothing is sent for `wait`, or for `settling` if the access
    /// token is refused meanwhile and there is nothing left to lose.
    OutcomeUnknown { wait: Duration, settling: Duration, cause: Option<RefreshError> },
    /// The store did not let the flight go on, so nothing was sent.
    Store(StoreError),
    /// The store did not confirm that the intent lasts, so nothing was sent.
    NotDurable,
    /// The intent took longer than the send gate allows, so nothing was sent.
    Late { took: Duration },
    /// The flight was dropped: its runtime went away.
    Interrupted,
    /// The manager was shut down while the flight waited for others, so nothing was sent.
    ShutDown,
}

/// Why a login is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginReason {
    /// There is no record, and no seed.
    NoGrant,
    /// There are tokens, but none that a new one could be had with.
    NoRefreshToken,
    /// The same, and the access token has ended.
    Ended,
    /// The record says so.
    Dead(DeadReason),
}

/// When a failed refresh may be tried again: the outcome table, read for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// After the backoff, or what the server asked for.
    After { at_least: Option<Duration> },
    /// Not by itself: only when somebody asks for it, or the record changes.
    Manually,
}

impl Failure {
    /// Whether somebody who asks by hand may have a try before its time: not against a server's `Retry-After`, nor while
    /// an outcome is unknown.
    pub(crate) fn yields_to_hand(&self) -> bool {
        match self {
            Self::Refresh(error) => error.retry_after().is_none(),
            Self::OutcomeUnknown { .. } => false,
            Self::NeedsLogin(_)
            | Self::Store(_)
            | Self::NotDurable
            | Self::Late { .. }
            | Self::Interrupted
            | Self::ShutDown => true,
        }
    }

    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::NeedsLogin(_) => Retry::Manually,
            Self::Refresh(error) => match error.outcome() {
                Outcome::Configuration | Outcome::InvalidGrant => Retry::Manually,
                Outcome::NotSent | Outcome::Rejected | Outcome::Ambiguous => {
                    Retry::After { at_least: error.retry_after() }
                }
            },
            Self::OutcomeUnknown { wait, .. } => Retry::After { at_least: Some(*wait) },
            Self::Store(_)
            | Self::NotDurable
            | Self::Late { .. }
            | Self::Interrupted
            | Self::ShutDown => Retry::After { at_least: None },
        }
    }
}
