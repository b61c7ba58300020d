//! A token middleware as people write it by hand, beside ours: both in the same trouble, and what came of it. Fails if ours
//! is not as promised.
//!
//! `cargo run --release --example by_hand -- --help`

use std::process::ExitCode;

use clap::Parser;
use examples::{BoxError, Parent, end};

mod by_hand;
mod contender;
mod load;
mod process;
mod report;
mod scenario;
mod scenes;
mod world;

use self::contender::Contender;
use self::scenario::Scenario;

/// A token middleware as people write it by hand, beside ours, in the same trouble.
///
/// Each scenario has a server of its own, which rotates and detects reuse, and each of the two a directory for its tokens.
#[derive(Debug, Parser)]
struct Options {
    /// Print a line of JSON for each scenario instead of the table.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let parent = Parent::of_this_process();
    let options = Options::parse();
    let outcome = match parent {
        Some(parent) => process::serve(parent).await,
        None => compare(options.json).await,
    };
    end("by_hand", outcome)
}

async fn compare(json: bool) -> Result<(), BoxError> {
    let mut broken = Vec::new();
    report::head(json)?;
    for scenario in Scenario::ALL {
        let by_hand = scenario.play(Contender::ByHand { always_refresh: false }).await?;
        let ours = scenario.play(Contender::Ours).await?;
        report::row(scenario, &by_hand, &ours, json)?;
        if let Some(defect) = scenario.promise().broken_by(&ours) {
            broken.push(format!("{}: {defect}", scenario.name()));
        }
    }
    report::foot(json)?;
    if broken.is_empty() {
        return Ok(());
    }
    Err(format!("ours is not as promised: {}.", broken.join("; ")).into())
}
