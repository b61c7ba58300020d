//! What the manager does beside its flights, as `manager/driver.rs` has it.

use std::time::Duration;

use super::clock::MILLISECOND;
use super::flight::{Boarded, Cause, Operated, POLL};
use super::process::{Call, Driver, Operation, Process};
use super::step::Slot;
use super::world::World;
use crate::clock::Moment;
use crate::protocol::action::Event;
use crate::protocol::log_in::logs_in;
use crate::protocol::replica::{Demand, Stored};
use crate::record::State;
use crate::store::Stamp;

/// As `manager/driver.rs` has it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

enum Plan {
    Refresh(Demand),
    Wait { at_most: Duration, since: Option<Stamp> },
}

impl World {
    pub(super) fn run_driver(&mut self, n: usize, for_nothing: bool) -> bool {
        let now = self.now;
        let process = &mut self.processes[n];
        if process.paused_until > now && !matches!(process.driver, Driver::Look { .. }) {
            return false;
        }
        match &process.driver {
            Driver::Look { .. } => {
                let event = match self.operate(n, Slot::Driver) {
                    Operated::Seen(event) => event,
                    Operated::CarriedOut => return true,
                    Operated::Nothing => return false,
                };
                let watching = self.looked(n, event);
                self.processes[n].driver = Driver::Plan { due: now, watching };
            }
            Driver::Plan { watching, .. } => {
                let watching = *watching;
                self.processes[n].wake = false;
                self.follow_plan(n, watching);
            }
            Driver::Watch { .. } if process.wake => {
                process.wake = false;
                process.driver = Driver::Plan { due: now, watching: true };
            }
            Driver::Watch { since, until, .. } => {
                if *since == self.store.stamp() && now < *until && !for_nothing {
                    return false;
                }
                self.look(n, false);
            }
            Driver::Rest { until } => {
                if !process.wake && now < *until {
                    return false;
                }
                process.wake = false;
                process.driver = Driver::Plan { due: now, watching: true };
            }
            Driver::Fly => {
                if process.flight.is_some() {
                    return false;
                }
                process.driver = if std::mem::take(&mut process.interrupted) {
                    Driver::Sleep { until: now + process.clock.takes(POLL) }
                } else {
                    Driver::Plan { due: now + MILLISECOND, watching: true }
                };
            }
            Driver::Sleep { until } => {
                if now < *until {
                    return false;
                }
                process.driver = Driver::Plan { due: now, watching: true };
            }
        }
        true
    }

    fn look(&mut self, n: usize, first: bool) {
        let process = &mut self.processes[n];
        let operation = Operation::new(Call::Load, self.now, process.clock);
        let (seen, asked) = (process.replica.stamp(), process.clock.at(self.now));
        process.driver = Driver::Look { seen, asked, first, operation };
    }

    /// Takes in what a look found. Returns whether the driver goes on watching.
    fn looked(&mut self, n: usize, event: Event) -> bool {
        let process = &self.processes[n];
        let Driver::Look { seen, asked, first, .. } = process.driver else { return true };
        let Event::Loaded(Ok(current)) = event else { return first };
        self.saw(n, seen, asked, current) || first
    }

    /// Takes in what a look found, which was begun with this stamp in view. Returns whether it was news.
    pub(super) fn saw(
        &mut self,
        n: usize,
        seen: Option<Stamp>,
        asked: Moment,
        current: Option<Stored>,
    ) -> bool {
        let now = self.now;
        let process = &mut self.processes[n];
        if process.replica.stamp() != seen {
            return true;
        }
        let before = process.replica.known_version();
        let news = process.replica.observe(current, asked, process.clock.at(now));
        if process.replica.known_version() != before {
            process.backoff.clear();
        }
        if news {
            self.note(|_| format!("p{n} looks, and sees the record"));
        }
        self.check_process(n);
        news
    }

    fn follow_plan(&mut self, n: usize, watching: bool) {
        let now = self.now;
        let driver = match self.plan(&self.processes[n]) {
            Plan::Refresh(demand) => match self.board(n, demand, Cause::Need) {
                Boarded::Ready => Driver::Plan { due: now + MILLISECOND, watching },
                Boarded::Flight => Driver::Fly,
                Boarded::Blocked => {
                    Driver::Sleep { until: now + self.processes[n].clock.takes(POLL) }
                }
            },
            Plan::Wait { at_most, since } => {
                let takes = |time| now + self.processes[n].clock.takes(time);
                if watching {
                    Driver::Watch { since, began: now, until: takes(at_most) }
                } else {
                    Driver::Rest { until: takes(at_most.min(POLL)) }
                }
            }
        };
        self.processes[n].driver = driver;
    }

    fn plan(&self, process: &Process) -> Plan {
        let now = process.clock.at(self.now);
        let since = process.replica.stamp();
        let wait = |at_most: Duration| Plan::Wait { at_most: at_most.min(LONGEST_SLEEP), since };
        if process.flight.is_some() {
            return wait(LONGEST_SLEEP);
        }
        if process.replica.needs_repair() {
            return Plan::Refresh(Demand { repair: true, ..Demand::default() });
        }
        let Some(known) = process.replica.known() else { return wait(LONGEST_SLEEP) };
        let spends = self.scenario.spends();
        let dead =
            matches!(known.record.state, State::Dead { .. }) && !logs_in(&known.record, &spends);
        let Some(stale) = known.deadlines.stale.filter(|_| !dead) else {
            return wait(LONGEST_SLEEP);
        };
        if let Some((_, blocked)) = process.backoff.blocked(now.monotonic(), false) {
            return wait(blocked.unwrap_or(LONGEST_SLEEP));
        }
        if stale.passed(now) {
            let newer_than = Some(known.record.version);
            return Plan::Refresh(Demand { newer_than, ..Demand::default() });
        }
        wait(stale.remaining(now))
    }
}
