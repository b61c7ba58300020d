//! A change by hand, as `manager/change.rs` makes it.

use std::time::Duration;

use super::clock::Time;
use super::flight::{Boarded, Cause, Operated, POLL};
use super::process::{Call, Operation, Process};
use super::step::Slot;
use super::world::World;
use crate::clock::Moment;
use crate::protocol::Change;
use crate::protocol::action::{Event, Swapped};
use crate::protocol::replica::{Demand, History, Stored};
use crate::record::Record;
use crate::store::{Expect, Stamp, StoreErrorKind};

/// As `manager/change.rs` has it.
const TRIES: usize = 32;

#[derive(Debug)]
pub(super) struct ChangeTask {
    change: Change,
    tries: usize,
    asked: Moment,
    stage: Stage,
    pub(super) operation: Operation,
}

#[derive(Debug)]
enum Stage {
    /// An update waits until the newest refresh token is brought back.
    Settle {
        seen: Option<Stamp>,
    },
    Load,
    Swap(Write),
    Confirm(Write),
}

/// It is tried again as the very same write.
#[derive(Clone, Debug)]
struct Write {
    expect: Expect,
    stamp: Stamp,
    record: Record,
    /// An update over a store that fell back in between, which is written once more to say so.
    warns: bool,
    /// Whether it may have been made already.
    in_doubt: bool,
    tries: usize,
}

impl World {
    pub(super) fn begin_change(&mut self, n: usize, change: Change) -> bool {
        let now = self.now;
        let process = &mut self.processes[n];
        if process.change.is_some() || process.paused_until > now {
            return false;
        }
        let stage = Stage::first(&change, process);
        let asked = process.clock.at(now);
        let operation = Operation::new(Call::Load, now, process.clock);
        process.change = Some(ChangeTask { change, tries: 0, asked, stage, operation });
        true
    }

    /// The change goes on. Returns whether there was anything.
    pub(super) fn run_change(&mut self, n: usize) -> bool {
        let event = match self.operate(n, Slot::Change) {
            Operated::Seen(event) => event,
            Operated::CarriedOut => return true,
            Operated::Nothing => return false,
        };
        let Some(task) = self.processes[n].change.take() else { return false };
        let mut task = task;
        if let Some((call, stage, pause)) = self.after(n, &mut task, event) {
            let process = &mut self.processes[n];
            let begins = self.now + pause;
            if matches!(stage, Stage::Settle { .. } | Stage::Load) {
                task.asked = process.clock.at(begins);
            }
            let operation = Operation::new(call, begins, process.clock);
            process.change = Some(ChangeTask { stage, operation, ..task });
        }
        true
    }

    /// What is done next, and how long after now; nothing where the change is made, or has failed.
    fn after(
        &mut self,
        n: usize,
        task: &mut ChangeTask,
        event: Event,
    ) -> Option<(Call, Stage, Time)> {
        match (std::mem::replace(&mut task.stage, Stage::Load), event) {
            (Stage::Settle { seen }, event) => {
                if let Event::Loaded(Ok(current)) = event {
                    self.saw(n, seen, task.asked, current);
                }
                let pause = self.unsettled(n)?;
                let stamp = self.processes[n].replica.stamp();
                Some(match pause {
                    None => (Call::Load, Stage::Load, 0),
                    Some(pause) => (Call::Load, Stage::Settle { seen: stamp }, pause),
                })
            }
            (Stage::Load, Event::Loaded(Ok(current))) => {
                let now = self.now;
                let process = &mut self.processes[n];
                let Some(write) = Write::new(process, &task.change, current.as_ref(), now) else {
                    // Not what has settled.
                    return self.again(n, task);
                };
                Some((write.call(), Stage::Swap(write), 0))
            }
            (Stage::Swap(write), Event::Swapped(Ok(Swapped::Won { history, .. }))) => {
                self.written(n, write, &history, task)
            }
            (Stage::Swap(write), Event::Swapped(Ok(Swapped::Lost(_)))) if !write.in_doubt => {
                self.again(n, task)
            }
            (Stage::Swap(write), Event::Swapped(Ok(Swapped::Lost(_)))) => {
                Some((Call::Load, Stage::Confirm(write), 0))
            }
            (Stage::Swap(write), Event::Swapped(Err(error)))
                if error.kind() == StoreErrorKind::Indeterminate =>
            {
                Some((Call::Load, Stage::Confirm(Write { in_doubt: true, ..write }), 0))
            }
            (Stage::Confirm(write), Event::Loaded(Ok(current))) => {
                let found = current.map(|stored| stored.stamp);
                if found == Some(write.stamp) {
                    return self.written(n, write, &History::Untold, task);
                }
                let write = Write { tries: write.tries + 1, ..write };
                let unchanged = found.map_or(Expect::Absent, Expect::Is) == write.expect;
                (unchanged && write.tries < TRIES).then_some((write.call(), Stage::Swap(write), 0))
            }
            _ => None,
        }
    }

