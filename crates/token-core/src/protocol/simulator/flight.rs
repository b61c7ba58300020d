//! What the manager does around a flight: `manager/boarding.rs` and `manager/flight.rs`, with every await a point where
//! anything may come between.

use super::process::{Call, Doing, Exchange, Flight, LATENCY, Operation};
use super::step::Slot;
use super::trace::demand_in_words;
use super::world::World;
use crate::protocol::Failure;
use crate::protocol::action::{Action, Context, Event};
use crate::protocol::replica::{Demand, Note};
use crate::record::State;
use crate::refresher::RefreshError;
use crate::token::TokenSet;

/// As `manager/driver.rs` has it.
pub(super) const POLL: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Need,
    Refusal,
    Hand,
}

pub(super) enum Boarded {
    Ready,
    Flight,
    Blocked,
}

impl World {
    pub(super) fn board(&mut self, n: usize, demand: Demand, cause: Cause) -> Boarded {
        let process = &mut self.processes[n];
        let now = process.clock.at(self.now);
        if process.replica.satisfies(&demand, now) {
            return Boarded::Ready;
        }
        if process.flight.is_some() {
            if !demand.repair {
                process.waiting = Some((demand, cause));
            }
            return Boarded::Flight;
        }
        if let Some((failure, _)) =
            process.backoff.blocked(now.monotonic(), cause == Cause::Refusal)
            && !demand.repair
            && !(cause == Cause::Hand && failure.yields_to_hand())
        {
            return Boarded::Blocked;
        }
        if cause == Cause::Refusal && process.refusals.take(now.monotonic()).is_err() {
            return Boarded::Blocked;
        }
        let fresh = process.fresh();
        let spends = self.scenario.spends();
        let ctx = Context { now, fresh, spends: &spends };
        let doing = Doing::Sleep { until: self.now };
        process.flight = Some(Flight { demand, watched: None, doing });
        let action = process.replica.begin(demand, &ctx);
        self.note(|world| {
            format!("p{n} begins{}: {}", demand_in_words(demand), world.shown(&action))
        });
        self.start(n, action);
        Boarded::Flight
    }

    /// Begins what the protocol wants done.
    fn start(&mut self, n: usize, action: Action) {
        self.take_notes(n);
        self.check_process(n);
        if let Action::Swap { stamp, record, .. } = &action
            && record.state == (State::InFlight { attempt: *stamp })
        {
            self.judge_intent(n);
        }
        let now = self.now;
        let process = &mut self.processes[n];
        let clock = process.clock;
        let Some(flight) = &mut process.flight else { return };
        flight.doing = match action {
            Action::Exchange { tokens } => {
                let tokens = tokens.unwrap_or_else(TokenSet::empty);
                if self.scenario.pause_before_send {
                    Doing::Sending { tokens, due: now + LATENCY }
                } else {
                    return self.send(n, &tokens);
                }
            }
            Action::Watch { since, at_most } if flight.watched == Some(since) => {
                flight.watched = None;
                Doing::Sleep { until: now + clock.takes(at_most.min(POLL)) }
            }
            Action::Watch { since, at_most } => {
                Doing::Watch { since, began: now, until: now + clock.takes(at_most) }
            }
            Action::Pause(pause) => Doing::Sleep { until: now + clock.takes(pause) },
            Action::Finish(result) => return self.settle(n, result),
            action => {
                let Some(call) = Option::<Call>::from(action) else { return };
                Doing::Operation(Operation::new(call, now, clock))
            }
        };
    }

    fn send(&mut self, n: usize, tokens: &TokenSet) {
        let request = self.request(n, tokens);
        let process = &mut self.processes[n];
        let sent = process.clock.at(self.now);
        let give_up = self.now + process.clock.takes(process.replica.policy.exchange_deadline);
        if let Some(flight) = &mut process.flight {
            flight.doing = Doing::Exchange(Exchange { request, sent, give_up, arrived: None });
        }
    }

