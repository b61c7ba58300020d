use std::time::Duration;

use crate::clock::Moment;
use crate::guard::Guard;
use crate::record::{DeadReason, Record, State};
use crate::refresher::{Outcome, RefreshError, Spends};
use crate::store::{Expect, Stamp, StoreError, StoreErrorKind};
use crate::token::TokenSet;

use super::failure::{Failure, LoginReason};
use super::replica::{Attempt, Demand, Fate, Note, Replica, Seen, UnknownOutcome};

/// The first pause between two tries to store an answer, and the longest.
const COMMIT_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_COMMIT_PAUSE: Duration = Duration::from_secs(10);

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
    Pause(Duration),
    Finish(Result<(), Failure>),
}

/// What came of an action.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Loaded(Result<Option<(Stamp, Record)>, StoreError>),
    Swapped(Result<Swapped, StoreError>),
    Exchanged {
        sent: Moment,
        result: Result<TokenSet, RefreshError>,
    },
    /// A watch or a pause is over.
    Woken,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "made and taken apart once for each write")]
pub(crate) enum Swapped {
    Won,
    Lost(Option<(Stamp, Record)>),
}

/// What a step reads besides the state.
pub(crate) struct Context<'a> {
    pub(crate) now: Moment,
    /// A new random stamp; a step uses it at most once.
    pub(crate) fresh: Stamp,
    pub(crate) spends: &'a dyn Fn(Option<&TokenSet>) -> Spends,
}

/// Where a flight stands: which action it waits for.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    demand: Demand,
    /// Whether this flight was answered: it is over when that is stored.
    answered: bool,
    at: At,
}

#[derive(Clone, Debug)]
enum At {
    /// Load, then decide.
    Looking,
    /// A swap whose result is looked at and decided upon like a load: a seed, a repair. The note is made if it is won.
    Preparing {
        pending: Pending,
        note: Note,
    },
    /// The intent: its swap, or the load that says whether a swap whose answer was lost happened.
    Acquiring {
        pending: Pending,
        asked: Moment,
        base: Record,
    },
    /// `intent` is the stamp of the stored intent, if there had to be one.
    Exchanging {
        base: Option<Record>,
        intent: Option<Stamp>,
    },
    /// `invalid_grant` came; is it about the newest token?
    Reloading {
        base: Record,
        error: RefreshError,
    },
    Committing {
        pending: Pending,
        pause: Duration,
        confirming: bool,
    },
    /// The last swap of a flight that failed; its result changes nothing.
    Closing {
        pending: Pending,
        failure: Failure,
    },
}

/// A write under way.
#[derive(Clone, Debug)]
struct Pending {
    stamp: Stamp,
    record: Record,
}

impl Replica {
    /// Begins a flight. The caller sees to it that there is one at a time.
    pub(crate) fn begin(&mut self, demand: Demand, ctx: &Context<'_>) -> Action {
        self.phase = Some(Phase { demand, answered: false, at: At::Looking });
        // With an idle record at hand the intent itself finds out whether it is still current: one round trip less.
        if let Some(Some(seen)) = &self.seen
            && seen.record.state == State::Idle
            && !self.unsure
            && !self.has_unsaved_answer()
            && !self.satisfies(&demand, ctx.now)
        {
            return self.decide(ctx);
        }
        Action::Load
    }

