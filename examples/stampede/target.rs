//! What the requests go to, and the client that sends them.

use std::time::Duration;

use examples::{BoxError, connector, told_whole};
use http::Method;
use reqwest_token_refresh::ReqwestEndpoint;
use token_core::endpoint::profile::{Profile, ProfileEndpoint, RefusedToken};
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::http::Origins;
use token_core::{TokenKey, TokenManager, TokenSet};
use token_testkit::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
use tower_token_refresh::HyperEndpoint;

use crate::adapter::StampedeClient;
use crate::kit::Login;
use crate::occasions::{Log, Watched};
use crate::options::{Adapter, ClientAuthentication, Options};
use crate::profile;
use crate::sockets::share;

pub(crate) struct Target {
    pub(crate) client: StampedeClient,
    pub(crate) url: http::Uri,
    pub(crate) log: Log,
    /// Whether the API says what it received, as the kit's does.
    pub(crate) echoes: bool,
    /// What a refusal looks like beside a 401.
    pub(crate) refused: Option<RefusedToken>,
    method: Option<Method>,
}

/// How tokens are had.
#[derive(Clone)]
enum Grants {
    OAuth { token_url: String, auth: ClientAuth },
    Profile(Profile),
}

impl Grants {
    fn refused(&self) -> Option<RefusedToken> {
        match self {
            Self::OAuth { .. } => None,
            Self::Profile(profile) => Some(profile.refused_token()),
        }
    }
}

impl Target {
    /// The kit's server if there is a login of it, else the one that the options name.
    pub(crate) async fn new(options: &Options, login: Option<&Login>) -> Result<Self, BoxError> {
        match login {
            Some(login) => Self::kit(options, login).await,
            None => Self::other(options).await,
        }
    }

    async fn kit(options: &Options, login: &Login) -> Result<Self, BoxError> {
        let mut seed = TokenSet::new(login.access_token.as_str()).with_expires_at(login.expires_at);
        // There may be none, or the access token may be in its place.
        if !login.refresh_token.is_empty() && login.refresh_token != login.access_token {
            seed = seed.with_refresh_token(login.refresh_token.as_str());
        }
        let grants = match &login.profile {
            Some(kit) => {
                Grants::Profile(kit.text.parse::<Profile>()?.with_base_url(&kit.base_url)?)
            }
            None => Grants::OAuth {
                token_url: login.token_url.clone(),
                auth: ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET),
            },
        };
        let log = Log::default();
        let refused = grants.refused();
        let (_, client) = client(options, grants, Some(seed), &login.origin, &log).await?;
        let url = login.api_url.parse()?;
        let method = options.method.clone();
        Ok(Self { client, url, log, echoes: true, refused, method })
    }

    /// Somebody else's server, asked for its first token before the load begins.
    async fn other(options: &Options) -> Result<Self, BoxError> {
        let (grants, from) = match (&options.profile, &options.token_url) {
            (Some(name), _) => {
                let profile: Profile = profile::text(name)?.parse()?;
                let profile = match &options.base_url {
                    Some(url) => profile.with_base_url(url)?,
                    None => profile,
                };
                (Grants::Profile(profile), format!("by the profile {name}"))
            }
            (None, Some(token_url)) => {
                let from = format!("from {token_url}");
                (Grants::OAuth { token_url: token_url.clone(), auth: auth(options) }, from)
            }
            (None, None) => return Err("there is no server".into()),
        };
        let api_url = options.api_url.clone().unwrap_or_default();
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
        let log = Log::default();
        let refused = grants.refused();
        let (tokens, client) = client(options, grants, seed(options), &origin, &log).await?;
        tokens.ready().await.map_err(|error| {
            let why = error.refresh_error().map_or(error.to_string(), |cause| told_whole(cause));
            format!(
                "no first token {from}: {why}. See that the server runs, and check its URL, the client's id, secret and \
                 --client-auth or the profile's secrets, and that the refresh token was not used before."
            )
        })?;
        let method = Some(options.method.clone().unwrap_or(Method::GET));
        Ok(Self { client, url, log, echoes: false, refused, method })
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

fn auth(options: &Options) -> ClientAuth {
    // clap sees to it that it is there.
    let id = options.client_id.clone().unwrap_or_default();
    match (&options.client_secret, options.client_auth) {
        (None, _) => ClientAuth::none(id),
        (Some(secret), ClientAuthentication::Basic) => ClientAuth::basic(id, secret.as_str()),
        (Some(secret), ClientAuthentication::Post) => ClientAuth::form(id, secret.as_str()),
    }
}

/// None where the profile logs in.
fn seed(options: &Options) -> Option<TokenSet> {
    match (options.access_token.as_deref(), options.refresh_token.as_deref()) {
        (None, None) => None,
        (None, Some(refresh)) => Some(TokenSet::from_refresh_token(refresh)),
        (Some(access), None) => Some(TokenSet::new(access)),
        (Some(access), Some(refresh)) => Some(TokenSet::new(access).with_refresh_token(refresh)),
    }
}

async fn client(
    options: &Options,
    grants: Grants,
    seed: Option<TokenSet>,
    origin: &str,
    log: &Log,
) -> Result<(TokenManager, StampedeClient), BoxError> {
    let origins = Origins::only(origin)?;
    let sockets = share(options.processes);
    let profile = match &grants {
        Grants::OAuth { .. } => None,
        Grants::Profile(profile) => Some(profile.clone()),
    };
    match options.adapter {
        Adapter::Tower => {
            let http = HyperEndpoint::new(connector());
            let tokens = manager(options, http, grants, seed, log).await?;
            Ok((tokens.clone(), StampedeClient::tower(tokens, origins, profile.as_ref(), sockets)))
        }
        Adapter::Reqwest => {
            let http = ReqwestEndpoint::new(reqwest::Client::builder())?;
            let tokens = manager(options, http, grants, seed, log).await?;
            Ok((
                tokens.clone(),
                StampedeClient::reqwest(tokens, origins, profile.as_ref(), sockets)?,
            ))
        }
    }
}

async fn manager(
    options: &Options,
    http: impl HttpEndpoint,
    grants: Grants,
    seed: Option<TokenSet>,
    log: &Log,
) -> Result<TokenManager, BoxError> {
    let watched = |profile| Watched { endpoint: http, log: log.clone(), profile };
    let builder = match grants {
        Grants::OAuth { token_url, auth } => {
            TokenManager::builder(TokenEndpoint::refresh_token(watched(None), token_url, auth))
        }
        Grants::Profile(profile) => {
            ProfileEndpoint::new(watched(Some(profile.clone())), profile).manager()
        }
    };
    let builder = builder
        .key(TokenKey::new("stampede")?)
        // The tokens are revoked on purpose, faster than a manager would put up with.
        .refusals(u32::MAX, Duration::MAX);
    let builder = match seed {
        Some(seed) => builder.seed(seed),
        None => builder,
    };
    Ok(options.store.hold(builder).await?.build()?)
}
