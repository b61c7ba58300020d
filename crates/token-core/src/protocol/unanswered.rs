//! What an exchange without tokens means for the refresh token: the outcome table.

use crate::guard::Guard;
use crate::record::{DeadReason, Record, State};
use crate::refresher::{Outcome, RefreshError, Spends};
use crate::store::{Expect, Stamp, StoreError};

use super::action::{Action, Context};
use super::failure::{Failure, LoginReason};
use super::flight::At;
use super::log_in::logs_in;
use super::replica::{Fate, Replica, Stored};
use super::unknown_outcome::HoldOff;

impl Replica {
    pub(super) fn not_answered(
        &mut self,
        base: Option<Record>,
        intent: Option<Stamp>,
        error: RefreshError,
        ctx: &Context<'_>,
    ) -> Action {
        let Some(base) = base else { return self.finish(Err(Failure::Refresh(error))) };
        let spends = (ctx.spends)(Some(&base.tokens));
        if error.outcome() == Outcome::InvalidGrant && spends != Spends::Nothing {
            self.settle_attempt(Fate::Refused);
            self.set(At::Reloading { base, error });
            return Action::Load;
        }
        // The intent's own stamp: what is in the store by now may be a login, which is not to be undone.
        let Some(stamp) = intent else {
            return self.finish(Err(Failure::Refresh(error)));
        };
        if spends != Spends::RefreshToken {
            self.settle_attempt(Fate::NotSpent);
            let idle = base.with_state(State::Idle);
            return self.close(Expect::Is(stamp), idle, Failure::Refresh(error), ctx);
        }
        if error.outcome() != Outcome::Ambiguous {
            let fate = self.unsent(&base, ctx);
            self.settle_attempt(fate);
            return self.close(Expect::Is(stamp), base, Failure::Refresh(error), ctx);
        }
        self.settle_attempt(Fate::Unknown { since: Some(ctx.now.monotonic()) });
        let attempt = self.attempt.as_ref().map_or(stamp, |attempt| attempt.id);
        let unknown = base.with_state(State::Unknown { attempt });
        let settling = self.policy.settling();
        let settled = ctx.now.monotonic().saturating_add(settling);
        let rule = self.hold_off(base.version, true, settled, ctx);
        let HoldOff { wait, settling } = rule.unwrap_or(HoldOff { wait: settling, settling });
        self.close(
            Expect::Is(stamp),
            unknown,
            Failure::OutcomeUnknown { wait, settling, cause: Some(error) },
            ctx,
        )
    }

    /// `invalid_grant`: if the record has moved on, the refused token was not the newest, and all is well.
    pub(super) fn refused(
        &mut self,
        base: &Record,
        error: RefreshError,
        loaded: Result<Option<Stored>, StoreError>,
        ctx: &Context<'_>,
    ) -> Action {
        match loaded {
            Ok(current) => {
                if let Some(stored) = &current
                    && stored.record.version > base.version
                    && Guard::ReloadOnRefusal.on()
                {
                    self.saw(current, ctx);
                    return self.decide(ctx);
                }
                let expect =
                    current.as_ref().map_or(Expect::Absent, |stored| Expect::Is(stored.stamp));
                let reason = DeadReason::Refused;
                let failure =
                    Failure::NeedsLogin { reason: LoginReason::Dead(reason), cause: Some(error) };
                self.close(expect, base.with_state(State::Dead { reason }), failure, ctx)
            }
            // The store does not say; the refused token is not presented again before it does.
            Err(store) => {
                self.unsure = true;
                let dead = base.with_state(State::Dead { reason: DeadReason::Refused });
                let failure = if logs_in(&dead, ctx.spends) {
                    // The login comes by itself once the store works.
                    Failure::Store(store)
                } else {
                    Failure::Refresh(error)
                };
                self.finish(Err(failure))
            }
        }
    }
}
