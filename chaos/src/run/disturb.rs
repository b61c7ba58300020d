//! Kills and stops: whom, where, and for how long.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use token_testkit::{Held, Stage};
use tokio::task::JoinHandle;

use crate::history::{Entry, What};
use crate::options::Store;
use crate::replica::name;
use crate::request;
use crate::step::Step;
use crate::time::{ACCESS_LIFETIME, At, quarantine};

use super::plan::{Manner, Plan};
use super::process::{Process, Stopped};
use super::{Message, Running};

/// How long a process is given to reach the step that it was told to wait at.
const ARMED: Duration = Duration::from_secs(5);

/// How long to look for the temporary file of a swap that has just begun.
const WITHIN_SWAP: Duration = Duration::from_millis(50);

/// Each process is disturbed once in so long, on average: enough for most refreshes to be left alone.
const BETWEEN: Duration = Duration::from_millis(2400);

pub(super) struct Disturber {
    pub(super) plan: Plan,
    dice: fastrand::Rng,
    directory: PathBuf,
    next: At,
    holds: Vec<JoinHandle<()>>,
    /// Who was struck when a write may have been under way, by process: to which grant, and how.
    struck: HashMap<u32, (u32, Manner)>,
    calm: bool,
}

impl Disturber {
    pub(super) fn new(plan: Plan, seed: u64, directory: &Path) -> Self {
        let dice = fastrand::Rng::with_seed(seed.wrapping_add(1));
        Self {
            plan,
            dice,
            directory: directory.to_owned(),
            next: At::now(),
            holds: Vec::new(),
            struck: HashMap::new(),
            calm: false,
        }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Asks for no request any more; those that are held go on.
    pub(super) fn let_go(&mut self) {
        self.calm = true;
        for hold in self.holds.drain(..) {
            hold.abort();
        }
    }

    /// Longer than every time limit: when it goes on, somebody else has had the time to present the token.
    fn stand_still(&mut self) -> Duration {
        quarantine() + ACCESS_LIFETIME + Duration::from_millis(self.dice.u64(300..2500))
    }
}

impl Running {
    /// Sets the next disturbance on its way, if one is due.
    pub(super) fn disturb(&mut self, now: At) {
        for slot in &mut self.slots {
            if let Some(process) = &mut slot.process
                && process.stopped.is_none()
                && process.armed.is_some_and(|(.., since)| now.since(since) > ARMED)
            {
                process.armed = None;
                process.order("disarm");
            }
        }
        if now < self.disturber.next {
            return;
        }
        let pace = BETWEEN / self.options.processes;
        self.disturber.next = now.after(pace.mul_f64(0.5 + self.disturber.dice.f64()));
        let standing = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        let standing = standing.filter(|process| process.stopped.is_some()).count();
        let may_stop = standing < self.slots.len() / 3;
        let (step, manner) = self.disturber.plan.next(may_stop);
        match step {
            Some(step @ (Step::Received | Step::CarriedOut)) => self.ask_server(step, manner),
            Some(step) => {
                if let Some(process) = self.pick(|process| process.armed.is_none()) {
                    process.armed = Some((step, manner, now));
                    process.order(&format!("arm {step}"));
                }
            }
            None => {
                let Some(id) = self.pick(|_| true).map(|process| process.id) else { return };
                self.strike(id, manner, false);
            }
        }
    }

    fn ask_server(&mut self, step: Step, manner: Manner) {
        self.disturber.holds.retain(|hold| !hold.is_finished());
        if self.disturber.holds.len() >= 2 {
            return;
        }
        let stage = if step == Step::Received { Stage::Received } else { Stage::CarriedOut };
        let (hold, to) = (self.server.hold(stage), self.to.clone());
        self.disturber.holds.push(self.runtime.spawn(async move {
            if let Some(held) = hold.await {
                // The run may be over; then the request goes on.
                let _ = to.send(Message::Held(step, manner, held));
            }
        }));
    }

