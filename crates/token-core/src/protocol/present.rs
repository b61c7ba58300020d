//! May the one-time refresh token be presented, and how is it made known before it is?

use std::time::Duration;

use crate::guard::Guard;
use crate::record::{DeadReason, Record, State};
use crate::store::{Expect, Liveness, Stamp, StoreErrorKind};

use super::action::{Action, Context, Event, Swapped};
use super::failure::{Failure, LoginReason};
use super::flight::{At, Intent, Pending};
use super::replica::{Attempt, Fate, History, Note, Replica, Seen};
use super::turn::spends_token;

/// How often the store is asked whether the holder of an attempt is still there.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Replica {
    /// May the one-time refresh token of this record be presented, and if not now, what then?
    pub(super) fn decide_to_spend(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        if seen.record.tokens.refresh_token().is_none() {
            let ended =
                self.known.as_ref().is_some_and(|known| known.deadlines.is_expired(ctx.now));
            let reason = if ended { LoginReason::Ended } else { LoginReason::NoRefreshToken };
            return self.finish(Err(Failure::needs_login(reason)));
        }
        let own = match &seen.record.state {
            State::InFlight { attempt } | State::Unknown { attempt } => self.is_own(*attempt),
            State::Idle => self.is_spent(&seen.record),
            State::Dead { .. } => false,
        };
        if own {
            let now = ctx.now.monotonic();
            return match self.attempt.as_ref().map(|attempt| &attempt.fate) {
                Some(Fate::Unknown { since }) if Guard::OwnAttempt.on() => {
                    let settled = since.unwrap_or(now).saturating_add(self.policy.settling());
                    self.outcome_unknown(seen, true, settled, ctx)
                }
                Some(Fate::Refused) => self.bury(seen, ctx),
                _ => self.acquire(seen, ctx),
            };
        }
        match &seen.record.state {
            State::Idle | State::Dead { .. } => self.acquire(seen, ctx),
            State::InFlight { attempt } => self.wait_for_holder(seen, *attempt, ctx),
            State::Unknown { .. } => {
                let settled = seen.since.saturating_add(self.policy.settling());
                self.outcome_unknown(seen, false, settled, ctx)
            }
        }
    }

    /// Another's intent is left alone until its request must be over: for the quarantine, or from when its holder is
    /// known to be gone for as long as the server may still act on what it sent.
    fn wait_for_holder(&mut self, seen: &Seen, attempt: Stamp, ctx: &Context<'_>) -> Action {
        let now = ctx.now.monotonic();
        if let Some(left) = self.quarantined(seen, ctx) {
            return self.watch_holder(seen, attempt, left, ctx);
        }
        if seen.unwritable && seen.holder_gone.is_none() && Guard::SettleBarrier.on() {
            // Its holder may have the answer, and was kept from storing it as this process was kept from this write. Now it
            // gets the time to.
            let record = seen.record.settling(true);
            return self.prepare(Expect::Is(seen.stamp), record, None, ctx);
        }
        self.outcome_unknown(seen, false, now, ctx)
    }

    /// Waits for the holder of another's attempt, at most so long, and asks from time to time whether it is still there.
    pub(super) fn watch_holder(
        &mut self,
        seen: &Seen,
        attempt: Stamp,
        left: Duration,
        ctx: &Context<'_>,
    ) -> Action {
        let now = ctx.now.monotonic();
        let asks = self.policy.tells_dead_holder && seen.holder_gone.is_none();
        let asked_lately = |asked: Duration| now < asked.saturating_add(ASK_AGAIN);
        if asks && !seen.holder_asked.is_some_and(asked_lately) {
            self.set(At::Asking { attempt });
            return Action::AskHolder { attempt };
        }
        let at_most = if asks { left.min(ASK_AGAIN) } else { left };
        let until_overdue = self.until_overdue(ctx);
        self.watch(seen.stamp, at_most.min(until_overdue))
    }

    /// How long it is until a holder that lives must have ended its attempt; that it did not is told once.
    fn until_overdue(&mut self, ctx: &Context<'_>) -> Duration {
        let Some(Some(seen)) = &mut self.seen else { return Duration::MAX };
        let due = seen.since.saturating_add(self.policy.longest_attempt());
        let left = due.saturating_sub(ctx.now.monotonic());
        if !left.is_zero() {
            return left;
        }
        if seen.holder_gone.is_none() && !std::mem::replace(&mut seen.overdue, true) {
            self.notes.push(Note::HolderOverdue);
        }
        Duration::MAX
    }

    /// The answer is about the attempt that was asked about: another may be in the record by now.
    pub(super) fn heard_of_holder(
        &mut self,
        attempt: Stamp,
        liveness: Liveness,
        ctx: &Context<'_>,
    ) -> Action {
        let now = ctx.now.monotonic();
        if let Some(Some(seen)) = &mut self.seen
            && seen.record.attempt() == Some(attempt)
        {
            seen.holder_asked = Some(now);
            if liveness == Liveness::Dead {
                seen.holder_gone = Some(now);
            }
        }
        self.decide(ctx)
    }

    /// For how long another's intent is still to be left alone.
    fn quarantined(&self, seen: &Seen, ctx: &Context<'_>) -> Option<Duration> {
        let mut over = seen.since.saturating_add(self.policy.quarantine());
        if let Some(gone) = seen.holder_gone {
            over = over.min(gone.saturating_add(self.policy.settling()));
        }
        let left = over.saturating_sub(ctx.now.monotonic());
        (!left.is_zero()).then_some(left)
    }

    /// Whether this process has sent the refresh token of this record, though the record does not say so any more.
    pub(super) fn is_spent(&self, record: &Record) -> bool {
        Guard::SpentLedger.on() && self.attempt.as_ref().is_some_and(|own| own.has_spent(record))
    }

    /// The newest refresh token was refused: nobody presents it again.
    fn bury(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        let reason = DeadReason::Refused;
        let dead = seen.record.with_state(State::Dead { reason });
        let failure = Failure::needs_login(LoginReason::Dead(reason));
        self.close(Expect::Is(seen.stamp), dead, failure, ctx)
    }

    pub(super) fn acquire(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        let base = seen.record.settling(false);
        if !Guard::Intent.on() {
            return self.exchange(Some(base), None);
        }
        let record = base.with_state(State::InFlight { attempt: ctx.fresh });
        let over = base.attempt().filter(|attempt| self.is_own(*attempt));
        let fate = self.unsent(&base, ctx);
        let earlier = match fate {
            Fate::Unknown { since } if self.is_spent(&base) => since,
            _ => None,
        };
        let presented = base.tokens.refresh_token.clone();
        let (id, version) = (ctx.fresh, base.version);
        self.attempt = Some(Attempt { id, version, presented, over, earlier, fate });
        let pending = Pending { stamp: ctx.fresh, record };
        let swap = pending.swap(Expect::Is(seen.stamp));
        let history = seen.history.clone();
        self.set(At::Acquiring(Intent { pending, asked: ctx.now, base, history }));
        swap
    }

    pub(super) fn acquired(&mut self, intent: Intent, event: Event, ctx: &Context<'_>) -> Action {
        let (lasting, history) = match event {
            Event::Swapped(Ok(Swapped::Won { durable, history })) => (durable, history),
            Event::Swapped(Ok(Swapped::Lost(current))) => {
                self.saw(current, ctx);
                return self.decide(ctx);
            }
            // The intent may be in: the record says so by its stamp.
            Event::Swapped(Err(error)) if error.kind() == StoreErrorKind::Indeterminate => {
                self.unwritable(&intent.base);
                self.set(At::Acquiring(intent));
                return Action::Load;
            }
            Event::Loaded(Ok(current)) => {
                if current.as_ref().map(|stored| stored.stamp) != Some(intent.pending.stamp) {
                    self.saw(current, ctx);
                    return self.decide(ctx);
                }
                // That it is there does not say that it lasts, nor what it replaced.
                (!self.policy.may_regress, History::Unbroken)
            }
            Event::Swapped(Err(error)) | Event::Loaded(Err(error)) => {
                self.unwritable(&intent.base);
                return self.without_store(error, ctx);
            }
            Event::Exchanged { .. } | Event::Holder(_) | Event::Woken => return self.look(),
        };
        let Intent { pending, asked, base, history: seen } = intent;
        let stamp = pending.stamp;
        if is_anothers(&base, self.attempt.as_ref()) {
            let gone = matches!(&self.seen, Some(Some(seen)) if seen.holder_gone.is_some());
            self.notes.push(Note::TakenOver { gone });
        }
        self.wrote(pending, ctx);
        if !spends_token(&base, ctx) {
            return self.send(base, stamp);
        }
        if history.is_news_after(&seen) && Guard::SettleBarrier.on() {
            // It did so after it was looked at, so this may not be the newest refresh token.
            let base = base.settling(true);
            return self.prepare(Expect::Is(stamp), base, None, ctx);
        }
        if !lasting && Guard::DurableIntent.on() {
            return self.close(Expect::Is(stamp), base, Failure::NotDurable, ctx);
        }
        if base.state == State::Idle {
            self.unspent = Some((base.version, asked));
        }
        let age = ctx.now.monotonic().saturating_sub(asked.monotonic());
        if age >= self.policy.send_gate && Guard::SendGate.on() {
            return self.close(Expect::Is(stamp), base, Failure::Late { took: age }, ctx);
        }
        self.send(base, stamp)
    }

    fn send(&mut self, base: Record, intent: Stamp) -> Action {
        self.settle_attempt(Fate::Unknown { since: None });
        self.exchange(Some(base), Some(intent))
    }

    /// The store did not take a write over another's attempt.
    fn unwritable(&mut self, base: &Record) {
        if let Some(Some(seen)) = &mut self.seen
            && is_anothers(base, self.attempt.as_ref())
        {
            seen.unwritable = true;
        }
    }

    pub(super) fn exchange(&mut self, base: Option<Record>, intent: Option<Stamp>) -> Action {
        let tokens = base.as_ref().map(|record| record.tokens.clone());
        self.set(At::Exchanging { base, intent });
        Action::Exchange { tokens }
    }

    /// What is known of a refresh token that an attempt over this record did not send: if somebody had sent it before,
    /// nobody knows still what came of that.
    pub(super) fn unsent(&self, base: &Record, ctx: &Context<'_>) -> Fate {
        let own = self.attempt.as_ref().filter(|_| self.is_spent(base));
        match (&base.state, own.map(|own| (&own.fate, own.earlier))) {
            (_, Some((Fate::Unknown { since: since @ Some(_) }, _))) => {
                Fate::Unknown { since: *since }
            }
            // The record does not say so any more, but this process did send it before.
            (State::Idle | State::Dead { .. }, Some((_, since @ Some(_)))) => {
                Fate::Unknown { since }
            }
            (State::Idle | State::Dead { .. }, _) => Fate::NotSpent,
            _ => Fate::Unknown { since: Some(ctx.now.monotonic()) },
        }
    }
}

/// Whether the record that an intent replaces has the attempt of another process.
fn is_anothers(base: &Record, own: Option<&Attempt>) -> bool {
    let over = own.and_then(|own| own.over);
    matches!(base.state, State::InFlight { attempt } if Some(attempt) != over)
}
