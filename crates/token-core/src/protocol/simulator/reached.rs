//! What the runs came across, so that nobody takes silence for proof.

use std::collections::BTreeMap;
use std::fmt;

use super::losses::Window;
use super::server::Grace;
use super::world::World;
use crate::protocol::Failure;
use crate::protocol::action::{Event, Swapped};
use crate::protocol::flight::At;
use crate::protocol::replica::{Fate, Note, Replica};
use crate::record::State;
use crate::refresher::Outcome;
use crate::store::{Liveness, StoreErrorKind};

/// Where a flight stands, what the process last saw in the store, what it knows of its own attempt; and what comes.
pub(super) type Pair = (&'static str, &'static str, &'static str, &'static str);

#[derive(Clone, Debug, Default)]
pub(super) struct Reached {
    /// That broke no rule.
    pub(super) runs: u64,
    pub(super) steps: u64,
    pub(super) refreshes: u64,
    pub(super) pairs: BTreeMap<Pair, u64>,
    pub(super) faults: BTreeMap<&'static str, u64>,
    /// All else that is worth a count.
    pub(super) sights: BTreeMap<&'static str, u64>,
}

impl Reached {
    pub(super) fn fault(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub(super) fn sight(&mut self, sight: &'static str) {
        *self.sights.entry(sight).or_default() += 1;
    }

    pub(super) fn note(&mut self, note: Note) {
        self.sight(match note {
            Note::SeedTaken(_) => "seed taken",
            Note::HolderOverdue | Note::TakenOver { .. } | Note::Adopted(_) => return,
            Note::Settling(_) => "waited for the store to settle",
            Note::RecordRepaired => "record repaired",
            Note::CommitDelayed => "commit delayed",
            Note::Sibling => "sibling",
            Note::Superseded => "answer of an older login",
        });
    }

    pub(super) fn takeover(&mut self, known_death: bool) {
        self.sight(if known_death {
            "takeover by a known death"
        } else {
            "takeover by quarantine"
        });
    }

    pub(super) fn served(&mut self, in_grace: bool, kind: Option<Grace>) {
        self.refreshes += 1;
        self.sight(match kind.filter(|_| in_grace) {
            None => "refresh",
            Some(Grace::SamePair) => "grace, same pair",
            Some(Grace::NewPair) => "grace, new pair",
            Some(Grace::PreviousOnly) => "grace, previous only",
        });
    }

    /// All of it in a line.
    pub(super) fn summary(&self, broken: usize) -> String {
        let Self { runs, steps, refreshes, faults, .. } = self;
        let (runs, faults) = (runs + broken as u64, faults.values().sum::<u64>());
        format!(
            "{runs} runs, {broken} broken, {steps} steps, {faults} faults, {refreshes} refreshes"
        )
    }

    /// What a step led to.
    pub(super) fn after(&mut self, replica: &Replica, acquiring: bool) {
        match replica.phase.as_ref().map(|phase| &phase.at) {
            Some(At::Closing { failure: Failure::NotDurable, .. }) if acquiring => {
                self.sight("intent undone: not durable");
            }
            Some(At::Closing { failure: Failure::Late { .. }, .. }) if acquiring => {
                self.sight("intent undone: late");
            }
            Some(At::Preparing { note: None, pending }) if acquiring && pending.record.settling => {
                self.sight("intent undone: store fell back");
            }
            Some(At::Closing { failure: Failure::Refresh(_), pending })
                if pending.record.state == State::Idle =>
            {
                self.sight("intent undone: not spent");
            }
            _ => {}
        }
    }

    pub(super) fn lost(&mut self, window: Window) {
        self.sight(match window {
            Window::W => "loss in window W",
            Window::P => "loss in window P",
            Window::F => "loss in window F",
        });
    }

    pub(super) fn add(&mut self, other: &Self) {
        fn sum<K: Copy + Ord>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *to.entry(*key).or_default() += count;
            }
        }
        self.runs += other.runs;
        self.steps += other.steps;
        self.refreshes += other.refreshes;
        sum(&mut self.pairs, &other.pairs);
        sum(&mut self.faults, &other.faults);
        sum(&mut self.sights, &other.sights);
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nfaults")?;
        for (fault, count) in &self.faults {
            writeln!(f, "{count:>12}  {fault}")?;
        }
        writeln!(f, "\nseen")?;
        for (sight, count) in &self.sights {
            writeln!(f, "{count:>12}  {sight}")?;
        }
        writeln!(
            f,
            "\n{} pairs of state and event: at / record last seen / own attempt / event",
            self.pairs.len()
        )?;
        for ((at, seen, fate, event), count) in &self.pairs {
            writeln!(f, "{count:>12}  {at} / {seen} / {fate} / {event}")?;
        }
        Ok(())
    }
}