    /// The server holds a request: its sender is struck, and the request goes on.
    pub(super) fn held(&mut self, step: Step, manner: Manner, held: Held) {
        if self.disturber.calm {
            return;
        }
        let id = held.request().request_id.as_deref().and_then(request::parse);
        // The steps are those of our protocol.
        let id =
            id.filter(|(_, grant, _)| *grant < self.options.grants).map(|(process, ..)| process);
        if let Some(id) = id.filter(|id| self.running().any(|process| process.id == *id)) {
            self.strike(id, manner, false);
            self.disturber.plan.met(step, manner);
        }
    }

    /// A process waits at the step that it was armed for.
    pub(super) fn reached(&mut self, id: u32, grant: u32, step: Step) {
        let Some(process) = self.process(id) else { return };
        let Some((_, manner, _)) = process.armed.take().filter(|armed| armed.0 == step) else {
            process.order("go");
            return;
        };
        if process.stopped.is_some() {
            // It was stopped on its way there; it is let go when that is over.
            if let Some(stopped) = &mut process.stopped {
                stopped.waits = true;
            }
            return;
        }
        if step == Step::WithinSwap {
            return self.strike_within_swap(id, grant, manner);
        }
        self.strike(id, manner, true);
        self.disturber.plan.met(step, manner);
    }