    /// Takes in what came of the last action, and answers the next.
    pub(crate) fn step(&mut self, event: Event, ctx: &Context<'_>) -> Action {
        let Some(Phase { demand, answered, at }) = self.phase.take() else {
            return Action::Finish(Err(Failure::Interrupted));
        };
        self.phase = Some(Phase { demand, answered, at: At::Looking });
        match (at, event) {
            (At::Looking, Event::Loaded(Ok(current))) => {
                self.observe(current, ctx.now);
                self.decide(ctx)
            }
            (At::Looking, Event::Loaded(Err(error))) => self.without_store(error, ctx),
            (At::Preparing { pending, note }, Event::Swapped(Ok(Swapped::Won))) => {
                self.notes.push(note);
                self.observe(Some((pending.stamp, pending.record)), ctx.now);
                self.decide(ctx)
            }
            (At::Preparing { .. }, Event::Swapped(Ok(Swapped::Lost(current)))) => {
                self.observe(current, ctx.now);
                self.decide(ctx)
            }
            (At::Preparing { .. }, Event::Swapped(Err(error))) => self.without_store(error, ctx),
            (At::Acquiring { pending, asked, base }, event) => {
                self.acquired(pending, asked, base, event, ctx)
            }
            (At::Exchanging { base, intent }, Event::Exchanged { sent, result }) => match result {
                Ok(tokens) => self.answered(base, tokens, sent, ctx),
                Err(error) => self.not_answered(base, intent, error, ctx),
            },
            (At::Reloading { base, error }, Event::Loaded(loaded)) => {
                self.refused(&base, error, loaded, ctx)
            }
            (At::Committing { pending, pause, confirming }, event) => {
                self.committed(pending, pause, confirming, event, ctx)
            }
            (At::Closing { pending, failure }, event) => {
                let pending_version = pending.record.version;
                match event {
                    Event::Swapped(Ok(Swapped::Won)) => {
                        self.observe(Some((pending.stamp, pending.record)), ctx.now);
                    }
                    Event::Swapped(Ok(Swapped::Lost(current))) => {
                        self.observe(current, ctx.now);
                    }
                    // What this process knows of its attempt stays in memory, and the next flight starts from that.
                    _ => self.unsure = true,
                }
                // Somebody logged in meanwhile: the failure was that of another login.
                if self.known.as_ref().is_some_and(|known| known.record.version > pending_version) {
                    return self.decide(ctx);
                }
                self.finish(Err(failure))
            }
            // A watch is over; anything else is a shell that answered something that was not asked. Both look again.
            (
                At::Looking | At::Preparing { .. } | At::Exchanging { .. } | At::Reloading { .. },
                _,
            ) => self.look(),
        }
    }

    /// The decision after every look at the store.
    fn decide(&mut self, ctx: &Context<'_>) -> Action {
        if let Some(Attempt { fate: Fate::Answered { record, .. }, .. }) = &self.attempt {
            let record = Record::clone(record);
            return self.join(record, COMMIT_PAUSE, ctx);
        }
        let Some(Some(seen)) = self.seen.clone() else { return self.decide_without_record(ctx) };
        if let Some(known) = &self.known
            && known.record.version > seen.record.version
            && Guard::HighWater.on()
        {
            let record = known.record.clone();
            return self.prepare(Expect::Is(seen.stamp), record, Note::RecordRepaired, ctx);
        }
        if let Some(seed) = self.new_seed(Some(&seen.record)).cloned() {
            let record = Record::brought(seen.record.version.next_epoch(), seed.tokens, seed.at)
                .with_seeds(seen.record.seeds.clone(), Some(seed.fingerprint));
            let note = Note::SeedTaken(record.version);
            return self.prepare(Expect::Is(seen.stamp), record, note, ctx);
        }
        if self.satisfies(&self.demand(), ctx.now) && Guard::Recheck.on() {
            return self.finish(Ok(()));
        }
        if let State::Dead { reason } = seen.record.state
            && Guard::DeadIsFinal.on()
        {
            return self.finish(Err(Failure::NeedsLogin(LoginReason::Dead(reason))));
        }
        match (ctx.spends)(Some(&seen.record.tokens)) {
            Spends::Nothing | Spends::Reusable => self.exchange(Some(seen.record), None),
            Spends::RefreshToken => self.decide_to_spend(&seen, ctx),
        }
    }

