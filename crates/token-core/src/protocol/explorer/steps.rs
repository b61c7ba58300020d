//! What may happen next: every step from a state.

use std::time::Duration;

use super::process::Process;
use super::world::World;
use crate::protocol::UnknownOutcome;
use crate::protocol::action::Action;
use crate::record::State;
use crate::store::Liveness;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Begin(usize),
    /// Performs the action that the process waits for. The process goes on at once: that nobody else sees, so a later
    /// time would lead to the same. Only the send gate looks at the time between.
    Perform(usize),
    /// Performs it, and the process is paused before it sees the result.
    PerformAndPause(usize),
    /// The store fails: before or after the write.
    FailStore {
        process: usize,
        applied: bool,
    },
    /// The process sees the result, and goes on.
    Deliver(usize),
    NotSent(usize),
    Send(usize),
    /// The server carries a request out, whether its sender waits or not.
    Serve(usize),
    GiveUp(usize),
    Crash(usize),
    JumpPastQuarantine,
    JumpPastExpiry,
}

impl World {
    pub(super) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.server.revoked {
            return steps;
        }
        for (n, process) in self.processes.iter().enumerate() {
            match (&process.action, &process.result) {
                // Processes are alike, so they begin for the first time in one order.
                (None, _)
                    if process.flights > 0
                        && (n == 0 || self.processes[n - 1].has_begun(self.scope)) =>
                {
                    steps.push(Step::Begin(n));
                }
                (None, _) => {}
                (Some(_), Some(_)) => steps.push(Step::Deliver(n)),
                (Some(Action::Exchange { .. }), None) if process.waiting => {
                    steps.push(Step::GiveUp(n))
                }
                (Some(Action::Exchange { .. }), None) => {
                    steps.push(Step::Send(n));
                    if self.scope.pauses {
                        steps.push(Step::NotSent(n));
                    }
                }
                (Some(Action::Watch { since, at_most }), None) => {
                    // A wait that ends without cause leads to the same wait.
                    if *since != self.store.stored().map(|stored| stored.stamp)
                        || self.is_over(process, *at_most)
                        || self.waits_for_the_dead(process)
                    {
                        steps.push(Step::Perform(n));
                    }
                }
                (Some(action), None) => {
                    steps.push(Step::Perform(n));
                    if self.scope.pauses && self.jumps > 0 && matches!(action, Action::Swap { .. })
                    {
                        steps.push(Step::PerformAndPause(n));
                    }
                    if self.store_faults > 0 && matches!(action, Action::Load | Action::Swap { .. })
                    {
                        steps.push(Step::FailStore { process: n, applied: false });
                        if matches!(action, Action::Swap { .. }) {
                            steps.push(Step::FailStore { process: n, applied: true });
                        }
                    }
                }
            }
            if self.crashes > 0 && process.action.is_some() {
                steps.push(Step::Crash(n));
            }
        }
        for n in 0..self.requests.len() {
            steps.push(Step::Serve(n));
        }
        if self.jumps > 0 && !self.is_exchanging() {
            // Whoever holds an answer stores it before the others may present the token again: the window P, which only
            // the rule that requires a login closes.
            let unsaved = self.processes.iter().any(|process| process.replica.has_unsaved_answer());
            let closed = self.scope.rule == UnknownOutcome::RequireLogin;
            let stored = self.store.stored().and_then(|stored| stored.record.tokens.ends());
            let held_off = stored.is_some_and(|end| end > self.now.wall() + self.quarantine());
            if !unsaved || closed || held_off {
                steps.push(Step::JumpPastQuarantine);
            }
            if !unsaved || closed {
                steps.push(Step::JumpPastExpiry);
            }
        }
        steps
    }

    /// Whether some process is between its decision to send and the end of its wait for the answer.
    fn is_exchanging(&self) -> bool {
        self.processes.iter().any(|process| matches!(process.action, Some(Action::Exchange { .. })))
    }

    fn is_over(&self, process: &Process, at_most: Duration) -> bool {
        let asked = process.replica.phase.as_ref().map(|phase| phase.asked.monotonic());
        asked.is_some_and(|asked| self.now.monotonic() >= asked + at_most)
    }

    /// Whether the next question would be answered otherwise than the last.
    fn waits_for_the_dead(&self, process: &Process) -> bool {
        let seen = process.replica.seen.as_ref().and_then(Option::as_ref);
        match seen.filter(|seen| seen.holder_gone.is_none()).map(|seen| &seen.record.state) {
            Some(State::InFlight { attempt }) => self.holder(*attempt) == Liveness::Dead,
            _ => false,
        }
    }
}
