//! The project's commands. What CI runs is what a contributor runs: `cargo xtask ci`.

mod chaos;
mod ci;
mod dependencies;
mod ignored;
mod kit;
mod model;
mod node;
mod simulate;
mod step;
mod test;
mod tools;

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "The project's commands")]
enum Task {
    /// Run unit, integration and doc tests and the examples; installs the system tools and npm packages they need
    Test,
    /// Check the Spin model of the refresh protocol, with and without each of its rules; installs spin
    Model,
    /// Kill and stop processes that share a store, and check what they did; the options are those of the program `chaos`
    #[command(disable_help_flag = true)]
    Chaos {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Run the simulator of the refresh protocol for many seeds, in release mode
    Simulate {
        /// How many seeds, from 0 on
        #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
        seeds: u64,
        /// Only this one, with all its steps if it breaks a rule
        #[arg(long, conflicts_with = "seeds")]
        seed: Option<u64>,
    },
    /// Check format, clippy, docs, ignored tests, cargo-deny and dependency promises, then run `test`
    Ci,
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let outcome = match Task::parse() {
        Task::Test => step::run_all(&[test::STEPS]).map(done),
        Task::Model => model::check_all().map(done),
        Task::Chaos { options } => chaos::run_with(&options),
        Task::Simulate { seeds, seed } => simulate::run_seeds(seeds, seed).map(done),
        Task::Ci => step::run_all(&[ci::STEPS, test::STEPS]).map(done),
    };
    match outcome {
        Ok(code) => code,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}
