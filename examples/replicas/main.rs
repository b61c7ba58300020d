//! Replicas of a service share one login, whose refresh token can be used once: they join, leave, and are killed, one of
//! them in the middle of a refresh. Each line is something that happened, and at the end is what came of it.
//!
//! `cargo run --release --example replicas`

use std::process::ExitCode;

use examples::Parent;

mod cast;
mod outcome;
mod service;
mod story;
mod words;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

// One thread, so that a manager reports nothing before somebody listens.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match Parent::of_this_process() {
        Some(parent) => service::serve(parent).await,
        None => story::play().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("replicas: {error}");
            ExitCode::FAILURE
        }
    }
}
