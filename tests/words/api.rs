//! The five APIs: the kit in their dialect, somebody's login, and the profile that comes with the crate.

use std::path::Path;
use std::time::{Duration, SystemTime};

use integration_tests::{Http, Kit};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_token_refresh::TokenRefreshMiddleware;
use tempfile::TempDir;
use token_core::endpoint::profile::{Profile, ProfileEndpoint, SHIPPED};
use token_core::http::Origins;
use token_core::{TokenManager, TokenManagerBuilder, TokenSet};
use token_testkit::{
    AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_PASSWORD, DEFAULT_USER,
    Dialect, Login,
};

pub(crate) struct Api {
    pub(crate) server: AuthorizationServer,
    pub(crate) login: Login,
    pub(crate) profile: Profile,
    dialect: Dialect,
    /// Of the secrets, a file each: a test cannot set the environment of its process.
    secrets: TempDir,
}

impl Api {
    /// The API of this name in the tables.
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "POS connector" => Self::new(Dialect::PosConnector, "pos-connector", ""),
            "Akuvox" => Self::new(Dialect::Akuvox, "akuvox", ""),
            "HighLevel" => Self::new(Dialect::HighLevel, "highlevel", ""),
            "JWT refresh endpoint" => Self::new(Dialect::JwtRefresh, "jwt-refresh", ""),
            "Nocturna" => Self::new(Dialect::Nocturna, "nocturna", "/api"),
            other => panic!("there is no API {other}"),
        }
    }

    /// Nocturna, as a service.
    pub(crate) fn service() -> Self {
        Self::new(Dialect::Nocturna, "nocturna-service", "/api")
    }

    fn new(dialect: Dialect, profile: &str, path: &str) -> Self {
        let server = AuthorizationServer::builder().dialect(dialect).start().expect("a server");
        let person = match dialect {
            Dialect::HighLevel => DEFAULT_CLIENT_ID,
            _ => DEFAULT_USER,
        };
        let login = server.sign_in(person);
        let secrets = tempfile::tempdir().expect("a directory");
        for (name, text) in [
            ("POS_EMAIL", DEFAULT_USER),
            ("POS_PASSWORD", DEFAULT_PASSWORD),
            ("GHL_CLIENT_ID", DEFAULT_CLIENT_ID),
            ("GHL_CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
            ("NOCTURNA_USERNAME", DEFAULT_USER),
            ("NOCTURNA_PASSWORD", DEFAULT_PASSWORD),
            ("NOCTURNA_SERVICE_TOKEN", &server.service_token(DEFAULT_USER, None)),
        ] {
            write_secret(&secrets.path().join(name), text);
        }
        let profile = shipped(profile, secrets.path())
            .with_base_url(format!("{}{path}", server.origin()))
            .expect("a base URL");
        Self { server, login, profile, dialect, secrets }
    }

    /// Replaces a secret, as an operator does.
    pub(crate) fn set_secret(&self, name: &str, text: &str) {
        write_secret(&self.secrets.path().join(name), text);
    }

    pub(crate) fn endpoint(&self) -> ProfileEndpoint<Http> {
        ProfileEndpoint::new(Kit::http(), self.profile.clone())
    }

    /// The login's tokens as far as this API has some that a refresh needs.
    pub(crate) fn tokens(&self) -> TokenSet {
        let tokens = TokenSet::new(self.login.access_token());
        match self.dialect {
            Dialect::JwtRefresh => tokens,
            _ => tokens.with_refresh_token(self.login.refresh_token()),
        }
    }

    /// A manager to be, whose token is good.
    pub(crate) fn manager(&self) -> TokenManagerBuilder {
        self.seeded(self.tokens().with_expires_in(self.login.expires_in()))
    }

    /// The same where the token has ended.
    pub(crate) fn ended(&self) -> TokenManagerBuilder {
        let hour = Duration::from_secs(3600);
        self.seeded(self.tokens().with_expires_at(SystemTime::now() - hour))
    }

    fn seeded(&self, tokens: TokenSet) -> TokenManagerBuilder {
        let builder = self.endpoint().manager();
        // Who logs in with a password begins with that.
        if self.dialect == Dialect::PosConnector { builder } else { builder.seed(tokens) }
    }

    pub(crate) fn client(&self, tokens: &TokenManager) -> ClientWithMiddleware {
        let origins = Origins::only(self.server.origin()).expect("an origin");
        ClientBuilder::new(reqwest::Client::new())
            .with(TokenRefreshMiddleware::new(tokens.clone(), origins))
            .build()
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.server.counters().token_requests
    }
}

/// A profile as it comes with the crate, but for where its secrets are.
fn shipped(name: &str, secrets: &Path) -> Profile {
    let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name).expect("a profile");
    let mut parts = text.split("{ env = \"");
    let mut changed = parts.next().expect("a beginning").to_owned();
    for part in parts {
        let (variable, rest) = part.split_once('"').expect("the end of a name");
        changed += &format!("{{ file = {:?}{rest}", secrets.join(variable));
    }
    changed.parse().expect("a profile")
}

pub(crate) fn write_secret(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("set");
    }
}
