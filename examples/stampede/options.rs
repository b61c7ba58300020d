use clap::{Parser, ValueEnum};
use examples::{STORES, Store};
use serde::Serialize;

/// Thousands of concurrent requests, one expired token, one refresh.
///
/// Without --token-url and --api-url it starts a server of its own: --rounds of --requests, the first at an expired access token, each
/// other with every access token revoked, then --seconds of load on tokens that live one second.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Processes that send, each with a token manager of its own; more than one need a store that they can share.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) processes: u16,

    /// Rounds of requests; against another server there is one.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: u64,

    /// Requests of each process in each round.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: u64,

    /// Tasks of each process that send requests at the same time, over at most 256 sockets of all processes; in the
    /// sustained part no more tasks than sockets.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) concurrency: u64,

    /// Seconds of sustained load afterwards, over many expiries.
    #[arg(long, default_value_t = 0, conflicts_with = "profile")]
    pub(crate) seconds: u64,

    /// Print one line of JSON instead of the table and the progress.
    #[arg(long)]
    pub(crate) json: bool,

    /// Bytes in the body of each request that is no GET.
    #[arg(long, default_value_t = 1024)]
    pub(crate) body_bytes: usize,

    /// Method of every request. Default: GET and POST in turn against the own server, GET against another.
    #[arg(long)]
    pub(crate) method: Option<http::Method>,

    /// Where the tokens are kept.
    #[arg(long, default_value = "memory", help = format!("Where the tokens are kept: {STORES}"))]
    pub(crate) store: Store,

    /// What attaches and renews the tokens.
    #[arg(long, value_enum, default_value_t = Adapter::Tower)]
    pub(crate) adapter: Adapter,

    /// The token endpoint of another server, to use instead of the own one.
    #[arg(long, group = "server", requires_all = ["client_id", "refresh_token", "api_url"])]
    pub(crate) token_url: Option<String>,

    /// How tokens are had: a file with a profile, or the name of one that comes with token-core. With --api-url of another
    /// server, in place of --token-url; without it the own server speaks as that profile's does.
    #[arg(long, group = "server")]
    pub(crate) profile: Option<String>,

    /// What goes before the paths of the profile.
    #[arg(long, requires_all = ["profile", "api_url"])]
    pub(crate) base_url: Option<String>,

    /// The client's id there.
    #[arg(long, requires = "token_url")]
    pub(crate) client_id: Option<String>,

    /// The client's secret there; without one it is a public client.
    #[arg(long, requires = "token_url")]
    pub(crate) client_secret: Option<String>,

    /// How the client says who it is there.
    #[arg(long, value_enum, default_value_t = ClientAuthentication::Basic)]
    pub(crate) client_auth: ClientAuthentication,

    /// The refresh token to begin with. It is used up: with a server that rotates, get a new one for each run.
    #[arg(long, env = "REFRESH_TOKEN", hide_env_values = true)]
    pub(crate) refresh_token: Option<String>,

    /// The access token to begin with, where the profile presents it.
    #[arg(long, env = "ACCESS_TOKEN", hide_env_values = true)]
    pub(crate) access_token: Option<String>,

    /// The URL that the requests go to.
    #[arg(long, requires = "server")]
    pub(crate) api_url: Option<String>,
}

impl Options {
    /// Whether it is somebody else's server.
    pub(crate) fn is_other(&self) -> bool {
        self.api_url.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Adapter {
    /// The tower layer over hyper's client.
    Tower,
    /// The middleware over reqwest.
    Reqwest,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ClientAuthentication {
    /// By the HTTP Basic scheme.
    Basic,
    /// By fields of the form.
    Post,
}