    fn again(&self, n: usize, task: &mut ChangeTask) -> Option<(Call, Stage, Time)> {
        task.tries += 1;
        let first = Stage::first(&task.change, &self.processes[n]);
        (task.tries < TRIES).then_some((Call::Load, first, 0))
    }

    /// It was written over a record of this history.
    fn written(
        &mut self,
        n: usize,
        write: Write,
        replaced: &History,
        task: &ChangeTask,
    ) -> Option<(Call, Stage, Time)> {
        let process = &mut self.processes[n];
        let seen = process.replica.history().cloned().unwrap_or(History::Untold);
        let fell_back = replaced.is_news_after(&seen);
        if task.change.keeps_refresh_token() && fell_back && !write.warns {
            let record = write.record.settling(true);
            let (expect, stamp) = (Expect::Is(write.stamp), process.fresh());
            let write = Write { expect, stamp, record, warns: true, in_doubt: false, tries: 0 };
            return Some((write.call(), Stage::Swap(write), 0));
        }
        self.made(n, write, task.asked);
        None
    }

    /// How long an update has to wait, if at all; nothing if it cannot be made.
    fn unsettled(&mut self, n: usize) -> Option<Option<Time>> {
        let process = &self.processes[n];
        let now = process.clock.at(self.now);
        if process.replica.needs_repair() {
            let demand = Demand { repair: true, ..Demand::default() };
            return match self.board(n, demand, Cause::Need) {
                Boarded::Blocked => None,
                // It waits for the flight; this looks again soon.
                Boarded::Ready | Boarded::Flight => Some(Some(super::clock::MILLISECOND * 10)),
            };
        }
        let left: Option<Duration> = process.replica.unsettled(now);
        Some(left.map(|left| process.clock.takes(left.min(POLL))))
    }

    fn made(&mut self, n: usize, write: Write, asked: Moment) {
        let process = &mut self.processes[n];
        let Write { stamp, record, .. } = write;
        let version = record.version;
        let written = Stored { stamp, record, history: History::Unbroken };
        process.replica.observe(Some(written), asked, process.clock.at(self.now));
        process.backoff.clear();
        process.wake = true;
        self.note(|_| format!("p{n} has made its change, {version}"));
        self.check_process(n);
    }
}

impl Stage {
    fn first(change: &Change, process: &Process) -> Self {
        if change.keeps_refresh_token() {
            return Self::Settle { seen: process.replica.stamp() };
        }
        Self::Load
    }
}

impl Write {
    fn new(
        process: &mut Process,
        change: &Change,
        current: Option<&Stored>,
        now: Time,
    ) -> Option<Self> {
        let expect = current.map_or(Expect::Absent, |stored| Expect::Is(stored.stamp));
        let record = process.replica.changed(change, current, false, process.clock.at(now))?;
        let stamp = process.fresh();
        Some(Self { expect, stamp, record, warns: false, in_doubt: false, tries: 0 })
    }

    fn call(&self) -> Call {
        Call::Swap { expect: self.expect, stamp: self.stamp, record: self.record.clone() }
    }
}