    fn decide_without_record(&mut self, ctx: &Context<'_>) -> Action {
        if let Some(known) = &self.known
            && Guard::HighWater.on()
        {
            // A store that lost the record is repaired from memory, never from the seed: that one was used already.
            let record = known.record.clone();
            return self.prepare(Expect::Absent, record, Note::RecordRepaired, ctx);
        }
        if let Some(seed) = self.seed.clone() {
            let record = Record::brought(crate::version::Version::FIRST, seed.tokens, seed.at)
                .with_seeds(Vec::new(), Some(seed.fingerprint));
            let note = Note::SeedTaken(record.version);
            return self.prepare(Expect::Absent, record, note, ctx);
        }
        match (ctx.spends)(None) {
            Spends::Nothing => self.exchange(None, None),
            Spends::RefreshToken | Spends::Reusable => {
                self.finish(Err(Failure::NeedsLogin(LoginReason::NoGrant)))
            }
        }
    }

    /// May the one-time refresh token of this record be presented, and if not now, what then?
    fn decide_to_spend(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
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
    fn outcome_unknown(&mut self, seen: &Seen, settled: Duration, ctx: &Context<'_>) -> Action {
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
    fn bury(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
        let reason = DeadReason::Refused;
        let dead = seen.record.with_state(State::Dead { reason });
        self.close(
            Expect::Is(seen.stamp),
            dead,
            Failure::NeedsLogin(LoginReason::Dead(reason)),
            ctx,
        )
    }

    fn acquire(&mut self, seen: &Seen, ctx: &Context<'_>) -> Action {
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

    fn acquired(
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

    fn exchange(&mut self, base: Option<Record>, intent: Option<Stamp>) -> Action {
        let tokens = base.as_ref().map(|record| record.tokens.clone());
        self.set(At::Exchanging { base, intent });
        Action::Exchange { tokens }
    }

    /// The exchange succeeded. From here on this process holds the only copy of the live token.
    fn answered(
        &mut self,
        base: Option<Record>,
        tokens: TokenSet,
        sent: Moment,
        ctx: &Context<'_>,
    ) -> Action {
        let tokens = tokens.anchored(sent);
        let record = match &base {
            None => Record::brought(crate::version::Version::FIRST, tokens, sent.wall()),
            Some(base) => {
                let tokens = if Guard::KeepRefreshToken.on() {
                    tokens.inherit(&base.tokens)
                } else {
                    tokens
                };
                Record::brought(base.version.next_generation(), tokens, sent.wall())
                    .with_seeds(base.seeds.clone(), None)
            }
        };
        let record = Record { refreshed_at: Some(sent.wall()), ..record };
        let id = self.attempt.as_ref().map_or(ctx.fresh, |attempt| attempt.id);
        let version = base.map_or(crate::version::Version::FIRST, |base| base.version);
        self.attempt = Some(Attempt {
            id,
            version,
            fate: Fate::Answered { record: Box::new(record.clone()), sent },
        });
        if let Some(phase) = &mut self.phase {
            phase.answered = true;
        }
        self.join(record, COMMIT_PAUSE, ctx)
    }

    fn not_answered(
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
        if error.outcome() != Outcome::Ambiguous {
            self.settle_attempt(Fate::NotSpent);
            return self.close(Expect::Is(stamp), base, Failure::Refresh(error), ctx);
        }
        self.settle_attempt(Fate::Unknown { since: Some(ctx.now.monotonic()) });
        let attempt = self.attempt.as_ref().map_or(stamp, |attempt| attempt.id);
        let unknown = base.with_state(State::Unknown { attempt });
        let settling = self.policy.settling();
        let mut wait = settling;
        if let Some(ended) = self.known.as_ref().and_then(|known| known.deadlines.ended) {
            let demand = self.demand();
            if !(demand.refused && demand.newer_than == Some(base.version)) {
                wait = wait.max(ended.remaining_for_sure(ctx.now));
            }
        }
        self.close(
            Expect::Is(stamp),
            unknown,
            Failure::OutcomeUnknown { wait, settling, cause: Some(error) },
            ctx,
        )
    }

    /// `invalid_grant`: if the record has moved on, the refused token was not the newest, and all is well.
    fn refused(
        &mut self,
        base: &Record,
        error: RefreshError,
        loaded: Result<Option<(Stamp, Record)>, StoreError>,
        ctx: &Context<'_>,
    ) -> Action {
        match loaded {
            Ok(current) => {
                if let Some((_, record)) = &current
                    && record.version > base.version
                    && Guard::ReloadOnRefusal.on()
                {
                    self.observe(current, ctx.now);
                    return self.decide(ctx);
                }
                let expect =
                    current.as_ref().map_or(Expect::Absent, |(stamp, _)| Expect::Is(*stamp));
                let reason = DeadReason::Refused;
                let failure = Failure::NeedsLogin(LoginReason::Dead(reason));
                self.close(expect, base.with_state(State::Dead { reason }), failure, ctx)
            }
            // The store does not say; the refused token is not presented again before it does.
            Err(_) => {
                self.unsure = true;
                self.finish(Err(Failure::Refresh(error)))
            }
        }
    }

    /// The join rule: how an answer is stored over whatever the store holds now.
    fn join(&mut self, new: Record, pause: Duration, ctx: &Context<'_>) -> Action {
        let current = self.seen.clone().flatten();
        let Some(current) = current else { return self.commit(Expect::Absent, new, pause, ctx) };
        let held = &current.record;
        let ours = self.attempt.as_ref().is_some_and(|own| held.attempt() == Some(own.id));
        if !Guard::GenerationFence.on() && !ours {
            return self.discard(Note::Superseded, ctx);
        }
        if held.version.epoch() > new.version.epoch() && Guard::EpochWins.on() {
            if !ours {
                return self.discard(Note::Superseded, ctx);
            }
            // An update by hand kept the refresh token that this answer has replaced: the answer follows the update.
            let new = Record { version: held.version.next_generation(), ..new }
                .with_seeds(held.seeds.clone(), None);
            return self.commit(Expect::Is(current.stamp), new, pause, ctx);
        }
        if held.version < new.version {
            return self.commit(Expect::Is(current.stamp), new, pause, ctx);
        }
        // Somebody else presented the same token and was answered, or went on from this very answer, whose commit was
        // made though that was not heard of. A later generation lives; of two equal ones, the server's last answer.
        if held.version > new.version || held.obtained_at >= new.obtained_at {
            return self.discard(Note::Sibling, ctx);
        }
        self.notes.push(Note::Sibling);
        let new = Record { version: held.version.next_generation(), ..new };
        self.commit(Expect::Is(current.stamp), new, pause, ctx)
    }

    fn discard(&mut self, note: Note, ctx: &Context<'_>) -> Action {
        self.notes.push(note);
        self.attempt = None;
        self.decide(ctx)
    }

    fn commit(
        &mut self,
        expect: Expect,
        record: Record,
        pause: Duration,
        ctx: &Context<'_>,
    ) -> Action {
        if let Some(Attempt { fate: Fate::Answered { record: unsaved, .. }, .. }) =
            &mut self.attempt
        {
            **unsaved = record.clone();
        }
        let pending = Pending { stamp: ctx.fresh, record };
        let swap = pending.swap(expect);
        self.set(At::Committing { pending, pause, confirming: false });
        swap
    }

    fn committed(
        &mut self,
        pending: Pending,
        pause: Duration,
        confirming: bool,
        event: Event,
        ctx: &Context<'_>,
    ) -> Action {
        match event {
            Event::Swapped(Ok(Swapped::Won)) => self.saved(pending, ctx),
            Event::Swapped(Ok(Swapped::Lost(current))) => {
                self.observe(current, ctx.now);
                self.join(pending.record, pause, ctx)
            }
            Event::Loaded(Ok(current)) => {
                if current.as_ref().map(|(stamp, _)| *stamp) == Some(pending.stamp) {
                    return self.saved(pending, ctx);
                }
                self.observe(current, ctx.now);
                self.join(pending.record, pause, ctx)
            }
            // The store fails while this process holds the only copy: serve from memory, and try for ever (ADR 0003).
            Event::Swapped(Err(_)) | Event::Loaded(Err(_)) => {
                if !confirming {
                    self.notes.push(Note::CommitDelayed);
                }
                self.learn_answer(&pending.record, ctx);
                self.unsure = true;
                if (ctx.spends)(Some(&pending.record.tokens)) != Spends::RefreshToken {
                    // It is no loss if this is never stored, and the next is to be had without the store too.
                    return self.finish(Ok(()));
                }
                let next = (pause * 2).min(LONGEST_COMMIT_PAUSE);
                self.set(At::Committing { pending, pause: next, confirming: true });
                Action::Pause(pause)
            }
            Event::Woken | Event::Exchanged { .. } => {
                self.set(At::Committing { pending, pause, confirming: true });
                Action::Load
            }
        }
    }

    fn saved(&mut self, pending: Pending, ctx: &Context<'_>) -> Action {
        self.learn_answer(&pending.record, ctx);
        self.attempt = None;
        self.observe(Some((pending.stamp, pending.record)), ctx.now);
        if self.phase.as_ref().is_some_and(|phase| phase.answered) {
            return self.finish(Ok(()));
        }
        // It was the answer of a flight before this one.
        self.decide(ctx)
    }

    /// Makes an own answer the newest known, its deadlines counted from when it was asked for.
    fn learn_answer(&mut self, record: &Record, ctx: &Context<'_>) {
        let sent = match &self.attempt {
            Some(Attempt { fate: Fate::Answered { sent, .. }, .. }) => *sent,
            _ => ctx.now,
        };
        self.learn(record, sent);
    }

    /// Without the store nothing is spent; grants that spend nothing go on.
    fn without_store(&mut self, error: StoreError, ctx: &Context<'_>) -> Action {
        self.unsure = true;
        let known = self.known.as_ref().map(|known| known.record.clone());
        if self.satisfies(&self.demand(), ctx.now) {
            return self.finish(Ok(()));
        }
        let tokens = known.as_ref().map(|record| &record.tokens);
        let dead = known.as_ref().is_some_and(|record| matches!(record.state, State::Dead { .. }));
        let untrusted = matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Insecure);
        match (ctx.spends)(tokens) {
            Spends::Nothing if !dead && !untrusted => self.exchange(known, None),
            Spends::Reusable if !dead && !untrusted && known.is_some() => {
                self.exchange(known, None)
            }
            _ => self.finish(Err(Failure::Store(error))),
        }
    }

    fn prepare(&mut self, expect: Expect, record: Record, note: Note, ctx: &Context<'_>) -> Action {
        let pending = Pending { stamp: ctx.fresh, record };
        let swap = pending.swap(expect);
        self.set(At::Preparing { pending, note });
        swap
    }

    fn close(
        &mut self,
        expect: Expect,
        record: Record,
        failure: Failure,
        ctx: &Context<'_>,
    ) -> Action {
        let pending = Pending { stamp: ctx.fresh, record };
        let swap = pending.swap(expect);
        self.set(At::Closing { pending, failure });
        swap
    }

    fn look(&mut self) -> Action {
        self.set(At::Looking);
        Action::Load
    }

    fn finish(&mut self, result: Result<(), Failure>) -> Action {
        self.phase = None;
        Action::Finish(result)
    }

    fn settle_attempt(&mut self, fate: Fate) {
        if let Some(attempt) = &mut self.attempt {
            attempt.fate = fate;
        }
    }

    fn demand(&self) -> Demand {
        self.phase.as_ref().map(|phase| phase.demand).unwrap_or_default()
    }

    fn set(&mut self, at: At) {
        if let Some(phase) = &mut self.phase {
            phase.at = at;
        }
    }
}

impl Pending {
    fn swap(&self, expect: Expect) -> Action {
        Action::Swap { expect, stamp: self.stamp, record: self.record.clone() }
    }
}
