//! The server of our own.

use std::time::{Duration, SystemTime};

use examples::{BoxError, with_secrets};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use token_core::endpoint::profile::Profile;
use token_testkit::{
    AuthorizationServer, Counters, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_PASSWORD,
    DEFAULT_USER, Dialect,
};

use crate::occasions::Log;
use crate::profile;

/// The first token is to be expired when the requests come.
const FIRST_LIFETIME: Duration = Duration::from_millis(200);

/// The tokens of the rounds outlive them, so that each round has one occasion.
const ROUND_LIFETIME: Duration = Duration::from_secs(3600);

/// How long the tokens of the last part live.
const SHORT_LIFETIME: Duration = Duration::from_secs(1);

/// A running server that rotates and detects reuse, and when its tokens were revoked.
pub(crate) struct Kit {
    server: AuthorizationServer,
    /// Of the profile.
    _secrets: TempDir,
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
    pub(crate) profile: Option<KitProfile>,
}

/// A profile of the kit's server.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct KitProfile {
    pub(crate) text: String,
    pub(crate) base_url: String,
}

impl Kit {
    /// Starts it, with a login whose access token has expired; with a profile it speaks as that profile's server does.
    pub(crate) async fn start(profile: Option<&str>) -> Result<(Self, Login), BoxError> {
        let text = profile.map(profile::text).transpose()?;
        let dialect = match &text {
            Some(text) => profile::dialect(&text.parse::<Profile>()?)?,
            None => Dialect::OAuth,
        };
        let server = AuthorizationServer::builder()
            .dialect(dialect)
            .access_lifetime(FIRST_LIFETIME)
            .start()?;
        let secrets = tempfile::tempdir()?;
        let profile =
            text.map(|text| kit_profile(&text, &server, dialect, &secrets)).transpose()?;
        let login = server.sign_in(match dialect {
            Dialect::OAuth | Dialect::HighLevel => DEFAULT_CLIENT_ID,
            _ => DEFAULT_USER,
        });
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
            profile,
        };
        Ok((Self { server, _secrets: secrets, log: Log::default() }, login))
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

fn kit_profile(
    text: &str,
    server: &AuthorizationServer,
    dialect: Dialect,
    directory: &TempDir,
) -> std::io::Result<KitProfile> {
    let service_token = server.service_token(DEFAULT_USER, None);
    let secrets = [
        ("GHL_CLIENT_ID", DEFAULT_CLIENT_ID),
        ("GHL_CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
        ("NOCTURNA_USERNAME", DEFAULT_USER),
        ("NOCTURNA_PASSWORD", DEFAULT_PASSWORD),
        ("NOCTURNA_SERVICE_TOKEN", &service_token),
        ("POS_EMAIL", DEFAULT_USER),
        ("POS_PASSWORD", DEFAULT_PASSWORD),
    ];
    let text = with_secrets(text, directory.path(), &secrets)?;
    let base_url = match dialect {
        Dialect::Nocturna => server.api_url(),
        _ => server.origin().to_owned(),
    };
    Ok(KitProfile { text, base_url })
}
