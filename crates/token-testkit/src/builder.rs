//! How a server is set up before it starts.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::HeaderName;
use jiff::tz::TimeZone;

use crate::{
    AuthorizationServer, Client, DEFAULT_PASSWORD, DEFAULT_USER, Dialect, Grace, Rotation,
    client::Clients,
    dialect::WireSettings,
    doors::Doors,
    listener::Listener,
    mint::Mint,
    policy::Policy,
    shared::{Setup, Shared},
    tokens::Tokens,
    users::Users,
};

/// Where the token is in requests to an Akuvox hub.
const AKUVOX_TOKEN_HEADER: &str = "x-auth-token";

/// Sets up an [`AuthorizationServer`].
#[must_use = "nothing listens until `start`"]
#[derive(Default)]
pub struct Builder {
    dialect: Dialect,
    access_lifetime: Option<Duration>,
    refresh_lifetime: Option<Option<Duration>>,
    rotation: Rotation,
    grace: Option<Grace>,
    revoke_on_refresh: bool,
    clients: Vec<Client>,
    users: Users,
    time_zone: Option<String>,
    token_header: Option<String>,
    port: u16,
    date_skew: i64,
    control: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Which API it speaks like. Default: [`Dialect::OAuth`].
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    /// How long access tokens are valid; fractions of a second count. Default: that of the [`Dialect`], 1 hour for OAuth.
    ///
    /// It is answered as `expires_in`: 1 s as `1`, 1.5 s as `1.5`.
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_lifetime = Some(lifetime);
        self
    }

    /// How long a refresh token is valid unless it is used; OAuth answers it as `refresh_expires_in`. `None` is for ever.
    /// Default: that of the [`Dialect`], for ever for OAuth.
    pub fn refresh_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.refresh_lifetime = Some(lifetime);
        self
    }

    /// What becomes of a refresh token that is presented. Default: [`Rotation::Rotate`].
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// What becomes of a spent refresh token that is presented again. Default: that of the [`Dialect`],
    /// [`Grace::None`] for most.
    pub fn grace(mut self, grace: Grace) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Whether a refresh revokes the family's earlier access tokens. Default: `false`, they stay
    /// valid until their own expiry.
    pub fn revoke_on_refresh(mut self, revoke: bool) -> Self {
        self.revoke_on_refresh = revoke;
        self
    }

    /// Adds a client; of two with the same id the later counts. Default when none is added:
    /// [`Client::default`].
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Adds a user for the password grant (RFC 6749 §4.3), or the login of a dialect. Default: none, and in a [`Dialect`]
    /// without clients [`DEFAULT_USER`] with [`DEFAULT_PASSWORD`].
    pub fn user(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.add(username.into(), password.into());
        self
    }

    /// The zone of the local times that [`Dialect::PosConnector`] answers, by its IANA name, such as `Europe/Berlin`.
    /// Default: `UTC`. Other dialects have no local times.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = Some(name.into());
        self
    }

    /// The header of [`Dialect::Akuvox`] that has the token. Default: `x-auth-token`. Other dialects have it in
    /// `authorization`.
    pub fn token_header(mut self, name: impl Into<String>) -> Self {
        self.token_header = Some(name.into());
        self
    }

    /// The port to listen on. Default: 0, a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// By how many seconds the `Date` of every answer is off. Default: 0.
    ///
    /// An HTTP date names no time before 1970 and none after 9999: what is further off stops there.
    pub fn date_skew(mut self, seconds: i64) -> Self {
        self.date_skew = seconds;
        self
    }

    /// Whether the server is controlled by HTTP as well, under `/control`. Default: `false`.
    ///
    /// Who reaches the port can then do whatever the handle can. The
    /// [crate docs](crate#control-by-http) list the requests.
    pub fn control(mut self, control: bool) -> Self {
        self.control = control;
        self
    }

    /// Listens on 127.0.0.1, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The port is taken; the system gave no socket, no thread or no randomness; it knows no such time zone; or no header can
    /// have such a name.
    pub fn start(mut self) -> io::Result<AuthorizationServer> {
        let (port, dialect, control) = (self.port, self.dialect, self.control);
        if self.clients.is_empty() && dialect.has_clients() {
            self.clients.push(Client::default());
        }
        if self.users.is_empty() && !dialect.has_clients() {
            self.users.add(DEFAULT_USER.to_owned(), DEFAULT_PASSWORD.to_owned());
        }
        let (wire, policy) = (dialect.wire(self.wire_settings()?), self.policy());
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        let tokens = Tokens::new(Mint::new(seed).started_at(SystemTime::now()));
        let (clients, users) = (Clients::new(self.clients), self.users);
        let (doors, orders) = Doors::new();
        let setup = Setup { dialect, wire, clients, users, policy, control };
        let shared = Arc::new(Shared::new(setup, tokens, doors));
        let listener = Listener::start(port, Arc::clone(&shared), orders)?;
        Ok(AuthorizationServer::new(shared, listener))
    }

    /// That of the dialect, with what was set here.
    fn policy(&self) -> Policy {
        let usual = self.dialect.policy();
        Policy {
            access_lifetime: self.access_lifetime.unwrap_or(usual.access_lifetime),
            refresh_lifetime: self.refresh_lifetime.unwrap_or(usual.refresh_lifetime),
            rotation: self.rotation,
            grace: self.grace.unwrap_or(usual.grace),
            revoke_on_refresh: self.revoke_on_refresh,
            date_skew: self.date_skew,
            ..usual
        }
    }

    fn wire_settings(&self) -> io::Result<WireSettings> {
        let wrong = |error: String| io::Error::new(io::ErrorKind::InvalidInput, error);
        let time_zone = match &self.time_zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|error| wrong(error.to_string()))?,
        };
        let header = self.token_header.as_deref().unwrap_or(AKUVOX_TOKEN_HEADER);
        let token_header =
            HeaderName::try_from(header).map_err(|_| wrong(format!("`{header}` is no header")))?;
        Ok(WireSettings { time_zone, token_header })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("dialect", &self.dialect)
            .field("policy", &self.policy())
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
