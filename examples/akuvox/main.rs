//! A smart-home hub: every answer is an envelope with an `err_code`, failures come with status 200, and the token is in a
//! header of the API's own. Its tokens come from a login by SMS, last seven days, and are refreshed every six, whether
//! anybody asks for one or not. They are kept in a directory, so a restart needs no login.
//!
//! `cargo run --example akuvox` plays it against a server of the kit. Against the cloud:
//!
//! ```sh
//! cargo run --example akuvox -- --tokens DIR login < the-answer-of-the-login.json
//! cargo run --example akuvox -- --tokens DIR run
//! ```

use std::env;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use examples::{BoxError, end, say, state_of};
use token_core::endpoint::profile::Profile;
use token_core::{TokenManager, TokenSet};

mod hub;
mod kit;

use self::hub::Hub;

/// Looks after the tokens of a smart-home hub, and asks it something.
///
/// Without a command it starts a server of its own.
#[derive(Debug, Parser)]
struct Options {
    /// The cloud of your region.
    #[arg(long, default_value = "https://gate.ecloud.akuvox.com:8600")]
    url: String,

    /// The directory where the tokens are kept.
    #[arg(long, default_value = "akuvox-tokens")]
    tokens: PathBuf,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take the tokens of a login's answer, read from stdin.
    Login,
    /// Take the token of AKUVOX_TOKEN, and the refresh token of AKUVOX_REFRESH_TOKEN; without one the old one is kept.
    Update,
    /// Refresh now, whether or not it is due.
    Refresh,
    /// Ask for this path of the API.
    Get { path: String },
    /// Look after the tokens until Ctrl-C.
    Run,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.command {
        Some(command) => run(command, &options).await,
        None => kit::play().await,
    };
    end("akuvox", outcome)
}

async fn run(command: &Command, options: &Options) -> Result<(), BoxError> {
    let profile = Profile::shipped("akuvox")?.with_base_url(&options.url)?;
    let tokens = hub::manager(&profile, &options.tokens)?;
    let tokens = match command {
        Command::Run => tokens,
        // Nothing goes on behind a command.
        _ => tokens.one_shot(),
    };
    let tokens = tokens.build()?;
    match command {
        Command::Login => {
            let mut answer = Vec::new();
            std::io::stdin().read_to_end(&mut answer)?;
            login(&tokens, profile.read(&answer)?).await?;
        }
        Command::Update => {
            let token = env::var("AKUVOX_TOKEN").map_err(|_| "put the token into AKUVOX_TOKEN")?;
            let mut new = TokenSet::new(token);
            if let Ok(refresh_token) = env::var("AKUVOX_REFRESH_TOKEN") {
                new = new.with_refresh_token(refresh_token);
            }
            tokens.update(new).await?;
        }
        Command::Refresh => drop(tokens.refresh_now().await?),
        Command::Get { path } => {
            let mut hub = Hub::new(&profile, &options.url, tokens.clone())?;
            say!("{:#}", hub.get(path).await?);
        }
        Command::Run => look_after(&tokens).await?,
    }
    say!("{}", state_of(&tokens.status()));
    Ok(())
}

/// Takes over what a login brought.
async fn login(tokens: &TokenManager, first: TokenSet) -> Result<(), BoxError> {
    match first.refresh_token() {
        Some(_) => say!("the login brought a token and a refresh token"),
        None => {
            say!("the login brought no refresh token: its token cannot be replaced when it ends")
        }
    }
    Ok(tokens.login(first).await?)
}

/// What happens to the tokens is logged by `token-core` itself.
async fn look_after(tokens: &TokenManager) -> Result<(), BoxError> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    tokens.ready().await?;
    say!("{}", state_of(&tokens.status()));
    tokio::signal::ctrl_c().await?;
    say!("{:?}", tokens.shutdown(Duration::from_secs(30)).await);
    Ok(())
}
