//! Thousands of concurrent requests meet an expired token of a rotating authorization server: one refresh happens, and
//! every request succeeds. Then every access token is revoked in mid-flight, and it happens again.
//!
//! `cargo run --release --example stampede -- --help`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;

mod load;
mod occasions;
mod options;
mod report;
mod sockets;
mod target;

use self::load::Tally;
use self::options::Options;
use self::report::Report;
use self::target::Target;

/// How long the tokens of the last part live.
const SHORT_LIFETIME: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options).await {
        Ok(report) => {
            report.print(options.json);
            match report.defect() {
                None => ExitCode::SUCCESS,
                Some(defect) => {
                    eprintln!("stampede: {defect}");
                    ExitCode::FAILURE
                }
            }
        }
        Err(error) => {
            eprintln!("stampede: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<Report, Box<dyn std::error::Error + Send + Sync>> {
    let target = Arc::new(Target::new(options).await?);
    let tally = Arc::new(Tally::default());
    let start = Instant::now();

    let what = if target.has_kit() { "at an expired token" } else { "at the first token" };
    load::requests(&target, &tally, options, what, None).await;
    if target.has_kit() {
        let revoke_at = options.requests / 3;
        load::requests(
            &target,
            &tally,
            options,
            "while every access token is revoked",
            Some(revoke_at),
        )
        .await;
    }
    if options.seconds > 0 {
        target.shorten_lifetime(SHORT_LIFETIME);
        load::sustained(&target, &tally, options).await;
    }
    Ok(Report::new(&target, &tally, start.elapsed()).await)
}
