//! One process: the replica under test, and the tasks around it as the manager has them.

use std::time::Duration;

use super::change::ChangeTask;
use super::clock::{MILLISECOND, SkewedClock, Time};
use super::scenario::{Host, STORE_DEADLINE, Scenario};
use super::step::{Slot, StoreFault};
use crate::clock::Moment;
use crate::protocol::action::{Action, Event};
use crate::protocol::replica::{Demand, Fate, Replica};
use crate::protocol::{Backoff, Seed, TokenBucket};
use crate::record::Record;
use crate::refresher::RefreshError;
use crate::store::{Expect, Stamp};
use crate::token::TokenSet;
use crate::version::Version;

use super::flight::Cause;
use super::losses::Sight;

/// How long anything takes where nothing delays it.
pub(super) const LATENCY: Time = 2 * MILLISECOND;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) number: usize,
    pub(super) incarnation: u32,
    pub(super) clock: SkewedClock,
    pub(super) replica: Replica,
    pub(super) backoff: Backoff,
    pub(super) refusals: TokenBucket,
    pub(super) flight: Option<Flight>,
    pub(super) driver: Driver,
    pub(super) change: Option<ChangeTask>,
    /// The driver is to plan anew.
    pub(super) wake: bool,
    /// The last flight was dropped, or failed to bring the store up to date: the driver rests.
    pub(super) interrupted: bool,
    /// What a caller asks for who waits for the end of a flight.
    pub(super) waiting: Option<(Demand, Cause)>,
    pub(super) paused_until: Time,
    pub(super) hindrance: Hindrance,
    /// The newest version that was handed to a caller.
    pub(super) handed: Option<Version>,
    /// The newest refresh token that it holds, and since when.
    pub(super) holds: Option<(usize, Time)>,
    /// What was seen of the world when its intent was stored.
    pub(super) sight: Option<Sight>,
    /// When it first saw what the store had.
    pub(super) looks_since: Option<Time>,
    stamps: u64,
}

/// What kept a process from doing what it should, and until when: pauses, and a store that fails it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hindrance {
    pub(super) until: Time,
    pub(super) store_fails: bool,
}

#[derive(Debug)]
pub(super) struct Flight {
    pub(super) demand: Demand,
    pub(super) watched: Option<Option<Stamp>>,
    pub(super) doing: Doing,
}

#[derive(Debug)]
pub(super) enum Doing {
    Operation(Operation),
    Sending { tokens: TokenSet, due: Time },
    Exchange(Exchange),
    Watch { since: Option<Stamp>, began: Time, until: Time },
    Sleep { until: Time },
}

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) request: u64,
    pub(super) sent: Moment,
    pub(super) give_up: Time,
    pub(super) arrived: Option<Result<TokenSet, RefreshError>>,
}

#[derive(Debug)]
pub(super) enum Driver {
    Plan {
        due: Time,
        watching: bool,
    },
    Look {
        seen: Option<Stamp>,
        asked: Moment,
        first: bool,
        operation: Operation,
    },
    Watch {
        since: Option<Stamp>,
        began: Time,
        until: Time,
    },
    /// Woken by what happens in the process, and not by the store.
    Rest {
        until: Time,
    },
    Fly,
    Sleep {
        until: Time,
    },
}

/// An operation of the store: carried out there when it is due, its result seen here some time later.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) call: Call,
    pub(super) due: Time,
    /// When the caller waits no longer.
    pub(super) give_up: Time,
    pub(super) result: Option<Event>,
    pub(super) fault: Option<StoreFault>,
}

#[derive(Clone, Debug)]
pub(super) enum Call {
    Load,
    Swap { expect: Expect, stamp: Stamp, record: Record },
    Holder(Stamp),
}

impl Process {
    pub(super) fn new(
        number: usize,
        incarnation: u32,
        scenario: &Scenario,
        clock: SkewedClock,
        seed: TokenSet,
        now: Time,
    ) -> Self {
        let moment = clock.at(now);
        let operation = Operation::new(Call::Load, now, clock);
        Self {
            number,
            incarnation,
            clock,
            replica: Replica::new(scenario.policy(number), Seed::new(seed, moment).ok()),
            backoff: Backoff::default(),
            refusals: TokenBucket::new(3, Duration::from_secs(10)),
            flight: None,
            driver: Driver::Look { seen: None, asked: moment, first: true, operation },
            change: None,
            wake: false,
            interrupted: false,
            waiting: None,
            paused_until: 0,
            hindrance: Hindrance::default(),
            handed: None,
            holds: None,
            sight: None,
            looks_since: None,
            stamps: 0,
        }
    }

    pub(super) fn first(number: usize, scenario: &Scenario, seed: TokenSet) -> Self {
        let Host { clock, .. } = scenario.hosts[number];
        Self::new(number, 0, scenario, clock, seed, 0)
    }

