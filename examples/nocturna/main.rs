//! Nocturna, which has two kinds of tokens. A user logs in with a password; the refresh token rotates, goes where the server
//! wants it, into the query, and when it has died the login is made again. A bot has a service token, which lasts for months
//! and gets access tokens for minutes. Somebody puts it into the environment, or an administrator's login makes the next one
//! in time.
//!
//! `cargo run --example nocturna` plays it against a server of the kit. Against yours, as a user, and as a bot in both ways:
//!
//! ```sh
//! NOCTURNA_USERNAME=… NOCTURNA_PASSWORD_FILE=… cargo run --example nocturna -- --url https://host/api --get /me
//! NOCTURNA_SERVICE_TOKEN=… cargo run --example nocturna -- --url https://host/api --get /me --service
//! NOCTURNA_USERNAME=… NOCTURNA_PASSWORD_FILE=… cargo run --example nocturna -- --url https://host/api --get /me --service-tokens DIR
//! ```

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use bytes::Bytes;
use clap::Parser;
use examples::{BoxError, Https, connector, end, say, state_of, time};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use token_core::endpoint::jwt_expires_at;
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::http::{Origins, ReplayBody};
use token_core::{TokenKey, TokenManager, days_left};
use tower::{Layer, Service, ServiceExt};
use tower_token_refresh::{HyperEndpoint, TokenRefresh, TokenRefreshLayer};

mod kit;
mod tiers;

/// Asks Nocturna's API as a user, or as a bot.
///
/// Without --url it starts a server of its own. NOCTURNA_USERNAME and NOCTURNA_PASSWORD, or NOCTURNA_SERVICE_TOKEN, say who
/// asks; each may be in a file of mode 0600 that the variable of that name and _FILE names.
#[derive(Debug, Parser)]
struct Options {
    /// Where the API is, such as https://host/api.
    #[arg(long)]
    url: Option<String>,

    /// What to ask for, behind the URL.
    #[arg(long, default_value = "")]
    get: String,

    /// Ask as a bot, with the service token of NOCTURNA_SERVICE_TOKEN.
    #[arg(long)]
    service: bool,

    /// Ask as a bot whose service tokens are kept in this directory, and are made by NOCTURNA_USERNAME, an administrator.
    #[arg(long, conflicts_with = "service")]
    service_tokens: Option<PathBuf>,
}

/// For a service token that has less whole days left, a new one should be made.
const SOON: i64 = 7;

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.url {
        Some(url) => run(url, &options).await,
        None => kit::play().await,
    };
    end("nocturna", outcome)
}

async fn run(url: &str, options: &Options) -> Result<(), BoxError> {
    let tokens = if let Some(directory) = &options.service_tokens {
        let profiles = tiers::Profiles::shipped(url)?;
        let service = tiers::service(&profiles, directory)?.build()?;
        tiers::access(&profiles, &service)?.build()?
    } else if options.service {
        if let Ok(service_token) = env::var("NOCTURNA_SERVICE_TOKEN") {
            say!("{}", how_long(&service_token));
        }
        tokens(Profile::shipped("nocturna-service")?.with_base_url(url)?)?
    } else {
        tokens(Profile::shipped("nocturna")?.with_base_url(url)?)?
    };
    let mut nocturna = Nocturna::new(tokens, url)?;
    let answer = nocturna.get(&options.get).await?;
    say!("{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
    say!("{}", state_of(&nocturna.tokens.status()));
    Ok(())
}

/// What gets tokens by this profile, and looks after them.
fn tokens(profile: Profile) -> Result<TokenManager, BoxError> {
    let key = TokenKey::new(profile.name())?;
    let endpoint = ProfileEndpoint::new(HyperEndpoint::new(connector()), profile);
    Ok(endpoint.manager().key(key).build()?)
}

/// The API, asked with these tokens.
struct Nocturna {
    url: String,
    client: TokenRefresh<Client<Https, ReplayBody<Empty<Bytes>>>>,
    tokens: TokenManager,
}

impl Nocturna {
    fn new(tokens: TokenManager, url: &str) -> Result<Self, BoxError> {
        let layer = TokenRefreshLayer::new(tokens.clone(), Origins::only(&origin(url)?)?);
        let client = layer.layer(Client::builder(TokioExecutor::new()).build(connector()));
        Ok(Self { url: url.to_owned(), client, tokens })
    }

    async fn get(&mut self, path: &str) -> Result<Response<Bytes>, BoxError> {
        let request = Request::get(format!("{}{path}", self.url)).body(Empty::new())?;
        let (head, body) = self.client.ready().await?.call(request).await?.into_parts();
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}

/// What a bot says of its service token when it starts. The signature is not looked at.
fn how_long(service_token: &str) -> String {
    let Some(end) = jwt_expires_at(service_token) else {
        return "the service token states no end".to_owned();
    };
    let left = days_left(end, SystemTime::now());
    let advice = if left < SOON { ": have a new one made" } else { "" };
    format!("the service token is good until {}, {left} whole days{advice}", time(end))
}

fn origin(url: &str) -> Result<String, BoxError> {
    let whole: Uri = url.parse()?;
    match (whole.scheme(), whole.authority()) {
        (Some(scheme), Some(authority)) => Ok(format!("{scheme}://{authority}")),
        _ => Err(format!("{url} has no scheme or host; write it whole, https://… first").into()),
    }
}
