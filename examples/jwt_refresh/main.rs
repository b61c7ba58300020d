//! A backend that takes the expired JWT itself for the next one: no refresh token, no new login, and a JWT that may be
//! presented again. Whoever logged in once stays in for as long as the backend lets them.
//!
//! `cargo run --example jwt_refresh` plays it against a server of the kit. Against yours:
//!
//! ```sh
//! JWT_TOKEN=eyJ… cargo run --example jwt_refresh -- --url http://127.0.0.1:8000 --get /api/me --tokens DIR
//! ```

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use examples::{BoxError, end, say, state_of};
use http::StatusCode;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_token_refresh::{ReqwestEndpoint, TokenRefreshMiddleware};
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::http::Origins;
use token_core::{TokenKey, TokenManager, TokenSet};
use token_store_file::FileStore;

mod kit;

/// Asks an API with a JWT, which is refreshed by itself.
///
/// Without --url it starts a server of its own. JWT_TOKEN is the JWT of a login, ended or not; it is needed once.
#[derive(Debug, Parser)]
struct Options {
    /// Where the backend is.
    #[arg(long)]
    url: Option<String>,

    /// The path to ask for.
    #[arg(long, default_value = "/api")]
    get: String,

    /// The directory where the newest JWT is kept.
    #[arg(long, default_value = "jwt-tokens")]
    tokens: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match &options.url {
        Some(url) => run(url, &options).await,
        None => kit::play().await,
    };
    end("jwt_refresh", outcome)
}

async fn run(url: &str, options: &Options) -> Result<(), BoxError> {
    let first = env::var("JWT_TOKEN").ok();
    let (client, tokens) = api_client(url, &options.tokens, first.map(TokenSet::new))?;
    say!("{}", get(&client, &tokens, format!("{url}{}", options.get)).await?);
    say!("{}", state_of(&tokens.status()));
    say!("{:?}", tokens.shutdown(Duration::from_secs(30)).await);
    Ok(())
}

/// What the API answers. Its refusal does not say why there is no newer token; the status of the grant does.
async fn get(
    client: &ClientWithMiddleware,
    tokens: &TokenManager,
    url: String,
) -> Result<String, BoxError> {
    let answer = client.get(url).send().await?;
    let (refusal, status) = (answer.status(), tokens.status());
    if refusal == StatusCode::UNAUTHORIZED
        && let Some(why) = status.last_error()
    {
        return Err(format!("the API answers {refusal}: {why}").into());
    }
    Ok(answer.error_for_status()?.text().await?)
}

/// A client whose requests have the newest JWT, and what looks after it.
fn api_client(
    url: &str,
    directory: &Path,
    first: Option<TokenSet>,
) -> Result<(ClientWithMiddleware, TokenManager), BoxError> {
    let profile = Profile::shipped("jwt-refresh")?.with_base_url(url)?;
    let endpoint = ReqwestEndpoint::new(reqwest::Client::builder())?;
    let tokens = ProfileEndpoint::new(endpoint, profile)
        .manager()
        .key(TokenKey::new("jwt-refresh")?)
        .store(FileStore::open(directory)?);
    let tokens = match first {
        Some(first) => tokens.seed(first).build()?,
        None => tokens.build()?,
    };
    let middleware = TokenRefreshMiddleware::new(tokens.clone(), Origins::only(url)?);
    let client = ClientBuilder::new(reqwest::Client::new()).with(middleware).build();
    Ok((client, tokens))
}
