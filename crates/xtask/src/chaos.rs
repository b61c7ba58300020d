//! `cargo xtask chaos`: real processes that are killed and stopped (`chaos/`).

use crate::step::{Outcome, cargo, run};

/// Runs it as it was asked to.
pub(crate) fn run_with(options: &[String]) -> Outcome {
    run(cargo("run --release --package chaos --").args(options))
}

/// Some 80 seconds, with each step of a refresh met by a kill and by a stop.
pub(crate) fn kill() -> Outcome {
    step("--store file --kills 200")
}

/// The same checker has to see what a lock that ends by itself loses.
pub(crate) fn lose() -> Outcome {
    step("--store file --kills 60 --protocol ttl-lock")
}

fn step(options: &str) -> Outcome {
    if cfg!(not(unix)) {
        println!("left out: it kills and stops processes by signals, which are Unix's");
        return Ok(());
    }
    run(cargo("run --release --package chaos --").args(options.split(' ')))
}
