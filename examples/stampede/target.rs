//! What the requests go to, and the client that sends them.

use std::time::{Duration, SystemTime};

use http::Method;
use token_core::endpoint::{ClientAuth, TokenEndpoint};
use token_core::http::Origins;
use token_core::{TokenKey, TokenManager, TokenSet};
use token_store_file::FileStore;
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
use tower::Layer;
use tower_token_refresh::{HyperEndpoint, TokenRefresh, TokenRefreshLayer};

use crate::load::chain;
use crate::occasions::{Occasions, Watched};
use crate::options::{ClientAuthentication, Options, Store};
use crate::sockets::{Sockets, connector};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The first token of the kit's server is to be expired when the requests come.
const FIRST_LIFETIME: Duration = Duration::from_millis(200);

/// The tokens of the two rounds outlive them, so that each round has one occasion.
const ROUND_LIFETIME: Duration = Duration::from_secs(300);

/// The layer under test around a client that never opens more sockets than it may.
pub(crate) type StampedeClient = TokenRefresh<Sockets>;

pub(crate) struct Target {
    pub(crate) client: StampedeClient,
    pub(crate) url: http::Uri,
    pub(crate) occasions: Occasions,
    kit: Option<AuthorizationServer>,
    method: Option<Method>,
}

impl Target {
    pub(crate) async fn new(options: &Options) -> Result<Self, BoxError> {
        match &options.token_url {
            Some(token_url) => Self::other(options, token_url).await,
            None => Self::kit(options).await,
        }
    }

    /// A server of our own, with a login whose access token has expired.
    async fn kit(options: &Options) -> Result<Self, BoxError> {
        let server = AuthorizationServer::builder().access_lifetime(FIRST_LIFETIME).start()?;
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let end = SystemTime::now() + login.expires_in();
        tokio::time::sleep(login.expires_in()).await;
        server.set_access_lifetime(ROUND_LIFETIME);
        let seed = TokenSet::new(login.access_token())
            .with_refresh_token(login.refresh_token())
            .with_expires_at(end);
        let auth = ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET);
        let (url, origin) = (server.api_url().parse()?, server.origin().to_owned());
        let occasions = Occasions::default();
        let (_, client) =
            client(&server.token_url(), auth, seed, &origin, &occasions, &options.store)?;
        Ok(Self { client, url, occasions, kit: Some(server), method: options.method.clone() })
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
        let occasions = Occasions::default();
        let (tokens, client) = client(token_url, auth, seed, &origin, &occasions, &options.store)?;
        tokens.ready().await.map_err(|error| {
            let why = error.refresh_error().map_or(error.to_string(), |cause| chain(cause));
            format!(
                "no first token from {token_url}: {why}. See that the server runs, and check --token-url, the client's id, \
                 secret and --client-auth, and that the refresh token was not used before."
            )
        })?;
        let method = Some(options.method.clone().unwrap_or(Method::GET));
        Ok(Self { client, url, occasions, kit: None, method })
    }

    pub(crate) fn has_kit(&self) -> bool {
        self.kit.is_some()
    }

    pub(crate) fn kit_server(&self) -> Option<&AuthorizationServer> {
        self.kit.as_ref()
    }

    /// Refuses every access token from now on. Another server cannot be told to.
    pub(crate) fn revoke(&self) {
        if let Some(server) = &self.kit {
            self.occasions.revoked();
            server.revoke_access_tokens();
        }
    }

    pub(crate) fn shorten_lifetime(&self, lifetime: Duration) {
        if let Some(server) = &self.kit {
            server.set_access_lifetime(lifetime);
            self.revoke();
        }
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
    token_url: &str,
    auth: ClientAuth,
    seed: TokenSet,
    origin: &str,
    occasions: &Occasions,
    store: &Store,
) -> Result<(TokenManager, StampedeClient), BoxError> {
    let endpoint =
        Watched { endpoint: HyperEndpoint::new(connector()), occasions: occasions.clone() };
    let endpoint = TokenEndpoint::refresh_token(endpoint, token_url, auth);
    let builder = TokenManager::builder(endpoint).key(TokenKey::new("stampede")?).seed(seed);
    let tokens = match store {
        Store::Memory => builder.build()?,
        Store::File(directory) => builder.store(FileStore::open(directory)?).build()?,
    };
    let layer = TokenRefreshLayer::new(tokens.clone(), Origins::only(origin)?);
    Ok((tokens, layer.layer(Sockets::new())))
}
