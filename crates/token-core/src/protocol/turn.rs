//! An exchange that uses nothing up: a client's credentials, a password, a refresh token that may be used again.
//!
//! As long as the store works, one process asks for all: it is made known by an intent, as the use of a one-time token is.
//! Nothing is lost if two ask all the same, so whatever is in the way of a turn is passed by: nobody waits for longer than
//! an attempt takes, and without the store each process asks for itself (ADR 0012).

use std::time::Duration;

use crate::guard::Guard;
use crate::record::{Record, State};
use crate::refresher::Spends;
use crate::store::Expect;
use crate::token::TokenSet;
use crate::version::Version;

use super::action::{Action, Context};
use super::replica::{Replica, Seen};

/// Whether an exchange over this record uses up its refresh token.
pub(super) fn spends_token(record: &Record, ctx: &Context<'_>) -> bool {
    (ctx.spends)(Some(&record.tokens)) == Spends::RefreshToken
}

impl Replica {
    /// Asks for new tokens, unless another process is at it.
    pub(super) fn take_turn(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        match seen.record.state {
            _ if !Guard::Turn.on() => self.exchange(Some(seen.record.clone()), None),
            State::InFlight { attempt } if !self.is_own(attempt) => {
                let over = seen.since.saturating_add(self.policy.longest_attempt());
                let left = over.saturating_sub(ctx.now.monotonic());
                if left.is_zero() || seen.holder_gone.is_some() {
                    return self.acquire(seen, ctx);
                }
                self.watch_holder(seen, attempt, left, ctx)
            }
            _ => self.acquire(seen, ctx),
        }
    }

    /// Where there is no record yet, one without tokens is what turns are taken over.
    pub(super) fn take_first_turn(&mut self, ctx: &Context<'_>) -> Action {
        if !Guard::Turn.on() {
            return self.exchange(None, None);
        }
        let record = Record::brought(Version::FIRST, TokenSet::empty(), Duration::ZERO);
        self.prepare(Expect::Absent, record, None, ctx)
    }
}
