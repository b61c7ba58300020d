//! What the store is asked, and what goes wrong with that.

use super::clock::Time;
use super::flight::Operated;
use super::process::{Call, LATENCY, Operation};
use super::step::{Slot, StoreFault};
use super::trace::state_in_words;
use super::world::World;
use crate::protocol::action::{Event, Swapped};
use crate::record::Record;
use crate::store::{Expect, Liveness, Stamp, StoreError, StoreErrorKind};

/// A write that nobody waits for any more, and that will be carried out all the same.
#[derive(Debug)]
pub(super) struct Orphan {
    expect: Expect,
    stamp: Stamp,
    record: Record,
    durable: bool,
    pub(super) due: Time,
}

impl World {
    pub(super) fn fail_store(&mut self, n: usize, slot: Slot, fault: StoreFault) -> bool {
        let now = self.now;
        let may_regress = self.scenario.may_regress;
        let Some(operation) = self.processes[n].operation(slot) else { return false };
        let write = matches!(operation.call, Call::Swap { .. });
        match (fault, &operation.result) {
            (StoreFault::SlowAnswer(time), Some(_)) => operation.due = now + time,
            (_, Some(_)) => return false,
            (StoreFault::NotDurable, None) if !write || !may_regress => return false,
            (StoreFault::Late(time), None) => operation.due = now + time,
            (_, None) => operation.fault = Some(fault),
        }
        true
    }

    /// An operation of the store goes on.
    pub(super) fn operate(&mut self, n: usize, slot: Slot) -> Operated {
        let now = self.now;
        let process = &mut self.processes[n];
        let paused = process.paused_until > now;
        let number = process.number;
        let Some(operation) = process.operation(slot) else { return Operated::Nothing };
        if operation.is_given_up(now) && !paused {
            let error = Err(StoreError::new(StoreErrorKind::Indeterminate, "no answer in time"));
            let late = Operation { result: operation.result.take(), ..operation.copied() };
            let event = late.call.failed(error);
            self.let_go_of(&late);
            self.hinder(number, true);
            return Operated::Seen(event);
        }
        if operation.result.is_none() {
            let (call, fault) = (operation.call.clone(), operation.fault);
            let event = self.carry_out(n, slot, call, fault);
            let slow = match fault {
                Some(StoreFault::SlowAnswer(time)) => time,
                _ => 0,
            };
            if let Some(operation) = self.processes[n].operation(slot) {
                operation.result = Some(event);
                operation.due = now + LATENCY + slow;
            }
            return Operated::CarriedOut;
        }
        if paused {
            return Operated::Nothing;
        }
        let Some(event) = operation.result.take() else { return Operated::Nothing };
        let failed = matches!(event, Event::Loaded(Err(_)) | Event::Swapped(Err(_)));
        self.hinder(number, failed);
        Operated::Seen(event)
    }

    fn hinder(&mut self, n: usize, fails: bool) {
        let hindrance = &mut self.processes[n].hindrance;
        if hindrance.store_fails || fails {
            hindrance.until = self.now;
        }
        hindrance.store_fails = fails;
    }

    fn carry_out(&mut self, n: usize, slot: Slot, call: Call, fault: Option<StoreFault>) -> Event {
        let error = match fault {
            Some(StoreFault::Refused) => Some(StoreErrorKind::Refused),
            Some(StoreFault::BrokenBefore | StoreFault::BrokenAfter) => {
                Some(StoreErrorKind::Indeterminate)
            }
            _ => None,
        };
        let error = error.map(|kind| Err(StoreError::new(kind, "simulated")));
        if let (Some(error), true) = (&error, fault != Some(StoreFault::BrokenAfter)) {
            return call.failed(error.clone());
        }
        let event = match &call {
            Call::Load => Event::Loaded(Ok(self.store.load())),
            Call::Swap { expect, stamp, record } => {
                let durable = fault != Some(StoreFault::NotDurable);
                Event::Swapped(Ok(self.swap(Some((n, slot)), *expect, *stamp, record, durable)))
            }
            Call::Holder(attempt) => Event::Holder(self.holder(*attempt)),
        };
        error.map_or(event, |error| call.failed(error))
    }

    fn swap(
        &mut self,
        by: Option<(usize, Slot)>,
        expect: Expect,
        stamp: Stamp,
        record: &Record,
        durable: bool,
    ) -> Swapped {
        let before = self.store.current();
        let before = before.map(|kept| (kept.record.version, kept.record.state.clone()));
        let swapped = self.store.swap(expect, stamp, record, durable, self.now);
        if matches!(swapped, Swapped::Won { .. }) {
            self.check_write(by, before, stamp, record);
        }
        swapped
    }

    fn holder(&self, attempt: Stamp) -> Liveness {
        let bytes = attempt.to_bytes();
        let incarnation = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        let process = self.processes.get(usize::from(bytes[0]).wrapping_sub(1));
        match process.filter(|_| self.scenario.tells_dead_holder) {
            Some(process) if process.incarnation > incarnation => Liveness::Dead,
            Some(_) => Liveness::Alive,
            None => Liveness::Unknown,
        }
    }

    /// Nobody waits for this operation any more; a write may come all the same.
    pub(super) fn let_go_of(&mut self, operation: &Operation) {
        let lost = matches!(operation.fault, Some(StoreFault::Refused | StoreFault::BrokenBefore));
        if let (None, Call::Swap { expect, stamp, record }, false) =
            (&operation.result, &operation.call, lost)
        {
            self.orphans.push(Orphan {
                expect: *expect,
                stamp: *stamp,
                record: record.clone(),
                durable: operation.fault != Some(StoreFault::NotDurable),
                due: operation.due,
            });
        }
    }

    pub(super) fn carry_out_late(&mut self, n: usize) {
        let Orphan { expect, stamp, record, durable, .. } = self.orphans.remove(n);
        if self.store.meets(expect) {
            self.note(|_| {
                format!("a late write is carried out: {}", state_in_words(&record.state))
            });
            self.reached.sight("late write");
        }
        self.guarded(|world| {
            world.swap(None, expect, stamp, &record, durable);
            true
        });
    }
}

impl Call {
    fn failed(&self, error: Result<(), StoreError>) -> Event {
        let Err(error) = error else { return Event::Woken };
        match self {
            Self::Load => Event::Loaded(Err(error)),
            Self::Swap { .. } => Event::Swapped(Err(error)),
            Self::Holder(_) => Event::Holder(Liveness::Unknown),
        }
    }
}

impl Operation {
    fn copied(&self) -> Self {
        let Self { call, due, give_up, fault, .. } = self;
        Self { call: call.clone(), due: *due, give_up: *give_up, result: None, fault: *fault }
    }
}
