//! Services that share a grant over a server, and the authorization server that they ask.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use token_core::endpoint::{ClientAuth, TokenEndpoint};
use token_core::event::{Event, Events};
use token_core::{TokenKey, TokenManager, TokenManagerBuilder, TokenSet};
use token_store_redis::RedisStore;
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Login};
use tower_token_refresh::HyperEndpoint;

/// For whoever waits behind the barrier while another, who looks once a second, connects anew and brings the record back.
const LONG: Duration = Duration::from_secs(8);

type Http = HyperEndpoint<Client<HttpConnector, Full<Bytes>>>;

pub(crate) struct Site {
    pub(crate) kit: AuthorizationServer,
    pub(crate) login: Login,
}

impl Site {
    pub(crate) fn new() -> Self {
        let kit = AuthorizationServer::start().expect("a port is free");
        let login = kit.sign_in(DEFAULT_CLIENT_ID);
        Self { kit, login }
    }

    /// A service that has the first login's refresh token as its seed.
    ///
    /// The settle barrier is (1 s + `exchange_deadline` + `server_drain`) × 1.1: once for a seed, and once after each fall-back.
    pub(crate) async fn service(&self, url: &str) -> TokenManager {
        self.build(url, self.endpoint(), Duration::from_secs(2)).await
    }

    /// One that waits ten seconds behind the barrier: who knows more is there before.
    pub(crate) async fn patient_service(&self, url: &str) -> TokenManager {
        self.build(url, self.endpoint(), LONG).await
    }

    pub(crate) async fn build(
        &self,
        url: &str,
        endpoint: TokenEndpoint<Http>,
        exchange: Duration,
    ) -> TokenManager {
        let store = RedisStore::open(url).await.expect("the server is there");
        let seed = TokenSet::from_refresh_token(self.login.refresh_token());
        quick(TokenManager::builder(endpoint).store(store).seed(seed), exchange)
    }

    pub(crate) fn endpoint(&self) -> TokenEndpoint<Http> {
        TokenEndpoint::refresh_token(Self::http(), self.kit.token_url(), Self::auth())
    }

    pub(crate) fn http() -> Http {
        HyperEndpoint::new(HttpConnector::new())
    }

    pub(crate) fn auth() -> ClientAuth {
        ClientAuth::basic(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
    }

    /// Tokens of another login, with which a service is given a new epoch.
    pub(crate) fn another_login(&self) -> TokenSet {
        let login = self.kit.sign_in(DEFAULT_CLIENT_ID);
        TokenSet::new(login.access_token())
            .with_refresh_token(login.refresh_token())
            .with_expires_in(login.expires_in())
    }

    pub(crate) fn token_requests(&self) -> u64 {
        self.kit.counters().token_requests
    }

    /// How often a refresh token was presented that had been used.
    pub(crate) fn reused(&self) -> u64 {
        self.kit.counters().reuse_detected
    }
}

pub(crate) fn quick(builder: TokenManagerBuilder, exchange: Duration) -> TokenManager {
    builder
        .key(TokenKey::new("billing-api").expect("a key"))
        .exchange_deadline(exchange)
        .server_drain(Duration::from_millis(100))
        .backoff(Duration::from_millis(10), Duration::from_millis(50))
        .build()
        .expect("the settings work")
}

/// Asks until there is a token; failures are what the test provokes.
pub(crate) async fn token(manager: &TokenManager) -> String {
    until(async || Some(manager.token().await.ok()?.expose_secret().to_owned())).await
}

/// Refreshes until that works, and says what came of it.
pub(crate) async fn refresh(manager: &TokenManager) -> String {
    until(async || Some(manager.refresh_now().await.ok()?.expose_secret().to_owned())).await
}

/// Waits until the service has this token, which is another's work.
pub(crate) async fn follows(manager: &TokenManager, wanted: &str) {
    until(async || (token(manager).await == wanted).then_some(())).await;
}

pub(crate) async fn event(events: &mut Events, fits: impl Fn(&Event) -> bool) -> Event {
    let heard = async {
        loop {
            let event = events.next().await.expect("the manager is there");
            if fits(&event) {
                return event;
            }
        }
    };
    soon(heard).await
}

/// Waits for a state that nothing announces.
pub(crate) async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looks = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    soon(looks).await
}

/// Fails a test that would otherwise wait for ever; nothing that is asserted depends on how long it is.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), future).await.expect("it happens in time")
}
