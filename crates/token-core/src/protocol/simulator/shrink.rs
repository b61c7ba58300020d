//! Makes a run that breaks a rule as short as it can be with that rule still broken.

use super::Run;
use super::checks::Broken;
use super::clock::{SECOND, SkewedClock, Time};
use super::step::{NetworkFault, Step, StoreFault};

impl Run {
    /// The shortest run found that breaks the same rule: steps left out, times made round, hosts alike.
    pub(super) fn shrunk(self, broken: Broken) -> Self {
        let breaks = |run: &Self| run.again(false).broken == Some(broken);
        let mut run = self;
        loop {
            let before = (run.steps.len(), run.time());
            run = run.with_fewer_steps(&breaks);
            run = run.with_simpler_hosts(&breaks);
            run = run.with_rounder_times(&breaks);
            if (run.steps.len(), run.time()) >= before {
                return run;
            }
        }
    }

    fn with_fewer_steps(mut self, breaks: &impl Fn(&Self) -> bool) -> Self {
        let mut chunk = self.steps.len().div_ceil(2).max(1);
        loop {
            let mut from = 0;
            while from < self.steps.len() {
                let mut fewer = self.clone();
                fewer.steps.drain(from..self.steps.len().min(from + chunk));
                if breaks(&fewer) {
                    self = fewer;
                } else {
                    from += chunk;
                }
            }
            if chunk == 1 {
                return self;
            }
            chunk = chunk.div_ceil(2);
        }
    }

    fn with_simpler_hosts(mut self, breaks: &impl Fn(&Self) -> bool) -> Self {
        while self.scenario.hosts.len() > 1 {
            let mut fewer = self.clone();
            fewer.scenario.hosts.pop();
            if !breaks(&fewer) {
                break;
            }
            self = fewer;
        }
        for n in 0..self.scenario.hosts.len() {
            let mut right = self.clone();
            right.scenario.hosts[n].clock =
                SkewedClock { origin: 1_000 * SECOND, ahead: 0, fast: 0 };
            right.scenario.hosts[n].dice = 0.5;
            if breaks(&right) {
                self = right;
            }
        }
        self
    }

    fn with_rounder_times(mut self, breaks: &impl Fn(&Self) -> bool) -> Self {
        for n in 0..self.steps.len() {
            let Some(time) = self.steps[n].time() else { continue };
            for simpler in [0, time / 2, time / SECOND * SECOND] {
                let mut run = self.clone();
                if let Some(of) = run.steps[n].time_mut() {
                    *of = simpler;
                }
                if simpler < time && breaks(&run) {
                    self = run;
                    break;
                }
            }
        }
        self
    }

    fn time(&self) -> Time {
        self.steps.iter().filter_map(Step::time).sum()
    }
}

impl Step {
    fn time(&self) -> Option<Time> {
        let mut step = *self;
        step.time_mut().copied()
    }

    fn time_mut(&mut self) -> Option<&mut Time> {
        match self {
            Self::Advance(time) | Self::Pause(_, time) | Self::Crash(_, _, time) => Some(time),
            Self::Store(_, _, StoreFault::Late(time) | StoreFault::SlowAnswer(time)) => Some(time),
            Self::Network(_, NetworkFault::DelayRequest(time)) => Some(time),
            Self::Network(_, NetworkFault::DelayAnswer(time)) => Some(time),
            _ => None,
        }
    }
}
