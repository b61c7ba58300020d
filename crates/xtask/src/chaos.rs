//! `cargo xtask chaos`: real processes that are killed and stopped (`chaos/`).

use std::process::ExitCode;

use crate::step::{Outcome, cargo, run, status};

const RUN: &str = "run --release --package chaos --";

/// Runs it as it was asked to. It says itself what went wrong, so its status is passed on: 2 for wrong options.
pub(crate) fn run_with(options: &[String]) -> Outcome<ExitCode> {
    let status = status(cargo(RUN).args(options))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Some 80 seconds, with each step of a refresh met by a kill and by a stop.
pub(crate) fn kill() -> Outcome {
    step("--store file --kills 200")
}

/// The same checker has to see what a lock that ends by itself loses. It mostly does so within 60 kills, some 25 seconds;
/// when and whom they meet is chance, so a run without a loss is made longer before it counts.
pub(crate) fn lose() -> Outcome {
    let options = |kills: u32| format!("--store file --kills {kills} --protocol ttl-lock");
    step(&options(60)).or_else(|_| step(&options(150))).or_else(|_| step(&options(300)))
}

fn step(options: &str) -> Outcome {
    if cfg!(not(unix)) {
        println!("left out: it kills and stops processes by signals, which are Unix's");
        return Ok(());
    }
    run(cargo(RUN).args(options.split(' ')))
}
