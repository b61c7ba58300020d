//! Thousands of concurrent requests meet an expired token of a rotating authorization server: one refresh happens, and
//! every request succeeds. Then every access token is revoked, and it happens again. `--processes` does it with several
//! processes that share the tokens.
//!
//! `cargo run --release --example stampede -- --help`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use examples::{BoxError, Parent, end};

mod adapter;
mod figures;
mod kit;
mod load;
mod occasions;
mod options;
mod profile;
mod report;
mod senders;
mod sockets;
mod target;

use self::kit::Kit;
use self::options::Options;
use self::report::Report;
use self::senders::Senders;

#[tokio::main]
async fn main() -> ExitCode {
    let parent = Parent::of_this_process();
    let options = Options::parse();
    let outcome = match parent {
        Some(parent) => senders::serve(parent, &options).await,
        None => run(&options).await,
    };
    end("stampede", outcome)
}

async fn run(options: &Options) -> Result<(), BoxError> {
    let (kit, login) = if options.is_other() {
        (None, None)
    } else {
        let (kit, login) = Kit::start(options.profile.as_deref()).await?;
        (Some(Arc::new(kit)), Some(login))
    };
    let mut senders = Senders::start(options, login.as_ref()).await?;
    let start = Instant::now();

    let what = if kit.is_some() { "at an expired token" } else { "at the first token" };
    let mut figures = senders.round(options, what).await?;
    if let Some(kit) = &kit {
        for _ in 1..options.rounds {
            figures += senders.revoked_round(options, kit).await?;
        }
    }
    if options.seconds > 0 {
        if let Some(kit) = &kit {
            kit.shorten_lifetime();
        }
        figures += senders.sustained(options).await?;
    }
    let elapsed = start.elapsed();
    senders.dismiss().await?;

    let report = Report::new(options, figures, kit.as_deref(), elapsed);
    let printed = report.print(options.json);
    if let Some(defect) = report.defect() {
        return Err(defect.into());
    }
    Ok(printed?)
}