    /// Lets it begin its swap, and strikes when the temporary file is there.
    fn strike_within_swap(&mut self, id: u32, grant: u32, manner: Manner) {
        if self.options.store != Store::File {
            if let Some(process) = self.process(id) {
                process.order("go");
            }
            // It takes so long from the order until the server has answered. Whether this moment was within it is for the
            // history to tell, once all is there that the process told before it was struck.
            let moment = Duration::from_micros(self.disturber.dice.u64(0..1000));
            std::thread::sleep(moment);
            self.disturber.struck.insert(id, (grant, manner));
            return self.strike(id, manner, false);
        }
        let Some(file) = temporary_file(self.disturber.directory(), grant) else {
            // Nothing was ever written to this grant.
            return self.process(id).into_iter().for_each(|process| process.order("go"));
        };
        if let Some(process) = self.process(id) {
            process.order("go");
        }
        let begun = Instant::now();
        while begun.elapsed() < WITHIN_SWAP {
            if fs::symlink_metadata(&file).is_ok() {
                self.strike(id, manner, false);
                // Another's is gone in a moment. After a kill whoever writes next removes it, so a stop is the proof.
                if manner == Manner::Kill || fs::symlink_metadata(&file).is_ok() {
                    self.disturber.plan.met(Step::WithinSwap, manner);
                }
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Counts a strike within a swap, if that was one. Else the plan tries again.
    pub(super) fn judge_within_swap(&mut self, id: u32) {
        if let Some((grant, manner)) = self.disturber.struck.remove(&id)
            && is_within_swap(&self.entries, id, grant)
        {
            self.disturber.plan.met(Step::WithinSwap, manner);
        }
    }

    /// Kills or stops it; with a kill now and then others at the same time. `waits`: it waits at a step.
    fn strike(&mut self, id: u32, manner: Manner, waits: bool) {
        match manner {
            Manner::Kill => {
                let mut victims = vec![id];
                if self.disturber.dice.f64() < 0.12 {
                    let others = self.slots.iter().filter_map(|slot| slot.process.as_ref());
                    let mut others: Vec<u32> =
                        others.map(|process| process.id).filter(|other| *other != id).collect();
                    self.disturber.dice.shuffle(&mut others);
                    others.truncate(self.disturber.dice.usize(1..=others.len().max(1)));
                    victims.append(&mut others);
                }
                self.kill(&victims);
            }
            Manner::Stop => {
                let until = At::now().after(self.disturber.stand_still());
                // Half of them find that they were let go while they stood.
                let early = waits && self.disturber.dice.bool();
                self.note(At::now(), id, None, What::Stopped);
                self.stops += 1;
                if let Some(process) = self.process(id) {
                    process.stop(Stopped { until, waits: waits && !early });
                    if early {
                        process.order("go");
                    }
                }
            }
        }
    }

    fn kill(&mut self, victims: &[u32]) {
        let mut dying = Vec::new();
        for id in victims {
            if let Some(slot) = self.slot(*id)
                && let Some(mut process) = self.slots[slot].process.take()
            {
                let at = At::now();
                process.kill();
                dying.push((process, at));
                let pause = Duration::from_millis(self.disturber.dice.u64(0..600));
                self.slots[slot].due = at.after(pause);
            }
        }
        for (process, at) in dying {
            let id = process.id;
            self.buried.push(process.bury());
            self.kills += 1;
            self.note(at, id, None, What::Killed { gone: At::now() });
        }
    }

    pub(super) fn go_on(&mut self, slot: usize) {
        let Some(id) = self.slots[slot].process.as_ref().map(|process| process.id) else { return };
        // All that it told before it stood still has come by now.
        self.judge_within_swap(id);
        let now = At::now();
        if let Some(process) = self.process(id) {
            process.go_on();
            self.note(now, id, None, What::Continued);
        }
    }

    /// A process that runs and fits, at random.
    fn pick(&mut self, fits: impl Fn(&Process) -> bool) -> Option<&mut Process> {
        let ids: Vec<u32> = self.running().filter(|p| fits(p)).map(|process| process.id).collect();
        if ids.is_empty() {
            return None;
        }
        let id = ids[self.disturber.dice.usize(..ids.len())];
        self.process(id)
    }
}

/// Whether a process has begun a write at its step, and no answer has come.
fn is_within_swap(entries: &[Entry], process: u32, grant: u32) -> bool {
    let told = entries.iter().rev().filter(|entry| entry.process == process);
    let of_grant = told.filter(|entry| entry.grant == Some(grant));
    let since = of_grant.take_while(|entry| entry.what != What::Reached(Step::WithinSwap));
    let mut answered = Vec::new();
    since.map(|entry| &entry.what).any(|what| match what {
        What::Swapped { stamp, .. } => {
            answered.push(*stamp);
            false
        }
        What::Swap { stamp, .. } => !answered.contains(stamp),
        _ => false,
    })
}

/// Where the file store writes the next record of a grant that has one: it lies beside it.
fn temporary_file(directory: &Path, grant: u32) -> Option<PathBuf> {
    let prefix = format!("{}-", name(grant));
    fs::read_dir(directory).ok()?.find_map(|entry| {
        let path = entry.ok()?.path();
        let file = path.file_name()?.to_str()?;
        (file.starts_with(&prefix) && file.ends_with(".json")).then(|| path.with_extension("tmp"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::SwapEnd;
    use crate::mark::Mark;
    use crate::record::{Record, State, Version};

    #[test]
    fn a_strike_is_within_a_swap_that_has_begun_and_was_not_answered() {
        let reached = || What::Reached(Step::WithinSwap);
        let record = Record { version: Version(1, 0), state: State::Idle, refresh: None };
        let begun = |stamp| {
            let (stamp, digest) = (Mark(stamp), Mark(stamp));
            What::Swap { expect: None, stamp, digest, record }
        };
        let answered = |stamp| What::Swapped { stamp: Mark(stamp), end: SwapEnd::Won };
        let within = |told: Vec<What>| {
            let entry = |what| Entry { at: At(0), process: 7, grant: Some(3), what };
            let mut entries: Vec<Entry> = told.into_iter().map(entry).collect();
            // Those of others are no matter.
            entries.push(Entry { process: 8, ..entry(begun(9)) });
            entries.push(Entry { grant: Some(4), ..entry(begun(9)) });
            is_within_swap(&entries, 7, 3)
        };
        assert!(within(vec![reached(), begun(1)]));
        assert!(!within(vec![reached()]), "it has not begun");
        assert!(!within(vec![reached(), begun(1), answered(1)]), "it was over");
        assert!(!within(vec![begun(1), reached()]), "that was given up before");
        assert!(within(vec![reached(), begun(1), begun(2), answered(2)]), "one of two is not over");
    }
}
