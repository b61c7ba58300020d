//! What is done next: each step first, then whatever the dice say.

use std::collections::BTreeMap;

use crate::step::Step;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Manner {
    Kill,
    Stop,
}

pub(super) struct Plan {
    dice: fastrand::Rng,
    /// Every step in every manner, in the order in which they are due, until they have been met.
    missing: Vec<(Step, Manner)>,
    met: BTreeMap<(Step, Manner), u64>,
    handed_out: usize,
}

impl Plan {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut missing: Vec<_> = Step::ALL
            .into_iter()
            .flat_map(|step| [(step, Manner::Kill), (step, Manner::Stop)])
            .collect();
        dice.shuffle(&mut missing);
        Self { dice, missing, met: BTreeMap::new(), handed_out: 0 }
    }

    /// What is to be tried next: at a step, or wherever the process happens to be. `may_stop`: whether enough processes run for
    /// one more to stand still.
    pub(super) fn next(&mut self, may_stop: bool) -> (Option<Step>, Manner) {
        let allowed = |manner: Manner| may_stop || manner == Manner::Kill;
        let missing: Vec<_> =
            self.missing.iter().copied().filter(|(_, manner)| allowed(*manner)).collect();
        self.handed_out += 1;
        // In turn, so that those that are hard to meet do not keep the others waiting.
        if !missing.is_empty() && !self.handed_out.is_multiple_of(4) {
            let (step, manner) = missing[self.handed_out % missing.len()];
            return (Some(step), manner);
        }
        let manner = if may_stop && self.dice.f64() < 0.25 { Manner::Stop } else { Manner::Kill };
        let step = (self.dice.f64() < 0.7).then(|| Step::ALL[self.dice.usize(..Step::ALL.len())]);
        (step, manner)
    }

    pub(super) fn met(&mut self, step: Step, manner: Manner) {
        self.missing.retain(|one| *one != (step, manner));
        *self.met.entry((step, manner)).or_default() += 1;
    }

    /// Whether every step was met by a kill and by a stop.
    pub(super) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    pub(super) fn missing(&self) -> &[(Step, Manner)] {
        &self.missing
    }

    pub(super) fn all_met(&self) -> &BTreeMap<(Step, Manner), u64> {
        &self.met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_comes_up_in_every_manner_and_none_stops_when_none_may() {
        let mut plan = Plan::new(7);
        assert!((0..500).all(|_| plan.next(false).1 == Manner::Kill));
        let mut rounds = 0;
        while !plan.is_complete() {
            if let (Some(step), manner) = plan.next(true) {
                plan.met(step, manner);
            }
            rounds += 1;
            assert!(rounds < 100, "{:?}", plan.missing());
        }
        assert_eq!(plan.all_met().len(), 2 * Step::ALL.len());
    }

    #[test]
    fn the_same_seed_plans_the_same() {
        let draw = |seed| {
            let mut plan = Plan::new(seed);
            (0..50).map(|_| plan.next(true)).collect::<Vec<_>>()
        };
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
    }
}
