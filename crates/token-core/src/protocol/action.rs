//! What the shell does for the protocol, and what it reports of it.

use std::time::Duration;

use crate::clock::Moment;
use crate::record::Record;
use crate::refresher::{RefreshError, Spends};
use crate::store::{Expect, Liveness, Stamp, StoreError};
use crate::token::TokenSet;

use super::failure::Failure;
use super::replica::{History, Stored};

/// What the shell does next.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Load,
    Swap {
        expect: Expect,
        stamp: Stamp,
        record: Record,
    },
    /// Make one exchange with these tokens, bounded by the deadline.
    Exchange {
        tokens: Option<TokenSet>,
    },
    /// Wait until the record may have changed, at most this long.
    Watch {
        since: Option<Stamp>,
        at_most: Duration,
    },
    /// Ask the store whether the holder of this attempt is still there.
    AskHolder {
        attempt: Stamp,
    },
    Pause(Duration),
    Finish(Result<(), Failure>),
}

/// What came of an action.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Loaded(Result<Option<Stored>, StoreError>),
    Swapped(Result<Swapped, StoreError>),
    Exchanged {
        sent: Moment,
        result: Result<TokenSet, RefreshError>,
    },
    Holder(Liveness),
    /// A watch or a pause is over.
    Woken,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made and taken apart once for each write")]
pub(crate) enum Swapped {
    Won {
        /// Whether it is as lasting as was asked.
        durable: bool,
        /// Of the record that was replaced.
        history: History,
    },
    Lost(Option<Stored>),
}

/// What a step reads besides the state.
pub(crate) struct Context<'a> {
    pub(crate) now: Moment,
    /// A new random stamp; a step uses it at most once.
    pub(crate) fresh: Stamp,
    pub(crate) spends: &'a dyn Fn(Option<&TokenSet>) -> Spends,
}
