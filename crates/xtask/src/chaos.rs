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
pub(crate) fn over_files() -> Outcome {
    step("--store file --kills 200")
}

/// Some 80 seconds, with all that can be done to a server, to three with Sentinels, and to a cluster.
pub(crate) fn over_redis() -> Outcome {
    step("--store redis --kills 200")
}

fn step(options: &str) -> Outcome {
    if cfg!(not(unix)) {
        println!("left out: it kills and stops processes by signals, which are Unix's");
        return Ok(());
    }
    run(cargo(RUN).args(options.split(' ')))
}