impl World {
    pub(super) fn reach(&mut self, n: usize, event: &Event) {
        let replica = &self.processes[n].replica;
        let pair = (at_name(replica), seen_name(replica), fate_name(replica), event_name(event));
        *self.reached.pairs.entry(pair).or_default() += 1;
    }
}

impl Replica {
    pub(super) fn is_acquiring(&self) -> bool {
        self.phase.as_ref().is_some_and(|phase| matches!(phase.at, At::Acquiring(_)))
    }
}

fn at_name(replica: &Replica) -> &'static str {
    match replica.phase.as_ref().map(|phase| &phase.at) {
        None => "none",
        Some(At::Looking) => "looking",
        Some(At::Preparing { .. }) => "preparing",
        Some(At::Asking { .. }) => "asking",
        Some(At::Acquiring { .. }) => "acquiring",
        Some(At::Exchanging { intent: Some(_), .. }) => "exchanging",
        Some(At::Exchanging { intent: None, .. }) => "exchanging, no intent",
        Some(At::Reloading { .. }) => "reloading",
        Some(At::Committing { confirming: false, .. }) => "committing",
        Some(At::Committing { confirming: true, .. }) => "confirming",
        Some(At::Closing { .. }) => "closing",
    }
}

fn seen_name(replica: &Replica) -> &'static str {
    match &replica.seen {
        None => "unseen",
        Some(None) => "absent",
        Some(Some(seen)) => match seen.record.state {
            State::Idle => "idle",
            State::InFlight { attempt } if replica.is_own(attempt) => "own in flight",
            State::InFlight { .. } => "in flight",
            State::Unknown { attempt } if replica.is_own(attempt) => "own unknown",
            State::Unknown { .. } => "unknown",
            State::Dead { .. } => "dead",
        },
    }
}

fn fate_name(replica: &Replica) -> &'static str {
    match replica.attempt.as_ref().map(|attempt| &attempt.fate) {
        None => "no attempt",
        Some(Fate::NotSpent) => "not spent",
        Some(Fate::Unknown { since: None }) => "under way",
        Some(Fate::Unknown { since: Some(_) }) => "outcome unknown",
        Some(Fate::Refused) => "refused",
        Some(Fate::Answered { .. }) => "answered",
    }
}

fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Loaded(Ok(_)) => "loaded",
        Event::Loaded(Err(_)) => "load failed",
        Event::Swapped(Ok(Swapped::Won { durable: true, .. })) => "won",
        Event::Swapped(Ok(Swapped::Won { durable: false, .. })) => "won, not durable",
        Event::Swapped(Ok(Swapped::Lost(_))) => "lost",
        Event::Swapped(Err(error)) if error.kind() == StoreErrorKind::Indeterminate => {
            "perhaps swapped"
        }
        Event::Swapped(Err(_)) => "swap refused",
        Event::Exchanged { result: Ok(_), .. } => "answered",
        Event::Exchanged { result: Err(error), .. } => match error.outcome() {
            Outcome::NotSent => "not sent",
            Outcome::Rejected => "rejected",
            Outcome::InvalidGrant => "invalid grant",
            Outcome::Configuration => "client refused",
            Outcome::Ambiguous => "no answer",
        },
        Event::Holder(Liveness::Dead) => "holder dead",
        Event::Holder(_) => "holder not known dead",
        Event::Woken => "woken",
    }
}
