//! The five APIs: the kit in a dialect, and the profile that comes with the crate.

use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use token_core::endpoint::profile::{Profile, SHIPPED};
use token_core::{TokenManager, TokenManagerBuilder, TokenSet};
use token_store_file::FileStore;
use token_testkit::{
    AKUVOX_USER_AGENT, AuthorizationServer, Builder, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET,
    DEFAULT_PASSWORD, DEFAULT_USER, Dialect,
};

use crate::adapter::{Adapter, ApiClient};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// A profile, and what is to come of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    pub(crate) profile: &'static str,
    pub(crate) dialect: Dialect,
    /// After how long a token is still left alone, and from when on it is replaced, with the jitter of both.
    pub(crate) due: (Duration, Duration),
    /// Whether the grant begins with somebody's tokens; else with a login of its own.
    pub(crate) begins_with_tokens: bool,
}

pub(crate) const POS_CONNECTOR: Api = Api {
    profile: "pos-connector",
    dialect: Dialect::PosConnector,
    // 30 minutes before the end of a day.
    due: (HOUR.saturating_mul(23), Duration::from_secs(23 * 3600 + 40 * 60)),
    begins_with_tokens: false,
};

pub(crate) const AKUVOX: Api = Api {
    profile: "akuvox",
    dialect: Dialect::Akuvox,
    due: (HOUR.saturating_mul(6 * 24 - 1), HOUR.saturating_mul(6 * 24)),
    begins_with_tokens: true,
};

pub(crate) const HIGH_LEVEL: Api = Api {
    profile: "highlevel",
    dialect: Dialect::HighLevel,
    due: (HOUR.saturating_mul(19), HOUR.saturating_mul(20)),
    begins_with_tokens: true,
};

pub(crate) const JWT_REFRESH: Api = Api {
    profile: "jwt-refresh",
    dialect: Dialect::JwtRefresh,
    // 5 minutes before the end of half an hour.
    due: (MINUTE.saturating_mul(23), MINUTE.saturating_mul(27)),
    begins_with_tokens: true,
};

pub(crate) const NOCTURNA: Api = Api {
    profile: "nocturna",
    dialect: Dialect::Nocturna,
    // 5 minutes before the end of a quarter of an hour.
    due: (MINUTE.saturating_mul(8), MINUTE.saturating_mul(12)),
    begins_with_tokens: false,
};

pub(crate) const NOCTURNA_SERVICE: Api = Api { profile: "nocturna-service", ..NOCTURNA };

pub(crate) const ALL: [Api; 6] =
    [POS_CONNECTOR, AKUVOX, HIGH_LEVEL, JWT_REFRESH, NOCTURNA, NOCTURNA_SERVICE];

/// A server of one API, and somebody who uses it through one adapter.
pub(crate) struct User {
    pub(crate) api: Api,
    pub(crate) adapter: Adapter,
    pub(crate) server: AuthorizationServer,
    pub(crate) profile: Profile,
    directory: TempDir,
}

impl User {
    pub(crate) fn new(api: Api, adapter: Adapter) -> Self {
        Self::of(api, adapter, AuthorizationServer::builder())
    }

    /// Of a server that is set up otherwise.
    pub(crate) fn of(api: Api, adapter: Adapter, server: Builder) -> Self {
        let server = server.dialect(api.dialect).start().expect("a server");
        let directory = tempfile::tempdir().expect("a directory");
        let service = server.service_token(DEFAULT_USER, Some(HOUR * 24 * 90));
        // The shipped text, with its secrets in files: a test must not change the environment of its process.
        let (_, text) = SHIPPED.iter().find(|(name, _)| *name == api.profile).expect("shipped");
        let mut text = (*text).to_owned();
        for (name, secret) in [
            ("POS_EMAIL", DEFAULT_USER),
            ("POS_PASSWORD", DEFAULT_PASSWORD),
            ("GHL_CLIENT_ID", DEFAULT_CLIENT_ID),
            ("GHL_CLIENT_SECRET", DEFAULT_CLIENT_SECRET),
            ("NOCTURNA_USERNAME", DEFAULT_USER),
            ("NOCTURNA_PASSWORD", DEFAULT_PASSWORD),
            ("NOCTURNA_SERVICE_TOKEN", &service),
        ] {
            let path = directory.path().join(name);
            text = text.replace(&format!("env = \"{name}\""), &format!("file = {path:?}"));
            write_secret(path, secret);
        }
        let base = match api.dialect {
            Dialect::Nocturna => server.api_url(),
            _ => server.origin().to_owned(),
        };
        let profile: Profile = text.parse().expect("a profile");
        let profile = profile.with_base_url(base).expect("a URL");
        Self { api, adapter, server, profile, directory }
    }

