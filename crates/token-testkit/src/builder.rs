//! How a server is set up before it starts.

use std::{collections::HashMap, fmt, io, sync::Arc, time::Duration};

use crate::{
    AuthorizationServer, Client, Grace, Rotation, client::Clients, doors::Doors, grants::Directory,
    listener::Listener, mint::Mint, policy::Policy, shared::Shared, tokens::Tokens,
};

/// Sets up an [`AuthorizationServer`].
#[must_use = "nothing listens until `start`"]
pub struct Builder {
    policy: Policy,
    clients: Vec<Client>,
    users: HashMap<String, String>,
    port: u16,
    date_skew: i64,
    control: bool,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            policy: Policy::default(),
            clients: Vec::new(),
            users: HashMap::new(),
            port: 0,
            date_skew: 0,
            control: false,
        }
    }

    /// How long access tokens are valid; fractions of a second count. Default: 1 hour.
    ///
    /// It is answered as `expires_in`: 1 s as `1`, 1.5 s as `1.5`.
    pub fn access_lifetime(mut self, lifetime: Duration) -> Self {
        self.policy.access_lifetime = lifetime;
        self
    }

    /// How long a refresh token is valid unless it is used; answered as `refresh_expires_in`.
    /// Default: `None`, for ever.
    pub fn refresh_lifetime(mut self, lifetime: Option<Duration>) -> Self {
        self.policy.refresh_lifetime = lifetime;
        self
    }

    /// What becomes of a refresh token that is presented. Default: [`Rotation::Rotate`].
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.policy.rotation = rotation;
        self
    }

    /// What becomes of a spent refresh token that is presented again. Default: [`Grace::None`].
    pub fn grace(mut self, grace: Grace) -> Self {
        self.policy.grace = grace;
        self
    }

    /// Whether a refresh revokes the family's earlier access tokens. Default: `false`, they stay
    /// valid until their own expiry.
    pub fn revoke_on_refresh(mut self, revoke: bool) -> Self {
        self.policy.revoke_on_refresh = revoke;
        self
    }

    /// Adds a client; of two with the same id the later counts. Default when none is added:
    /// [`Client::default`].
    pub fn client(mut self, client: Client) -> Self {
        self.clients.push(client);
        self
    }

    /// Adds a user for the password grant (RFC 6749 §4.3). Default: none.
    pub fn user(mut self, username: impl Into<String>, password: impl Into<String>) -> Self {
        self.users.insert(username.into(), password.into());
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
    /// The port is taken, or the system gave no socket, no thread or no randomness.
    pub fn start(mut self) -> io::Result<AuthorizationServer> {
        if self.clients.is_empty() {
            self.clients.push(Client::default());
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        let directory = Directory { clients: Clients::new(self.clients), users: self.users };
        let tokens = Tokens::new(Mint::new(seed));
        let (doors, orders) = Doors::new();
        let shared = Arc::new(Shared::new(directory, self.policy, tokens, doors, self.control));
        shared.state().date_skew = self.date_skew;
        let listener = Listener::start(self.port, Arc::clone(&shared), orders)?;
        Ok(AuthorizationServer::new(shared, listener))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("policy", &self.policy)
            .field("clients", &self.clients)
            .finish_non_exhaustive()
    }
}
