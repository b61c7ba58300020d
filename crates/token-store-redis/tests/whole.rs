//! Whole managers over real servers: what the store promises is what the protocol needs of it.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::{RefreshError, TokenKey, TokenManager, TokenSet};
use token_store_redis::RedisStore;

use support::Server;
use support::proxy::{Proxy, Route};

/// For whoever waits behind the barrier while another, who looks once a second, connects anew and brings the record back.
const LONG: Duration = Duration::from_secs(8);

/// An authorization server that takes each refresh token once.
#[derive(Clone, Default)]
struct Rotating {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    newest: u32,
    presented: HashSet<String>,
    reused: u32,
}

impl HttpEndpoint for Rotating {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let mut fields = body.split('&');
        let token = fields.find_map(|field| field.strip_prefix("refresh_token=")).unwrap();
        let mut state = self.state.lock().unwrap();
        if token != format!("rt-{}", state.newest) || !state.presented.insert(token.to_owned()) {
            state.reused += 1;
            let refused = Response::builder().status(400);
            return Ok(refused.body(r#"{"error":"invalid_grant"}"#.into()).unwrap());
        }
        state.newest += 1;
        let n = state.newest;
        let answer = format!(
            r#"{{"access_token":"at-{n}","token_type":"Bearer","expires_in":3600,"refresh_token":"rt-{n}"}}"#
        );
        Ok(Response::new(answer.into()))
    }
}

impl Rotating {
    fn counts(&self) -> (u32, u32) {
        let state = self.state.lock().unwrap();
        (state.newest, state.reused)
    }

    fn manager(&self, store: &RedisStore) -> TokenManager {
        self.manager_with(store, Duration::from_millis(500))
    }

    /// The settle barrier is (1 s + `exchange` + 0.1 s) × 1.1, once for a seed and once after each fall-back.
    fn manager_with(&self, store: &RedisStore, exchange: Duration) -> TokenManager {
        let auth = ClientAuth::basic("id", "secret");
        let endpoint =
            TokenEndpoint::refresh_token(self.clone(), "https://auth.example.com/token", auth);
        TokenManager::builder(endpoint)
            .key(TokenKey::new("billing-api").unwrap())
            .store(store.clone())
            .seed(TokenSet::from_refresh_token("rt-0"))
            .exchange_deadline(exchange)
            .server_drain(Duration::from_millis(100))
            .backoff(Duration::from_millis(10), Duration::from_millis(50))
            .build()
            .unwrap()
    }
}

/// Asks until there is a token; failures are what the test provokes.
async fn token(manager: &TokenManager) -> String {
    until(async || Some(manager.token().await.ok()?.expose_secret().to_owned())).await
}

/// Waits for a token that is another's work.
async fn follows(manager: &TokenManager, wanted: &str) {
    until(async || (token(manager).await == wanted).then_some(())).await;
}

async fn refresh(manager: &TokenManager) {
    until(async || manager.refresh_now().await.ok()).await;
}

async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let looks = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(100), looks).await.expect("it happens in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_one_refresh_and_see_each_others() {
    let server = Server::start();
    let tokens = Rotating::default();
    let mut managers = Vec::new();
    for _ in 0..8 {
        let store = RedisStore::open(server.url()).await.unwrap();
        managers.push(tokens.manager(&store));
    }
    for answer in join_all(managers.iter().map(token)).await {
        assert_eq!(answer, "at-1");
    }
    assert_eq!(tokens.counts(), (1, 0));
    managers[0].refresh_now().await.unwrap();
    // Without being asked, the others follow.
    for manager in &managers {
        follows(manager, "at-2").await;
    }
    assert_eq!(tokens.counts(), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_its_token_needs_no_server() {
    let mut server = Server::start();
    let manager = Rotating::default().manager(&RedisStore::open(server.url()).await.unwrap());
    token(&manager).await;
    server.kill();
    for _ in 0..10_000 {
        assert!(manager.cached().is_some());
        assert!(manager.token().await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_and_answers_that_are_lost_cost_no_refresh_token() {
    for lost in [Route::LoseAnswersToWrites, Route::LoseWrites] {
        let server = Server::start();
        let proxy = Proxy::to(server.port());
        let tokens = Rotating::default();
        let store = RedisStore::open(support::url(proxy.port(), None)).await.unwrap();
        let manager = tokens.manager(&store);
        token(&manager).await;
        for _ in 0..5 {
            let before = proxy.lost();
            proxy.set(lost);
            let refresh = tokio::spawn({
                let manager = manager.clone();
                async move { manager.refresh_now().await.is_ok() }
            });
            until(async || (proxy.lost() > before || refresh.is_finished()).then_some(())).await;
            proxy.set(Route::Open);
            let _ = refresh.await.unwrap();
        }
        assert!(proxy.lost() > 0);
        // What the last one was about may still have to be decided.
        refresh(&manager).await;
        let newest = token(&manager).await;
        let (n, reused) = tokens.counts();
        assert_eq!((newest, reused), (format!("at-{n}"), 0), "{lost:?}");
    }
}

/// The record is gone with the server, and one process knows it: nobody presents what is spent.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_brings_back_what_a_failover_lost() {
    let (mut master, replica) = (Server::start(), Server::start());
    let proxy = Proxy::to(master.port());
    let tokens = Rotating::default();
    let store = RedisStore::open(support::url(proxy.port(), None)).await.unwrap();
    let survivor = tokens.manager(&store);
    assert_eq!(token(&survivor).await, "at-1");
    replica.follow(&master);
    // It takes over with `rt-1`, which the next refresh spends.
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    survivor.refresh_now().await.unwrap();
    proxy.lead_to(replica.port());
    master.kill();

    // It finds `rt-1`, and would present it at once if nobody told it of the failover.
    let store = RedisStore::open(replica.url()).await.unwrap();
    let newcomer = tokens.manager_with(&store, LONG);
    refresh(&newcomer).await;
    assert_eq!(token(&newcomer).await, "at-2");
    assert_eq!(tokens.counts(), (2, 0));
    refresh(&newcomer).await;
    follows(&survivor, "at-3").await;
    assert_eq!(tokens.counts(), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_brings_back_what_an_empty_server_lost() {
    let mut server = Server::start();
    let tokens = Rotating::default();
    let survivor = tokens.manager(&RedisStore::open(server.url()).await.unwrap());
    token(&survivor).await;
    server.restart();
    // It has the seed, which was spent long ago.
    let store = RedisStore::open(server.url()).await.unwrap();
    let newcomer = tokens.manager_with(&store, LONG);
    assert_eq!(token(&newcomer).await, "at-1");
    assert_eq!(tokens.counts(), (1, 0));
}
