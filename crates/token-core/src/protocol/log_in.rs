//! A grant whose refresh token has died gets tokens by a login, where its refresher has one.

use crate::record::{DeadReason, Record, State};
use crate::refresher::Spends;
use crate::token::TokenSet;

use super::action::{Action, Context};
use super::replica::Replica;

/// Whether a login goes on from this record by itself. Not after a logout by hand, which is to last, nor where it is only a
/// login that gets tokens: it was refused then, and a loop of those locks accounts.
pub(crate) fn logs_in(record: &Record, spends: &dyn Fn(Option<&TokenSet>) -> Spends) -> bool {
    let died = matches!(
        record.state,
        State::Dead { reason: DeadReason::Refused | DeadReason::OutcomeUnknown }
    );
    died && spends(Some(&record.tokens)) != Spends::Nothing && spends(None) == Spends::Nothing
}

impl Replica {
    /// Whether the store holds what a login goes on from.
    pub(super) fn goes_on_with_login(&self, ctx: &Context<'_>) -> bool {
        matches!(&self.seen, Some(Some(seen)) if logs_in(&seen.record, ctx.spends))
    }

    /// Goes on from the record without its refresh token. The answer is the next generation, so that a login or a logout
    /// by hand, which begin an epoch, win over it.
    pub(super) fn log_in(&mut self, dead: &Record) -> Action {
        let mut base = dead.with_state(State::Idle);
        base.tokens.refresh_token = None;
        base.tokens.refresh_expires = None;
        self.exchange(Some(base), None)
    }
}
