//! HighLevel: OAuth, with a grant for each location. A person connects a location in the browser; from then on its tokens are
//! refreshed every 20 hours, by however many worker processes share the directory, and a location that fails disturbs no
//! other.
//!
//! `cargo run --example highlevel` plays it against a server of the kit. Against the real one:
//!
//! ```sh
//! GHL_CLIENT_ID=… GHL_CLIENT_SECRET=… cargo run --example highlevel -- --tokens DIR
//! ```
//!
//! and then open <http://127.0.0.1:8000/connect>, and see `/status`.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use examples::{BoxError, end, say};
use token_core::endpoint::profile::Profile;
use tokio::net::TcpListener;

mod connect;
mod kit;
mod locations;
mod web;

use self::connect::Connect;
use self::locations::Locations;

/// Connects HighLevel locations, and keeps their tokens fresh.
///
/// Without --tokens it starts a server of its own. GHL_CLIENT_ID and GHL_CLIENT_SECRET say which app it is.
#[derive(Debug, Parser)]
struct Options {
    /// The directory where the tokens of all locations are kept.
    #[arg(long)]
    tokens: Option<PathBuf>,

    /// Where the browser finds this program.
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,

    /// Where a person chooses a location.
    #[arg(long, default_value = "https://marketplace.gohighlevel.com/oauth/chooselocation")]
    authorize_url: String,

    /// Where the tokens come from.
    #[arg(long, default_value = "https://services.leadconnectorhq.com")]
    url: String,

    /// What the app may do.
    #[arg(long, default_value = "contacts.readonly")]
    scope: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    // What happens to each grant, failures among it, is logged by `token-core` itself.
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let options = Options::parse();
    let outcome = match &options.tokens {
        Some(directory) => run(&options, directory).await,
        None => kit::play().await,
    };
    end("highlevel", outcome)
}

async fn run(options: &Options, directory: &std::path::Path) -> Result<(), BoxError> {
    let profile = Profile::shipped("highlevel")?.with_base_url(&options.url)?;
    let locations = Arc::new(Locations::open(profile.clone(), directory, |tokens| tokens).await?);
    let connect = Connect {
        profile,
        authorize_url: options.authorize_url.clone(),
        token_url: format!("{}/oauth/token", options.url),
        redirect_uri: format!("http://{}/oauth/callback", options.listen),
        scope: options.scope.clone(),
        client_id: variable("GHL_CLIENT_ID")?,
        client_secret: variable("GHL_CLIENT_SECRET")?.into(),
    };
    let listener = TcpListener::bind(options.listen).await?;
    say!("connect a location at http://{}/connect", options.listen);
    let app = web::app(connect, Arc::clone(&locations));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, app).with_graceful_shutdown(stop).await?;
    locations.shutdown().await
}

fn variable(name: &str) -> Result<String, BoxError> {
    env::var(name).map_err(|error| format!("the environment variable {name}: {error}").into())
}
