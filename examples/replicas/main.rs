//! Replicas of a service share one login, whose refresh token can be used once: they join, leave, and are killed, one of
//! them in the middle of a refresh. Each line is something that happened, and at the end is what came of it.
//!
//! `cargo run --release --example replicas -- --help`

use std::process::ExitCode;

use clap::Parser;
use examples::{Parent, STORES, Store, end};

mod cast;
mod outcome;
mod service;
mod story;
mod words;

/// Replicas of a service share one login, and join, leave and are killed, some of them while they refresh.
///
/// It starts a server of its own, which rotates and detects reuse.
#[derive(Debug, Parser)]
struct Options {
    /// Print one line of JSON instead of the story and the table.
    #[arg(long)]
    json: bool,

    /// Where the tokens are kept.
    #[arg(long, help = format!("Where the tokens are kept, by default in a temporary directory: {STORES}"))]
    store: Option<Store>,
}

// One thread, so that a manager reports nothing before somebody listens.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let parent = Parent::of_this_process();
    let options = Options::parse();
    let outcome = match parent {
        Some(parent) => service::serve(parent).await,
        None => story::play(options.json, options.store).await,
    };
    end("replicas", outcome)
}