    /// A stamp that depends on nothing but this process's own steps.
    pub(super) fn fresh(&mut self) -> Stamp {
        self.stamps += 1;
        let mut bytes = [0; 16];
        bytes[0] = 1 + u8::try_from(self.number).unwrap_or_default();
        bytes[4..8].copy_from_slice(&self.incarnation.to_be_bytes());
        bytes[8..].copy_from_slice(&self.stamps.to_be_bytes());
        Stamp::from_bytes(bytes)
    }

    pub(super) fn operation(&mut self, slot: Slot) -> Option<&mut Operation> {
        match slot {
            Slot::Flight => match &mut self.flight.as_mut()?.doing {
                Doing::Operation(operation) => Some(operation),
                _ => None,
            },
            Slot::Driver => match &mut self.driver {
                Driver::Look { operation, .. } => Some(operation),
                _ => None,
            },
            Slot::Change => self.change.as_mut().map(|task| &mut task.operation),
        }
    }

    /// Whether something is asked of the store that matters.
    pub(super) fn is_operating(&self) -> bool {
        let flight = self.flight.as_ref().map(|flight| &flight.doing);
        self.change.is_some() || matches!(flight, Some(Doing::Operation(_)))
    }

    /// When this task goes on by itself.
    pub(super) fn due(&self, slot: Slot, store: (Option<Stamp>, Time)) -> Option<Time> {
        let free = self.paused_until;
        let watch = |since: Option<Stamp>, began: Time, until: Time| {
            if since == store.0 { until } else { until.min(began.max(store.1) + LATENCY) }
        };
        match slot {
            Slot::Flight => Some(match &self.flight.as_ref()?.doing {
                Doing::Operation(operation) => operation.next(free),
                Doing::Sending { due, .. } => free.max(*due),
                Doing::Exchange(Exchange { arrived: Some(_), .. }) => free,
                Doing::Exchange(exchange) => free.max(exchange.give_up),
                Doing::Watch { since, began, until } => free.max(watch(*since, *began, *until)),
                Doing::Sleep { until } => free.max(*until),
            }),
            Slot::Driver => match &self.driver {
                Driver::Plan { due, .. } => Some(free.max(*due)),
                Driver::Look { operation, .. } => Some(operation.next(free)),
                Driver::Watch { .. } | Driver::Rest { .. } if self.wake => Some(free),
                Driver::Watch { since, began, until } => {
                    Some(free.max(watch(*since, *began, *until)))
                }
                Driver::Fly if self.flight.is_none() => Some(free),
                Driver::Fly => None,
                Driver::Rest { until } | Driver::Sleep { until } => Some(free.max(*until)),
            },
            Slot::Change => self.change.as_ref().map(|task| task.operation.next(free)),
        }
    }

    /// An answer that is to be stored.
    pub(super) fn answered(&self) -> Option<&Record> {
        match &self.replica.attempt.as_ref()?.fate {
            Fate::Answered { record, .. } => Some(record),
            _ => None,
        }
    }

    /// Whether it waits for the answer to this request.
    pub(super) fn awaits(&self, request: u64) -> bool {
        let flight = self.flight.as_ref().map(|flight| &flight.doing);
        matches!(flight, Some(Doing::Exchange(exchange)) if exchange.request == request)
    }

    /// The refresh tokens that this process has, and is not about to forget.
    pub(super) fn tokens(&self) -> impl Iterator<Item = &TokenSet> {
        let known = self.replica.known.as_ref().map(|known| &known.record.tokens);
        let answered = self.answered().map(|record| &record.tokens);
        let arrived = match self.flight.as_ref().map(|flight| &flight.doing) {
            Some(Doing::Exchange(Exchange { arrived: Some(Ok(tokens)), .. })) => Some(tokens),
            _ => None,
        };
        known.into_iter().chain(answered).chain(arrived)
    }

    pub(super) fn is_hindered(&self, now: Time) -> bool {
        self.hindrance.store_fails || self.paused_until > now
    }

    /// When it was last kept from doing what it should.
    pub(super) fn last_hindered(&self, now: Time) -> Time {
        if self.is_hindered(now) { now } else { self.hindrance.until.max(self.paused_until) }
    }
}

impl Operation {
    pub(super) fn new(call: Call, now: Time, clock: SkewedClock) -> Self {
        let give_up = now + clock.takes(STORE_DEADLINE);
        Self { call, due: now + LATENCY, give_up, result: None, fault: None }
    }

    /// When it is carried out, its result seen, or given up. `free` is when the process may go on.
    fn next(&self, free: Time) -> Time {
        let given_up = free.max(self.give_up);
        if self.result.is_some() && self.due <= given_up {
            return free.max(self.due);
        }
        self.due.min(given_up)
    }

    /// Whether the caller waits no longer now.
    pub(super) fn is_given_up(&self, now: Time) -> bool {
        now >= self.give_up && self.due > now
    }
}

impl From<Action> for Option<Call> {
    fn from(action: Action) -> Self {
        match action {
            Action::Load => Some(Call::Load),
            Action::Swap { expect, stamp, record } => Some(Call::Swap { expect, stamp, record }),
            Action::AskHolder { attempt } => Some(Call::Holder(attempt)),
            _ => None,
        }
    }
}
