use std::time::Duration;

use crate::clock::Moment;
use crate::record::{Record, State};
use crate::refresher::RefreshError;
use crate::store::{Expect, Stamp};

use super::action::{Action, Context, Event, Swapped};
use super::failure::Failure;
use super::log_in::logs_in;
use super::replica::{Demand, Fate, History, Note, Replica, Stored};

/// The first pause between two tries to store an answer, and the longest: a store that works again is to have the answer
/// before others write there.
pub(super) const COMMIT_PAUSE: Duration = Duration::from_millis(100);
pub(super) const LONGEST_COMMIT_PAUSE: Duration = Duration::from_secs(1);

/// Where a flight stands: which action it waits for.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    pub(super) demand: Demand,
    /// When the action that it waits for was asked for.
    pub(super) asked: Moment,
    /// The token was presented a second time within a grace window.
    pub(super) again: bool,
    /// Whether this flight was answered: it is over when that is stored.
    pub(super) answered: bool,
    /// Whether it has written that it is about to log in.
    pub(super) claimed: bool,
    pub(super) at: At,
}

#[derive(Clone, Debug)]
pub(super) enum At {
    /// Load, then decide.
    Looking,
    /// A swap whose result is looked at and decided upon like a load: a seed, a repair. The note is made if it is won.
    Preparing {
        pending: Pending,
        note: Option<Note>,
    },
    /// Is the holder of another's attempt still there?
    Asking {
        attempt: Stamp,
    },
    /// The intent: its swap, or the load that says whether a swap whose answer was lost happened.
    Acquiring(Intent),
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

/// The write that says: I am going to present this refresh token.
#[derive(Clone, Debug)]
pub(super) struct Intent {
    pub(super) pending: Pending,
    pub(super) asked: Moment,
    /// The record without the intent, and what the store said of its history.
    pub(super) base: Record,
    pub(super) history: History,
}

/// A write under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) stamp: Stamp,
    pub(super) record: Record,
}

impl Replica {
    /// Begins a flight. The caller sees to it that there is one at a time.
    pub(crate) fn begin(&mut self, demand: Demand, ctx: &Context<'_>) -> Action {
        self.phase = Some(Phase {
            demand,
            asked: ctx.now,
            again: false,
            answered: false,
            claimed: false,
            at: At::Looking,
        });
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
        let action = self.after(event, ctx);
        if let Some(phase) = &mut self.phase {
            phase.asked = ctx.now;
        }
        action
    }

    fn after(&mut self, event: Event, ctx: &Context<'_>) -> Action {
        let Some(phase) = &mut self.phase else {
            return Action::Finish(Err(Failure::Interrupted));
        };
        match (std::mem::replace(&mut phase.at, At::Looking), event) {
            (At::Looking, Event::Loaded(Ok(current))) => {
                self.saw(current, ctx);
                self.decide(ctx)
            }
            (At::Looking, Event::Loaded(Err(error))) => self.without_store(error, ctx),
            (At::Preparing { pending, note }, Event::Swapped(Ok(Swapped::Won { .. }))) => {
                self.notes.extend(note);
                self.wrote(pending, ctx);
                self.decide(ctx)
            }
            (At::Preparing { .. }, Event::Swapped(Ok(Swapped::Lost(current)))) => {
                self.saw(current, ctx);
                self.decide(ctx)
            }
            (At::Preparing { .. }, Event::Swapped(Err(error))) => self.without_store(error, ctx),
            (At::Asking { attempt }, Event::Holder(liveness)) => {
                self.heard_of_holder(attempt, liveness, ctx)
            }
            (At::Acquiring(intent), event) => self.acquired(intent, event, ctx),
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
            (At::Closing { pending, failure }, event) => self.closed(pending, failure, event, ctx),
            // A watch is over; anything else is a shell that answered something that was not asked. Both look again.
            (
                At::Looking
                | At::Preparing { .. }
                | At::Asking { .. }
                | At::Exchanging { .. }
                | At::Reloading { .. },
                _,
            ) => self.look(),
        }
    }

    pub(super) fn prepare(
        &mut self,
        expect: Expect,
        record: Record,
        note: impl Into<Option<Note>>,
        ctx: &Context<'_>,
    ) -> Action {
        let note = note.into();
        let pending = Pending { stamp: ctx.fresh, record };
        let swap = pending.swap(expect);
        self.set(At::Preparing { pending, note });
        swap
    }

