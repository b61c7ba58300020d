//! Long random runs of the pure protocol in virtual time: two to five processes, a store, an authorization server, and
//! what goes wrong between them. The [explorer](super::explorer) takes every order of a few steps; this takes some orders of
//! many.
//!
//! A seed draws a [`Scenario`], and then one [`Step`] after the other: what falls due happens as it should (`world.rs`), and
//! a step is what the world does beside that. So the steps are the whole run, any part of them is a run too, and a run that
//! breaks a rule is shrunk by leaving steps out. After each step the rules of `checks.rs` and `losses.rs` are checked; in the
//! end all is well again, and everybody has to have a token or the reason why there is none. `coverage.rs` lists what has to
//! be reached, and what cannot be. The shells around the protocol are those of `manager/flight.rs`, `driver.rs` and
//! `change.rs`, with every await a point where anything may come between.
//!
//! ```sh
//! cargo xtask simulate --seeds 1000000
//! cargo xtask simulate --seed 42          # or SIMULATOR_SEED=42 cargo test -p token-core simulator
//! ```
//!
//! # What is assumed
//!
//! - The store is one linearizable register. Where it falls back, it does so to a state that is not older than the last one
//!   that it called durable, and its history changes; where it may lose everything, it may also lose what was durable.
//! - A request is over 10 s (the drain) after its sender has died, was cut short or has given up; it gives up after 10 s,
//!   though it notices that only when it is not paused. The network does not duplicate requests.
//! - A request that is sent into a grace window arrives within a second.
//! - Monotonic clocks differ by 5 % from true time at most; wall clocks are set wrong and jump.
//! - No process is paused between its last look at the clock and the write of its request. One test does that, and loses.
//! - The store says that a holder is dead only if it is.
//! - What the protocol is known not to survive yet is kept out where `world.rs` says "To be fixed": updates by hand with a
//!   store that falls back, and new logins with one that has lost everything.
//!
//! # What is a loss, and what is not
//!
//! A login that is revoked by reuse is an avoidable loss if a process had the live token, or the store. It is window P if
//! that process was paused, or failed by the store, until the others had waited long enough; window F if the store lost the
//! token and whoever knew it was kept from bringing it back; window W if the answer was lost before anybody stored it.
//!
//! # What is not modelled
//!
//! Grants that spend nothing (but for the login that a grant falls back to), expiring refresh tokens, records that cannot be read, two grants in one store, callers that
//! go away, and managers without a driver. A network that duplicates or reorders is that of the answers and hints only.

#![expect(clippy::large_enum_variant, reason = "there is one of each for a process")]

mod change;
mod checks;
mod choose;
mod clock;
mod coverage;
mod driver;
mod flight;
mod losses;
mod network;
mod operation;
mod process;
mod reached;
mod scenario;
mod server;
mod shrink;
mod step;
mod store;
mod tests;
mod trace;
mod world;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use self::checks::Broken;
use self::clock::SECOND;
use self::reached::Reached;
use self::scenario::Scenario;
use self::step::{Ask, Step};
use self::world::World;

/// The fewest steps of a run.
const STEPS: u64 = 600;

/// A run, as it can be repeated.
#[derive(Clone, Debug)]
struct Run {
    scenario: Scenario,
    steps: Vec<Step>,
}

/// A run that broke a rule.
#[derive(Clone, Debug)]
struct Failure {
    seed: u64,
    broken: Broken,
    run: Run,
}

/// After as many failures it is over.
const ENOUGH: usize = 20;

/// So often it is said how far the runs are.
const PROGRESS: Duration = Duration::from_secs(5);

