//! The command line.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use token_core::store::StoreError;
use token_store_file::FileStore;

/// Kills and stops processes that share a store, and checks all that they did.
#[derive(Debug, Parser)]
#[command(name = "chaos", args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) run: Run,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// One of the processes: the run starts them itself.
    #[command(hide = true)]
    Replica(Replica),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Run {
    /// Where the processes keep their tokens.
    #[arg(long, value_enum, default_value_t = Store::File)]
    pub(crate) store: Store,

    /// How the processes agree who refreshes.
    #[arg(long, value_enum, default_value_t = Protocol::Intent)]
    pub(crate) protocol: Protocol,

    /// How many processes are killed at least: the run goes on until each step was met by a kill and by a stop.
    #[arg(long, default_value_t = 200)]
    pub(crate) kills: u64,

    /// How many processes run at a time.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(2..=64))]
    pub(crate) processes: u32,

    /// How many grants they share.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) grants: u32,

    /// The seed of what is done to whom and when. The processes' own races it cannot repeat. Default: a random one.
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Print the result as one line of JSON on standard output; progress goes to standard error.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Replica {
    #[arg(long)]
    pub(crate) id: u32,
    #[arg(long)]
    pub(crate) directory: PathBuf,
    #[arg(long)]
    pub(crate) origin: String,
    #[arg(long, value_enum)]
    pub(crate) store: Store,
    #[arg(long, value_enum)]
    pub(crate) protocol: Protocol,
    #[arg(long)]
    pub(crate) grants: u32,
}

/// The stores, by their words. This is the one place that knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// Files of one directory.
    File,
}

impl Store {
    pub(crate) fn open(self, directory: &Path) -> Result<FileStore, StoreError> {
        match self {
            Self::File => FileStore::open(directory),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Token-core's: an intent, a fence by generation, a quarantine.
    Intent,
    /// What people write by hand: a lock that ends by itself, and tokens that are written blindly. It must lose grants.
    TtlLock,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word(self, f)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        word(self, f)
    }
}

fn word(value: &impl ValueEnum, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(value.to_possible_value().as_ref().map_or("", |value| value.get_name()))
}
