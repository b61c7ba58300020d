//! How long a run goes on: until so many processes were killed, all was done that can be, and the control has lost something.

use std::time::Duration;

use crate::check::check;
use crate::check::losses::Cause;
use crate::options::{CONTROL, Run};
use crate::server_fault::ServerFault;
use crate::time::At;

use super::{BoxError, Running};

const PROGRESS: Duration = Duration::from_secs(5);

/// How often to look whether the control has lost something, where all else is done.
const LOOK: Duration = Duration::from_secs(5);

impl Running {
    pub(super) fn disturb_until_enough(&mut self) -> Result<(), BoxError> {
        // Several times what it takes on two cores.
        let Run { kills, failovers, .. } = self.options;
        let seconds = kills.max(failovers.saturating_mul(3)).saturating_mul(3).saturating_add(240);
        let patience = Duration::from_secs(seconds);
        let mut progress = self.started;
        while !self.is_enough() {
            let now = self.turn()?;
            self.disturb(now);
            self.network.tick(&self.server, now);
            if now.since(progress) >= PROGRESS {
                progress = now;
                self.progress(now);
            }
            if now.since(self.started) > patience {
                let steps = self.disturber.plan.missing();
                self.faults.push(format!(
                    "after {patience:?} there were {} kills and {} failovers; steps that were not met: {steps:?}, and what was \
                     not done to the servers: {:?}",
                    self.kills,
                    self.failovers(),
                    self.undone()
                ));
                break;
            }
            if self.faults.len() > 20 || self.servers.have_failed() {
                break;
            }
        }
        Ok(())
    }

    fn is_enough(&mut self) -> bool {
        self.kills >= self.options.kills
            && self.failovers() >= self.options.failovers
            && self.disturber.plan.is_complete()
            && self.undone().is_empty()
            && self.control_has_lost()
    }

    /// What was not yet done to the servers.
    fn undone(&self) -> Vec<(u32, ServerFault)> {
        let all = self.servers.faults.iter().copied();
        all.filter(|fault| !self.server_faults.contains_key(fault)).collect()
    }

    pub(super) fn failovers(&self) -> u64 {
        let made =
            self.server_faults.iter().filter(|((place, _), _)| self.servers.has_sentinels(*place));
        made.map(|(_, times)| times).sum()
    }

    /// Whether it can be seen already that the control loses grants. When it meets what it does not survive is chance.
    fn control_has_lost(&mut self) -> bool {
        let now = At::now();
        if now.since(self.control_looked) < LOOK {
            return false;
        }
        self.control_looked = now;
        let ours = self.options.grants;
        let unread = (ours..ours + CONTROL).map(|grant| (grant, Ok(None)));
        let so_far = self.outcome(unread.collect()).part(ours, true);
        check(&so_far, false).losses.contains_key(&Cause::Avoidable)
    }

    fn progress(&self, now: At) {
        let counters = self.server.counters();
        eprintln!(
            "{:5.0} s  {} of {} kills, {} stops, {} server faults, {} of {} failovers, {} refreshes, {} families revoked",
            now.since(self.started).as_secs_f64(),
            self.kills,
            self.options.kills,
            self.stops,
            self.server_faults.values().sum::<u64>(),
            self.failovers(),
            self.options.failovers,
            counters.tokens_issued,
            counters.families_revoked,
        );
    }
}
