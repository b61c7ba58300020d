//! The command line.

use std::fmt;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// How many further grants the processes share by a lock that ends by itself, as people write it by hand: it must lose some.
pub(crate) const CONTROL: u32 = 16;

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

    /// How many processes are killed at least: the run goes on until each step was met by a kill and by a stop, and all has been
    /// done to the servers that can be.
    #[arg(long, default_value_t = 200)]
    pub(crate) kills: u64,

    /// How many failovers Sentinels make at least.
    #[arg(long, default_value_t = 0)]
    pub(crate) failovers: u64,

    /// How many processes run at a time. Over Redis they belong to four hosts in turn.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=64))]
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
    pub(crate) origin: String,
    #[arg(long, value_enum)]
    pub(crate) store: Store,
    /// Where records are kept: each grant in the place that is its number's, in turn.
    #[arg(long, required = true)]
    pub(crate) place: Vec<String>,
    #[arg(long)]
    pub(crate) grants: u32,
}

/// The stores, by their words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Store {
    /// Files of one directory.
    File,
    /// A server, three servers with Sentinels, and a cluster, each with a third of the grants.
    Redis,
    /// Three times three servers with Sentinels.
    RedisSentinel,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}
