//! A linearizable register with compare-and-swap, which may fall back to any earlier state that is not older than the
//! last one that it called durable.

use std::sync::Arc;

use super::clock::Time;
use crate::protocol::action::Swapped;
use crate::protocol::replica::{History, Stored};
use crate::record::Record;
use crate::store::{Expect, Stamp};

#[derive(Debug)]
pub(super) struct Store {
    /// The states that it may fall back to, oldest first, and the current one as the last.
    states: Vec<Option<Kept>>,
    /// Its history; each failover begins a new one.
    history: Arc<str>,
    pub(super) changed_at: Time,
}

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) stamp: Stamp,
    pub(super) record: Record,
    written_in: Arc<str>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self { states: vec![None], history: Arc::from("0"), changed_at: 0 }
    }

    pub(super) fn current(&self) -> Option<&Kept> {
        self.states.last().and_then(Option::as_ref)
    }

    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.current().map(|kept| kept.stamp)
    }

    pub(super) fn load(&self) -> Option<Stored> {
        self.current().map(|kept| Stored {
            stamp: kept.stamp,
            record: kept.record.clone(),
            history: self.history(kept),
        })
    }

    pub(super) fn meets(&self, expect: Expect) -> bool {
        match expect {
            Expect::Absent => self.current().is_none(),
            Expect::Is(stamp) => self.stamp() == Some(stamp),
        }
    }

    pub(super) fn swap(
        &mut self,
        expect: Expect,
        stamp: Stamp,
        record: &Record,
        durable: bool,
        now: Time,
    ) -> Swapped {
        if !self.meets(expect) {
            let lost = self.load().map(|stored| Stored { history: History::Untold, ..stored });
            return Swapped::Lost(lost);
        }
        let history = self.current().map_or(History::Unbroken, |kept| self.history(kept));
        if durable {
            self.states.clear();
        }
        let written_in = Arc::clone(&self.history);
        self.states.push(Some(Kept { stamp, record: record.clone(), written_in }));
        self.changed_at = now;
        Swapped::Won { durable, history }
    }

    /// How many writes could be lost.
    pub(super) fn loose(&self) -> usize {
        self.states.len() - 1
    }

    /// Loses the last writes. Returns whether there were as many.
    pub(super) fn regress(&mut self, writes: usize, now: Time) -> bool {
        if writes == 0 || writes > self.loose() {
            return false;
        }
        self.states.truncate(self.states.len() - writes);
        self.begin_history(now);
        true
    }

    pub(super) fn empty(&mut self, now: Time) -> bool {
        if self.current().is_none() {
            return false;
        }
        self.states = vec![None];
        self.begin_history(now);
        true
    }

    fn begin_history(&mut self, now: Time) {
        // Two falls at one time begin two histories too.
        self.history =
            Arc::from(format!("{}{now},", &self.history[self.history.len().saturating_sub(40)..]));
        self.changed_at = now;
    }

    fn history(&self, kept: &Kept) -> History {
        if kept.written_in == self.history {
            return History::Unbroken;
        }
        History::Broken(Some(Arc::clone(&self.history)))
    }
}
