//! Kills and stops real processes that share a store, and checks all that they did: `cargo xtask chaos`. See the README.

#[cfg(unix)]
mod check;
#[cfg(unix)]
mod history;
#[cfg(unix)]
mod mark;
#[cfg(unix)]
mod options;
#[cfg(unix)]
mod record;
#[cfg(unix)]
mod replica;
#[cfg(unix)]
mod report;
#[cfg(unix)]
mod request;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod server_fault;
#[cfg(unix)]
mod step;
#[cfg(unix)]
mod stores;
#[cfg(unix)]
mod time;

use std::process::ExitCode;

#[cfg(unix)]
fn main() -> ExitCode {
    use clap::Parser;
    use options::{Options, Role};

    let options = Options::parse();
    let outcome = match &options.role {
        Some(Role::Replica(replica)) => replica::run(replica),
        None => whole_run(&options.run),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(unix)]
fn whole_run(options: &options::Run) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// Of a kind that comes a hundred times, a few stories are enough.
    const STORIES: usize = 5;

    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    // Beside the program, below the target folder: on a disk, where a write takes its time.
    let folder = format!("chaos-{}", std::process::id());
    let directory = std::env::current_exe()?.with_file_name(folder);
    let outcome = run::run(options, seed, &directory)?;
    let (ours, control) = (outcome.part(options.grants, false), outcome.part(options.grants, true));
    let outcome = ours;
    let findings = check::check(&outcome, true);
    let control = check::check(&control, false);
    report::print(options, seed, &outcome, &findings, &control);
    let Some(failure) = report::failure(&findings, &control) else {
        std::fs::remove_dir_all(&directory)?;
        return Ok(());
    };
    let told = |violation| check::story::tell(violation, &outcome);
    for violation in findings.violations.iter().take(STORIES) {
        eprintln!("\n{}", told(violation));
    }
    // No run is like another: what is not kept is lost.
    let stories: Vec<String> = findings.violations.iter().take(20 * STORIES).map(told).collect();
    std::fs::write(directory.join("violations.txt"), stories.join("\n"))?;
    let kept = directory.display();
    Err(format!(
        "{failure}; `--seed {seed}` disturbs in the same way, and the stories are in {kept}"
    )
    .into())
}

#[cfg(not(unix))]
fn main() -> ExitCode {
    eprintln!("error: this kills and stops processes by signals, so it needs a Unix.");
    ExitCode::FAILURE
}
