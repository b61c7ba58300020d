//! Nocturna, which has two kinds of tokens. A user logs in with a password; the refresh token rotates, goes where the server
//! wants it, into the query, and when it has died the login is made again. A bot has a service token, which lasts for months
//! and gets access tokens for minutes.
//!
//! `cargo run --example nocturna` plays it against a server of the kit. Against yours, as a user and as a bot:
//!
//! ```sh
//! NOCTURNA_USERNAME=… NOCTURNA_PASSWORD_FILE=… cargo run --example nocturna -- --url https://host/api --get /me
//! NOCTURNA_SERVICE_TOKEN=… cargo run --example nocturna -- --url https://host/api --get /me --service
//! ```

use std::env;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

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
use token_core::{TokenKey, TokenManager};
use tower::{Layer, Service, ServiceExt};
use tower_token_refresh::{HyperEndpoint, TokenRefresh, TokenRefreshLayer};

mod kit;

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

    /// Ask as a bot, with a service token.
    #[arg(long)]
    service: bool,
}

/// For a service token that ends sooner a new one should be made.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

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
    let name = if options.service { "nocturna-service" } else { "nocturna" };
    if let Ok(service_token) = env::var("NOCTURNA_SERVICE_TOKEN")
        && options.service
    {
        say!("{}", how_long(&service_token));
    }
    let mut nocturna = Nocturna::new(Profile::shipped(name)?.with_base_url(url)?, url)?;
    let answer = nocturna.get(&options.get).await?;
    say!("{}: {}", answer.status(), String::from_utf8_lossy(answer.body()));
    say!("{}", state_of(&nocturna.tokens.status()));
    Ok(())
}

/// The API, asked with the tokens of one of the profiles.
struct Nocturna {
    url: String,
    client: TokenRefresh<Client<Https, ReplayBody<Empty<Bytes>>>>,
    tokens: TokenManager,
}

impl Nocturna {
    fn new(profile: Profile, url: &str) -> Result<Self, BoxError> {
        let key = TokenKey::new(profile.name())?;
        let endpoint = ProfileEndpoint::new(HyperEndpoint::new(connector()), profile);
        let tokens = endpoint.manager().key(key).build()?;
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
        return "the service token is for ever".to_owned();
    };
    let left = end.duration_since(SystemTime::now()).unwrap_or_default();
    let advice = if left < SOON { ": have a new one made" } else { "" };
    format!(
        "the service token is good until {}, {} days{advice}",
        time(end),
        left.as_secs() / 86_400
    )
}

fn origin(url: &str) -> Result<String, BoxError> {
    let whole: Uri = url.parse()?;
    match (whole.scheme(), whole.authority()) {
        (Some(scheme), Some(authority)) => Ok(format!("{scheme}://{authority}")),
        _ => Err(format!("{url} has no scheme or host; write it whole, https://… first").into()),
    }
}