    /// Replaces a secret that the profile refers to.
    pub(crate) fn set_secret(&self, name: &str, secret: &str) {
        write_secret(self.directory.path().join(name), secret);
    }

    /// A manager over a file, which the next one finds again. Where the grant begins with tokens, with these.
    pub(crate) fn manager(&self) -> TokenManagerBuilder {
        let store = FileStore::open(self.directory.path().join("tokens")).expect("a store");
        self.adapter.manager(self.profile.clone()).store(store)
    }

    /// The tokens of somebody who logs in now; `None` where the grant does that itself.
    pub(crate) fn first_tokens(&self) -> Option<TokenSet> {
        let holder = match self.api.dialect {
            Dialect::HighLevel => DEFAULT_CLIENT_ID,
            _ => DEFAULT_USER,
        };
        self.api.begins_with_tokens.then(|| {
            let login = self.server.sign_in(holder);
            let tokens = TokenSet::new(login.access_token());
            match self.api.dialect {
                Dialect::JwtRefresh => tokens,
                _ => tokens.with_refresh_token(login.refresh_token()),
            }
        })
    }

    /// A manager that has to get a token before it can send anything.
    pub(crate) fn starting(&self) -> TokenManagerBuilder {
        match self.first_tokens() {
            Some(tokens) => {
                self.manager().seed(tokens.with_expires_at(SystemTime::now() - 400 * HOUR * 24))
            }
            None => self.manager(),
        }
    }

    pub(crate) fn client(&self, tokens: &TokenManager) -> ApiClient {
        self.adapter.client(&self.profile, tokens, self.server.origin())
    }

    /// A request to the API, with a body that has to arrive whole.
    pub(crate) fn request(&self, body: &'static str) -> Request<Bytes> {
        let request = Request::post(format!("{}/thing", self.server.api_url()));
        let request = match self.api.dialect {
            Dialect::Akuvox => request.header("user-agent", AKUVOX_USER_AGENT),
            _ => request,
        };
        request.body(Bytes::from_static(body.as_bytes())).expect("a request")
    }

    /// Sends one, which has to succeed.
    pub(crate) async fn call(&self, client: &ApiClient) {
        let body = "what is sent again has to be whole";
        let answer = match client.send(self.request(body)).await {
            Ok(answer) => answer,
            Err(error) => panic!("{self}: {error}"),
        };
        assert_eq!(received(&answer), Some(body.len()), "{self}: {answer:?}");
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.server.counters().token_requests
    }
}

impl std::fmt::Display for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} over {:?}", self.api.profile, self.adapter)
    }
}

/// Whether the API took the token.
pub(crate) fn is_taken(answer: &Response<Bytes>) -> bool {
    received(answer).is_some()
}

/// How many bytes the API says that it received, if it took the token.
fn received(answer: &Response<Bytes>) -> Option<usize> {
    let echo: Value = serde_json::from_slice(answer.body()).ok()?;
    let echo = echo.get("datas").unwrap_or(&echo);
    let bytes = echo["body_bytes"].as_u64().filter(|_| answer.status() == StatusCode::OK)?;
    usize::try_from(bytes).ok()
}

fn write_secret(path: PathBuf, secret: &str) {
    let mut file = std::fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(path);
    std::io::Write::write_all(&mut file.expect("a file"), secret.as_bytes()).expect("written");
}
