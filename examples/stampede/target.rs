//! What the requests go to, and the client that sends them.

use std::time::Duration;

use examples::{BoxError, connector, told_whole};
use http::Method;
use reqwest_token_refresh::ReqwestEndpoint;
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::http::Origins;
use token_core::{TokenKey, TokenManager, TokenSet};
use token_store_file::FileStore;
use token_testkit::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
use tower_token_refresh::HyperEndpoint;

use crate::adapter::StampedeClient;
use crate::kit::Login;
use crate::occasions::{Log, Watched};
use crate::options::{Adapter, ClientAuthentication, Options, Store};
use crate::sockets::share;

pub(crate) struct Target {
    pub(crate) client: StampedeClient,
    pub(crate) url: http::Uri,
    pub(crate) log: Log,
    /// Whether the API says what it received, as the kit's does.
    pub(crate) echoes: bool,
    method: Option<Method>,
}

impl Target {
    /// The kit's server if there is a login of it, else the one that the options name.
    pub(crate) async fn new(options: &Options, login: Option<&Login>) -> Result<Self, BoxError> {
        match (login, &options.token_url) {
            (Some(login), _) => Self::kit(options, login),
            (None, Some(token_url)) => Self::other(options, token_url).await,
            (None, None) => Err("there is no server".into()),
        }
    }

    fn kit(options: &Options, login: &Login) -> Result<Self, BoxError> {
        let seed = TokenSet::new(login.access_token.as_str())
            .with_refresh_token(login.refresh_token.as_str())
            .with_expires_at(login.expires_at);
        let auth = ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
        let log = Log::default();
        let (_, client) = client(options, &login.token_url, auth, seed, &login.origin, &log)?;
        let url = login.api_url.parse()?;
        Ok(Self { client, url, log, echoes: true, method: options.method.clone() })
    }

    /// Somebody else's server, asked for its first token before the load begins.
    async fn other(options: &Options, token_url: &str) -> Result<Self, BoxError> {
        // clap sees to it that they are there.
        let text = |option: &Option<String>| option.clone().unwrap_or_default();
        let id = text(&options.client_id);
        let auth = match (&options.client_secret, options.client_auth) {
            (None, _) => ClientAuth::none(id),
            (Some(secret), ClientAuthentication::Basic) => ClientAuth::basic(id, secret.as_str()),
            (Some(secret), ClientAuthentication::Post) => ClientAuth::form(id, secret.as_str()),
        };
        let api_url = text(&options.api_url);
        let url: http::Uri = api_url.parse().map_err(|_| {
            format!(
                "--api-url {api_url} is not a URL; give one such as https://api.example.com/v1/me"
            )
        })?;
        let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) else {
            return Err(format!(
                "--api-url {api_url} has no scheme or host; write it whole, https://… first"
            )
            .into());
        };
        let origin = format!("{scheme}://{authority}");
        let seed = TokenSet::from_refresh_token(text(&options.refresh_token));
        let log = Log::default();
        let (tokens, client) = client(options, token_url, auth, seed, &origin, &log)?;
        tokens.ready().await.map_err(|error| {
            let why = error.refresh_error().map_or(error.to_string(), |cause| told_whole(cause));
            format!(
                "no first token from {token_url}: {why}. See that the server runs, and check --token-url, the client's id, \
                 secret and --client-auth, and that the refresh token was not used before."
            )
        })?;
        let method = Some(options.method.clone().unwrap_or(Method::GET));
        Ok(Self { client, url, log, echoes: false, method })
    }

    /// GET and POST in turn, unless one was asked for.
    pub(crate) fn method(&self, number: u64) -> Method {
        self.method.clone().unwrap_or(if number.is_multiple_of(2) {
            Method::GET
        } else {
            Method::POST
        })
    }
}

fn client(
    options: &Options,
    token_url: &str,
    auth: ClientAuth,
    seed: TokenSet,
    origin: &str,
    log: &Log,
) -> Result<(TokenManager, StampedeClient), BoxError> {
    let origins = Origins::only(origin)?;
    let sockets = share(options.processes);
    match options.adapter {
        Adapter::Tower => {
            let tokens =
                manager(options, HyperEndpoint::new(connector()), token_url, auth, seed, log)?;
            Ok((tokens.clone(), StampedeClient::tower(tokens, origins, sockets)))
        }
        Adapter::Reqwest => {
            let endpoint = ReqwestEndpoint::new(reqwest::Client::builder())?;
            let tokens = manager(options, endpoint, token_url, auth, seed, log)?;
            Ok((tokens.clone(), StampedeClient::reqwest(tokens, origins, sockets)?))
        }
    }
}

fn manager(
    options: &Options,
    endpoint: impl HttpEndpoint,
    token_url: &str,
    auth: ClientAuth,
    seed: TokenSet,
    log: &Log,
) -> Result<TokenManager, BoxError> {
    let endpoint = Watched { endpoint, log: log.clone() };
    let endpoint = TokenEndpoint::refresh_token(endpoint, token_url, auth);
    let builder = TokenManager::builder(endpoint)
        .key(TokenKey::new("stampede")?)
        .seed(seed)
        // The tokens are revoked on purpose, faster than a manager would put up with.
        .refusals(u32::MAX, Duration::MAX);
    Ok(match &options.store {
        Store::Memory => builder.build()?,
        Store::File(directory) => builder.store(FileStore::open(directory)?).build()?,
    })
}
