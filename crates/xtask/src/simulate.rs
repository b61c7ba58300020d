//! `cargo xtask simulate`: the seeded simulator of the refresh protocol, for more seeds than `cargo xtask test` takes.

use crate::step::{Outcome, cargo, run};

const TEST: &str = "protocol::simulator::tests::no_seed_loses_anything_that_could_be_kept";

/// Runs these many seeds, or one.
pub(crate) fn run_seeds(seeds: u64, seed: Option<u64>) -> Outcome {
    let line = format!("test --release -p token-core --lib -- --exact {TEST} --nocapture");
    let mut command = cargo(&line);
    match seed {
        Some(seed) => command.env("SIMULATOR_SEED", seed.to_string()),
        None => command.env("SIMULATOR_SEEDS", seeds.to_string()),
    };
    run(&mut command)
}
