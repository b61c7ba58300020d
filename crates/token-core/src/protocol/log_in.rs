//! A grant whose refresh token has died gets tokens by a login, where its refresher has one.

use crate::guard::Guard;
use crate::record::{DeadReason, Record, State};
use crate::refresher::Spends;
use crate::store::Expect;
use crate::token::TokenSet;

use super::action::{Action, Context};
use super::failure::Failure;
use super::replica::{Replica, Seen};

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
    ///
    /// One process logs in: the one that wrote the dead record last. It writes the same record again where it is not yet the
    /// one, and whoever sees somebody else do that leaves the login to them for as long as an attempt takes.
    pub(super) fn log_in(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        if let Some(wait) = self.settle(seen, ctx) {
            return wait;
        }
        let now = ctx.now.monotonic();
        let age = seen.written.map(|written| now.saturating_sub(written));
        if age.is_some_and(|age| age < self.policy.send_gate) || !Guard::OneLogin.on() {
            let mut base = seen.record.with_state(State::Idle);
            base.tokens.refresh_token = None;
            base.tokens.refresh_expires = None;
            return self.exchange(Some(base), None);
        }
        let left = seen.since.saturating_add(self.policy.longest_attempt()).saturating_sub(now);
        if age.is_none() && !seen.first && !left.is_zero() {
            return self.watch(seen.stamp, left);
        }
        if let (Some(took), true) = (age, self.claims_login()) {
            return self.finish(Err(Failure::Late { took }));
        }
        self.prepare(Expect::Is(seen.stamp), seen.record.settling(false), None, ctx)
    }

    /// Notes that this flight writes that it is about to log in. Returns whether it did before.
    fn claims_login(&mut self) -> bool {
        self.phase.as_mut().is_some_and(|phase| std::mem::replace(&mut phase.claimed, true))
    }
}