    pub(super) fn close(
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

    /// The end of a flight that failed, once its last swap is over.
    fn closed(
        &mut self,
        pending: Pending,
        failure: Failure,
        event: Event,
        ctx: &Context<'_>,
    ) -> Action {
        let version = pending.record.version;
        match event {
            Event::Swapped(Ok(Swapped::Won { .. })) => {
                self.wrote(pending, ctx);
                if self.goes_on_with_login(ctx) {
                    return self.decide(ctx);
                }
            }
            Event::Swapped(Ok(Swapped::Lost(current))) => {
                self.saw(current, ctx);
                if self.goes_on_with_login(ctx) {
                    return self.decide(ctx);
                }
                if let Some(Some(seen)) = &self.seen
                    && let State::InFlight { attempt } = seen.record.state
                    && self.is_own(attempt)
                {
                    // An update by hand kept the attempt with its token: what became of it is to be told there.
                    let (stamp, record) =
                        (seen.stamp, seen.record.with_state(pending.record.state));
                    return self.close(Expect::Is(stamp), record, failure, ctx);
                }
            }
            // What this process knows of its attempt stays in memory, and the next flight starts from that.
            event => {
                self.unsure = true;
                if let Event::Swapped(Err(error)) = event
                    && logs_in(&pending.record, ctx.spends)
                {
                    // The login comes by itself once the store works.
                    return self.finish(Err(Failure::Store(error)));
                }
            }
        }
        // Somebody logged in meanwhile: the failure was that of another login.
        let superseded = self.known.as_ref().is_some_and(|known| known.record.version > version);
        let satisfied = self.satisfies(&self.demand(), ctx.now);
        if superseded || satisfied || self.presents_again_at_once(&failure) {
            return self.decide(ctx);
        }
        self.finish(Err(failure))
    }

    /// Takes in what the last action found in the store.
    pub(super) fn saw(&mut self, current: Option<Stored>, ctx: &Context<'_>) {
        let before = self.known_version();
        self.observe(current, self.asked(ctx), ctx.now);
        if let Some(after) = self.known_version().filter(|after| Some(*after) != before) {
            self.notes.push(Note::Adopted(after));
        }
    }

    /// Takes in that the last action wrote this.
    pub(super) fn wrote(&mut self, pending: Pending, ctx: &Context<'_>) {
        let Pending { stamp, record } = pending;
        let stored = Stored { stamp, record, history: History::Unbroken };
        let asked = self.asked(ctx);
        self.observe(Some(stored), asked, ctx.now);
        if let Some(Some(seen)) = &mut self.seen {
            seen.written = Some(asked.monotonic());
        }
    }

    /// Whether this is the stamp of a write under way that brings tokens.
    pub(crate) fn is_writing(&self, stamp: Stamp) -> bool {
        match self.phase.as_ref().map(|phase| &phase.at) {
            Some(At::Preparing { pending, .. } | At::Committing { pending, .. }) => {
                pending.stamp == stamp
            }
            _ => false,
        }
    }

    /// When the last action was asked for.
    fn asked(&self, ctx: &Context<'_>) -> Moment {
        self.phase.as_ref().map_or(ctx.now, |phase| phase.asked)
    }

    /// Waits for what others do, at most so long, unless whoever asks has no need to.
    pub(super) fn watch(&mut self, since: Stamp, at_most: Duration) -> Action {
        if self.demand().at_hand {
            return self.finish(Ok(()));
        }
        Action::Watch { since: Some(since), at_most }
    }

    pub(super) fn look(&mut self) -> Action {
        self.set(At::Looking);
        Action::Load
    }

    pub(super) fn finish(&mut self, result: Result<(), Failure>) -> Action {
        self.phase = None;
        Action::Finish(result)
    }

    pub(super) fn settle_attempt(&mut self, fate: Fate) {
        if let Some(attempt) = &mut self.attempt {
            attempt.fate = fate;
        }
    }

    pub(super) fn demand(&self) -> Demand {
        self.phase.as_ref().map(|phase| phase.demand).unwrap_or_default()
    }

    pub(super) fn set(&mut self, at: At) {
        if let Some(phase) = &mut self.phase {
            phase.at = at;
        }
    }
}

impl Pending {
    pub(super) fn swap(&self, expect: Expect) -> Action {
        Action::Swap { expect, stamp: self.stamp, record: self.record.clone() }
    }
}
