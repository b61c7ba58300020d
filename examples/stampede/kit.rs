//! The server of our own.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use token_testkit::{AuthorizationServer, Counters, DEFAULT_CLIENT_ID};

use crate::occasions::Log;

/// The first token is to be expired when the requests come.
const FIRST_LIFETIME: Duration = Duration::from_millis(200);

/// The tokens of the rounds outlive them, so that each round has one occasion.
const ROUND_LIFETIME: Duration = Duration::from_secs(3600);

/// How long the tokens of the last part live.
const SHORT_LIFETIME: Duration = Duration::from_secs(1);

/// A running server that rotates and detects reuse, and when its tokens were revoked.
pub(crate) struct Kit {
    server: AuthorizationServer,
    pub(crate) log: Log,
}

/// What a client has to know to begin.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Login {
    pub(crate) token_url: String,
    pub(crate) api_url: String,
    pub(crate) origin: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) expires_at: SystemTime,
}

impl Kit {
    /// Starts it, with a login whose access token has expired.
    pub(crate) async fn start() -> std::io::Result<(Self, Login)> {
        let server = AuthorizationServer::builder().access_lifetime(FIRST_LIFETIME).start()?;
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let expires_at = SystemTime::now() + login.expires_in();
        tokio::time::sleep(login.expires_in()).await;
        server.set_access_lifetime(ROUND_LIFETIME);
        let login = Login {
            token_url: server.token_url(),
            api_url: server.api_url(),
            origin: server.origin().to_owned(),
            access_token: login.access_token().to_owned(),
            refresh_token: login.refresh_token().to_owned(),
            expires_at,
        };
        Ok((Self { server, log: Log::default() }, login))
    }

    /// Refuses every access token issued so far from now on.
    pub(crate) fn revoke(&self) {
        self.log.revoked();
        self.server.revoke_access_tokens();
    }

    /// Replaces the long-lived tokens by short-lived ones.
    pub(crate) fn shorten_lifetime(&self) {
        self.server.set_access_lifetime(SHORT_LIFETIME);
        self.revoke();
    }

    pub(crate) fn counters(&self) -> Counters {
        self.server.counters()
    }
}
