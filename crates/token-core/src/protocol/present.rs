//! May the one-time refresh token be presented, and how is it made known before it is?

use std::time::Duration;

use crate::clock::Moment;
use crate::guard::Guard;
use crate::record::{DeadReason, Record, State};
use crate::store::{Expect, Stamp, StoreErrorKind};

use super::failure::{Failure, LoginReason};
use super::flight::{Action, At, Context, Event, Pending, Swapped};
use super::replica::{Attempt, Fate, Note, Replica, Seen, UnknownOutcome};

impl Replica {
    /// May the one-time refresh token of this record be presented, and if not now, what then?
    pub(super) fn decide_to_spend(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        if seen.record.tokens.refresh_token().is_none() {
            return self.finish(Err(Failure::NeedsLogin(LoginReason::NoRefreshToken)));
        }
        let now = ctx.now.monotonic();
        match &seen.record.state {
            State::Idle | State::Dead { .. } => self.acquire(seen, ctx),
            State::InFlight { attempt } | State::Unknown { attempt } if self.is_own(*attempt) => {
                match self.attempt.as_ref().map(|attempt| &attempt.fate) {
                    Some(Fate::Unknown { since }) if Guard::OwnAttempt.on() => {
                        let settled = since.unwrap_or(now).saturating_add(self.policy.settling());
                        self.outcome_unknown(seen, settled, ctx)
                    }
                    Some(Fate::Refused) => self.bury(seen, ctx),
                    _ => self.acquire(seen, ctx),
                }
            }
            State::InFlight { .. } => {
                let over = seen.since.saturating_add(self.policy.quarantine());
                if now < over {
                    return Action::Watch { since: Some(seen.stamp), at_most: over - now };
                }
                self.notes.push(Note::TakenOver);
                self.outcome_unknown(seen, over, ctx)
            }
            State::Unknown { .. } => {
                let settled = seen.since.saturating_add(self.policy.settling());
                self.outcome_unknown(seen, settled, ctx)
            }
        }
    }

    /// The rule for a refresh token that was presented with an unknown outcome. `settled` (monotonic) is when nothing
    /// of that request can be under way any more.
    pub(super) fn outcome_unknown(
        &mut self,
        seen: &Seen,
        settled: Duration,
        ctx: &Context<'_>,
    ) -> Action {
        let settling = settled.saturating_sub(ctx.now.monotonic());
        let mut wait = settling;
        match self.policy.unknown_outcome {
            UnknownOutcome::RequireLogin => {
                let reason = DeadReason::OutcomeUnknown;
                let dead = seen.record.with_state(State::Dead { reason });
                let failure = Failure::NeedsLogin(LoginReason::Dead(reason));
                self.close(Expect::Is(seen.stamp), dead, failure, ctx)
            }
            UnknownOutcome::PresentAgain => {
                let demand = self.demand();
                // While the access token serves there is something to lose: the server may revoke it on a second use.
                let refused = demand.refused && demand.newer_than == Some(seen.record.version);
                if let Some(known) = &self.known
                    && let Some(ended) = known.deadlines.ended
                    && !refused
                    && Guard::HoldOff.on()
                    && !ended.passed_for_sure(ctx.now)
                {
                    wait = wait.max(ended.remaining_for_sure(ctx.now));
                }
                if wait.is_zero() {
                    return self.acquire(seen, ctx);
                }
                self.finish(Err(Failure::OutcomeUnknown { wait, settling, cause: None }))
            }
        }
    }

    /// The newest refresh token was refused: nobody presents it again.
    pub(super) fn bury(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        let reason = DeadReason::Refused;
        let dead = seen.record.with_state(State::Dead { reason });
        self.close(
            Expect::Is(seen.stamp),
            dead,
            Failure::NeedsLogin(LoginReason::Dead(reason)),
            ctx,
        )
    }

    pub(super) fn acquire(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        let base = seen.record.clone();
        if !Guard::Intent.on() {
            return self.exchange(Some(base), None);
        }
        let record = base.with_state(State::InFlight { attempt: ctx.fresh });
        self.attempt = Some(Attempt { id: ctx.fresh, version: base.version, fate: Fate::NotSpent });
        let pending = Pending { stamp: ctx.fresh, record };
        let swap = pending.swap(Expect::Is(seen.stamp));
        self.set(At::Acquiring { pending, asked: ctx.now, base });
        swap
    }

    pub(super) fn acquired(
        &mut self,
        pending: Pending,
        asked: Moment,
        base: Record,
        event: Event,
        ctx: &Context<'_>,
    ) -> Action {
        match event {
            Event::Swapped(Ok(Swapped::Won)) => {}
            Event::Swapped(Ok(Swapped::Lost(current))) => {
                self.observe(current, ctx.now);
                return self.decide(ctx);
            }
            // The intent may be in: the record says so by its stamp.
            Event::Swapped(Err(error)) if error.kind() == StoreErrorKind::Indeterminate => {
                self.set(At::Acquiring { pending, asked, base });
                return Action::Load;
            }
            Event::Loaded(Ok(current)) => {
                if current.as_ref().map(|(stamp, _)| *stamp) != Some(pending.stamp) {
                    self.observe(current, ctx.now);
                    return self.decide(ctx);
                }
            }
            Event::Swapped(Err(error)) | Event::Loaded(Err(error)) => {
                self.unsure = true;
                return self.finish(Err(Failure::Store(error)));
            }
            Event::Exchanged { .. } | Event::Woken => return self.look(),
        }
        let stamp = pending.stamp;
        self.observe(Some((stamp, pending.record)), ctx.now);
        let age = ctx.now.monotonic().saturating_sub(asked.monotonic());
        if age >= self.policy.send_gate && Guard::SendGate.on() {
            return self.close(Expect::Is(stamp), base, Failure::Late, ctx);
        }
        if let Some(attempt) = &mut self.attempt {
            attempt.fate = Fate::Unknown { since: None };
        }
        self.exchange(Some(base), Some(stamp))
    }

    pub(super) fn exchange(&mut self, base: Option<Record>, intent: Option<Stamp>) -> Action {
        let tokens = base.as_ref().map(|record| record.tokens.clone());
        self.set(At::Exchanging { base, intent });
        Action::Exchange { tokens }
    }
}
