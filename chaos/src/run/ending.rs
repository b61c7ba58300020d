//! The end of a run: the disturbance ceases, every grant recovers, and all that is known is gathered.

use std::collections::BTreeMap;
use std::time::Duration;

use token_core::store::Versioned;

use crate::history::What;
use crate::record::digest;
use crate::request::Request;
use crate::stores::Open;
use crate::time::At;

use super::{BoxError, LastRecord, Outcome, Running};

/// How long everything may take to recover, on a machine that stands still now and then: Sentinels that were late themselves
/// wait for half a minute before they do anything. How long a caller may wait is judged apart from this.
const PATIENCE: Duration = Duration::from_secs(120);

impl Running {
    /// Ends all disturbance and waits until every grant was refreshed once more.
    pub(super) fn calm(&mut self) -> Result<(), BoxError> {
        self.network.calm(&self.server);
        self.disturber.let_go();
        self.servers.calm();
        // Their last fault takes its time, and the processes go on meanwhile.
        while !self.servers.are_calm() {
            self.turn()?;
        }
        if let Err(why) = self.servers.join() {
            self.faults.push(why);
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].process.as_ref().is_some_and(|p| p.stopped.is_some()) {
                self.go_on(slot);
            }
            self.slots[slot].due = At::now();
            if let Some(process) = &mut self.slots[slot].process {
                process.armed = None;
                process.order("disarm");
            }
        }
        let calm = At::now();
        loop {
            let late = self.refreshed.iter().enumerate().filter(|(_, at)| **at < calm);
            let late: Vec<usize> = late.map(|(grant, _)| grant).collect();
            let lost = self.without_store(calm);
            if late.is_empty() && lost.is_empty() {
                return Ok(());
            }
            let now = self.turn()?;
            if now.since(calm) > PATIENCE {
                self.faults.push(format!(
                    "{:?} after all disturbance had ended, these grants were not refreshed: {late:?}; and these processes had not \
                     reached these places: {lost:?}",
                    now.since(calm)
                ));
                return Ok(());
            }
        }
    }

    /// Each process, and each place that it has not reached since then.
    fn without_store(&self, since: At) -> Vec<(u32, u32)> {
        let all =
            self.running().flat_map(|process| (0..self.places()).map(|place| (process.id, place)));
        all.filter(|one| self.reached.get(one).is_none_or(|at| *at < since)).collect()
    }

    pub(super) fn finish<S: Open>(mut self) -> Outcome {
        for slot in 0..self.slots.len() {
            if let Some(mut process) = self.slots[slot].process.take() {
                let at = At::now();
                process.kill();
                let id = process.id;
                self.buried.push(process.bury());
                self.note(at, id, None, What::Killed { gone: At::now() });
            }
        }
        for reader in std::mem::take(&mut self.buried) {
            // It ends with the pipe, and does not panic.
            let _ = reader.join();
        }
        if let Err(why) = self.servers.look_again() {
            self.faults.push(why);
        }
        while let Ok(message) = self.messages.try_recv() {
            self.take(message);
        }
        let last = self.logins.last::<S>(&self.runtime).into_iter();
        let mark = |record: Versioned| (record.stamp().into(), digest(record.bytes()));
        let last = last.map(|(grant, last)| (grant, last.map(|last| last.map(mark)))).collect();
        self.outcome(last)
    }

    /// What is known so far.
    pub(super) fn outcome(&self, last: Vec<(u32, LastRecord)>) -> Outcome {
        let mut entries = self.entries.clone();
        entries.sort_by_key(|entry| entry.at);
        let met = self.disturber.plan.all_met().iter();
        let started = At::of(self.server.started_at());
        let history = self.server.history();
        let requests = history.iter().filter_map(|entry| Request::read(entry, started)).collect();
        let mut server_faults = BTreeMap::new();
        for ((_, fault), times) in &self.server_faults {
            *server_faults.entry(*fault).or_default() += times;
        }
        Outcome {
            places: self.servers.places(),
            last,
            entries,
            requests,
            kills: self.kills,
            stops: self.stops,
            met: met.map(|(&(step, manner), &n)| (step, manner, n)).collect(),
            server_faults,
            failovers: self.failovers(),
            faults: self.faults.clone(),
            took: At::now().since(self.started),
        }
    }
}