    /// The flight goes on: what it waits for is carried out, or its result is seen. Returns whether there was anything.
    pub(super) fn run_flight(&mut self, n: usize) -> bool {
        let now = self.now;
        let process = &mut self.processes[n];
        let paused = process.paused_until > now;
        let Some(flight) = &mut process.flight else { return false };
        let event = match &mut flight.doing {
            Doing::Operation(_) => match self.operate(n, Slot::Flight) {
                Operated::Seen(event) => event,
                Operated::CarriedOut => return true,
                Operated::Nothing => return false,
            },
            _ if paused => return false,
            Doing::Sending { tokens, .. } => {
                let tokens = tokens.clone();
                self.send(n, &tokens);
                return true;
            }
            Doing::Exchange(exchange) => {
                let sent = exchange.sent;
                match exchange.arrived.take() {
                    Some(result) => Event::Exchanged { sent, result },
                    None if now >= exchange.give_up => {
                        let request = exchange.request;
                        self.sender_gone(request);
                        let result = Err(RefreshError::ambiguous("no answer"));
                        Event::Exchanged { sent, result }
                    }
                    None => return false,
                }
            }
            Doing::Watch { since, until, .. } => {
                flight.watched = (now < *until).then_some(*since);
                Event::Woken
            }
            Doing::Sleep { until } => {
                if now < *until {
                    return false;
                }
                Event::Woken
            }
        };
        self.step_flight(n, event);
        true
    }

    fn step_flight(&mut self, n: usize, event: Event) {
        let now = self.now;
        self.reach(n, &event);
        let shown = self.traced().then(|| self.shown_event(&event));
        let process = &mut self.processes[n];
        let fresh = process.fresh();
        let spends = self.scenario.spends();
        let ctx = Context { now: process.clock.at(now), fresh, spends: &spends };
        let acquiring = process.replica.is_acquiring();
        let action = process.replica.step(event, &ctx);
        self.reached.after(&self.processes[n].replica, acquiring);
        self.note(|world| {
            format!("p{n} sees {}: {}", shown.unwrap_or_default(), world.shown(&action))
        });
        self.start(n, action);
    }

    fn settle(&mut self, n: usize, result: Result<(), Failure>) {
        let now = self.now;
        let process = &mut self.processes[n];
        let repairs = process.flight.take().is_some_and(|flight| flight.demand.repair);
        process.interrupted = repairs && result.is_err();
        process.wake = true;
        // Who waits for more than this flight was begun for, or shares nothing with it, asks once more.
        let waiting = process.waiting.take().filter(|_| repairs || result.is_ok());
        match result {
            _ if repairs => {}
            Ok(()) => process.backoff.clear(),
            Err(failure) => {
                let monotonic = process.clock.at(now).monotonic();
                let policy = crate::protocol::BackoffPolicy::default();
                // Spread by the process and not by chance, so that a run stays the same when steps are left out.
                let dice = process.replica.policy.dice;
                process.backoff.failed(failure, monotonic, &policy, dice);
            }
        }
        if let Some((demand, cause)) = waiting {
            self.board(n, demand, cause);
        }
    }

    /// The flight is dropped where it stands.
    pub(super) fn abandon(&mut self, n: usize) -> bool {
        let now = self.now;
        let process = &mut self.processes[n];
        let Some(flight) = process.flight.take() else { return false };
        self.let_go(&flight.doing);
        let process = &mut self.processes[n];
        process.replica.abandon(process.clock.at(now));
        process.interrupted = true;
        process.wake = true;
        self.reached.sight("runtime gone in a flight");
        true
    }

    /// Nobody waits for this any more.
    pub(super) fn let_go(&mut self, doing: &Doing) {
        match doing {
            Doing::Operation(operation) => self.let_go_of(operation),
            Doing::Exchange(exchange) => self.sender_gone(exchange.request),
            _ => {}
        }
    }

    pub(super) fn take_notes(&mut self, n: usize) {
        for note in self.processes[n].replica.take_notes() {
            self.note(|_| format!("p{n} notes {note:?}"));
            self.reached.note(note);
            self.sibling |= note == Note::Sibling;
            if let Note::TakenOver { gone } = note {
                self.reached.takeover(gone);
            }
        }
    }
}

/// What came of a look at an operation of the store.
pub(super) enum Operated {
    Seen(Event),
    CarriedOut,
    Nothing,
}