/// Makes the runs of these many seeds, from 0 on, on all cores. The failures are in the order of their seeds.
fn run_seeds(seeds: u64) -> (Reached, Vec<Failure>) {
    let (next, all) = (AtomicU64::new(0), Mutex::new((Reached::default(), Vec::new())));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let part = |_at_work: mpsc::Sender<()>| {
        let mut reached = Reached::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds || all.lock().unwrap().1.len() >= ENOUGH {
                all.lock().unwrap().0.add(&reached);
                return;
            }
            match run_seed(seed) {
                Ok(more) => reached.add(&more),
                Err(failure) => all.lock().unwrap().1.push(*failure),
            }
        }
    };
    let start = Instant::now();
    println!("seeds 0 to {}, on {threads} threads", seeds - 1);
    std::thread::scope(|scope| {
        // Nothing is sent: it is over when nobody could send any more.
        let (at_work, over) = mpsc::channel();
        for _ in 0..threads {
            let at_work = at_work.clone();
            scope.spawn(|| part(at_work));
        }
        drop(at_work);
        while over.recv_timeout(PROGRESS) == Err(mpsc::RecvTimeoutError::Timeout) {
            let (begun, broken) = (next.load(Ordering::Relaxed), all.lock().unwrap().1.len());
            println!("{:6.0} s: seed {begun}, {broken} broken", start.elapsed().as_secs_f64());
        }
    });
    let (reached, mut failures) = all.into_inner().unwrap();
    failures.sort_by_key(|failure| failure.seed);
    (reached, failures)
}

/// Makes the run of one seed.
fn run_seed(seed: u64) -> Result<Reached, Box<Failure>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let scenario = Scenario::draw(&mut rng);
    run_scenario(seed, scenario, &mut rng)
}

fn run_scenario(
    seed: u64,
    scenario: Scenario,
    rng: &mut fastrand::Rng,
) -> Result<Reached, Box<Failure>> {
    let mut world = World::new(&scenario, false);
    let mut steps = Vec::new();
    while (world.reached.steps < STEPS || world.reached.faults.is_empty()) && world.broken.is_none()
    {
        let step = choose::next(rng, &world);
        if world.take(step) {
            steps.push(step);
        }
    }
    finish(&mut world);
    match world.broken {
        None => Ok(Reached { runs: 1, ..world.reached }),
        Some(broken) => Err(Box::new(Failure { seed, broken, run: Run { scenario, steps } })),
    }
}

impl Run {
    fn again(&self, traced: bool) -> World {
        let mut world = World::new(&self.scenario, traced);
        for step in &self.steps {
            world.take(*step);
        }
        finish(&mut world);
        world
    }
}

/// All is well again: after some time everybody has a token, or the reason why there is none.
fn finish(world: &mut World) {
    world.note(|_| "all is well again".to_owned());
    for process in &mut world.processes {
        process.paused_until = process.paused_until.min(world.now);
    }
    let spread = u64::try_from(world.ahead - world.behind).unwrap_or_default();
    let bound = 2 * (world.scenario.lifetime + spread) + 600 * SECOND;
    for n in 0..world.processes.len() {
        let mut waited = 0;
        while !world.is_served(n) && world.broken.is_none() {
            if waited > bound {
                return world.fail(Broken::NoToken, || format!("p{n}"));
            }
            // One that the server has revoked meanwhile is refused.
            let ask = if world.is_satisfied(n) { Ask::Refused } else { Ask::Hand };
            world.ask(n, ask);
            let time = if waited < 10 * SECOND { SECOND / 10 } else { 5 * SECOND };
            world.advance(time);
            waited += time;
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, broken, run } = self;
        let shrunk = run.clone().shrunk(*broken);
        writeln!(f, "seed {seed} breaks a rule: {broken:?}. Again, with SIMULATOR_SEED={seed}.")?;
        writeln!(f, "Shrunk from {} steps to {}:", run.steps.len(), shrunk.steps.len())?;
        let Scenario { hosts, moods: _, rule, rotation, grace, lifetime, .. } = &shrunk.scenario;
        let Scenario { tells_dead_holder, may_regress, may_empty, begun, .. } = shrunk.scenario;
        for host in hosts {
            writeln!(f, "{host:?}")?;
        }
        writeln!(f, "{rule:?}, {rotation:?}, grace {grace:?}, lifetime {} s", lifetime / SECOND)?;
        writeln!(
            f,
            "store: tells dead holder {tells_dead_holder}, may regress {may_regress}, may empty {may_empty}, begun {begun}"
        )?;
        for step in &shrunk.steps {
            writeln!(f, "{step:?}")?;
        }
        let mut trace = shrunk.again(true).trace.unwrap_or_default();
        // Where all is well again and nobody is served, it goes on for long.
        trace.truncate(200);
        for line in trace {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}
