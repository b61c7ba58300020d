//! Sealed records on a real server: what is there, what is shown of it on the way, and keys that change.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use token_core::store::sealed::{KeyRing, SealedStore, SealingKey};
use token_core::store::{StoreErrorKind, TokenStore};
use token_core::{RefreshError, Refresher, Spends, TokenKey, TokenManager, TokenSet};
use token_store_redis::RedisStore;

use support::Server;

/// A server that takes each refresh token once: `canary-rt-n` is answered by `canary-rt-n+1`.
#[derive(Clone, Default)]
struct Rotating {
    newest: Arc<AtomicU32>,
    presented: Arc<Mutex<Vec<String>>>,
}

impl Refresher for Rotating {
    async fn refresh(&self, current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let token = current.and_then(TokenSet::refresh_token).map(|token| token.expose_secret());
        let n = self.newest.load(Ordering::SeqCst);
        self.presented.lock().unwrap().push(token.unwrap_or_default().to_owned());
        if token != Some(&format!("canary-rt-{n}")) {
            return Err(RefreshError::invalid_grant());
        }
        self.newest.store(n + 1, Ordering::SeqCst);
        let tokens = TokenSet::new(format!("canary-at-{}", n + 1));
        Ok(tokens.with_refresh_token(format!("canary-rt-{}", n + 1)))
    }

    fn spends(&self, _: Option<&TokenSet>) -> Spends {
        Spends::RefreshToken
    }
}

impl Rotating {
    /// The settle barrier of the first record is some tenths of a second.
    async fn manager(&self, server: &Server, keys: KeyRing) -> TokenManager {
        let store = SealedStore::new(RedisStore::open(server.url()).await.unwrap(), keys);
        TokenManager::builder(self.clone())
            .key(TokenKey::new("billing-api").unwrap().with_tenant("acme").unwrap())
            .store(store)
            .seed(TokenSet::from_refresh_token("canary-rt-0"))
            .exchange_deadline(Duration::from_millis(200))
            .server_drain(Duration::from_millis(100))
            .build()
            .unwrap()
    }
}

fn ring(id: &str, byte: u8) -> KeyRing {
    KeyRing::new(key(id, byte))
}

fn key(id: &str, byte: u8) -> SealingKey {
    SealingKey::new(id, &[byte; 32]).unwrap()
}

/// What whoever may use `MONITOR` sees while this is done.
async fn monitored(server: &Server, work: impl Future<Output = ()>) -> String {
    use futures_util::StreamExt;
    let client = redis::Client::open(server.url()).unwrap();
    let monitor = client.get_async_monitor().await.unwrap();
    work.await;
    // What was done before is shown before this.
    let () = server.ask(&["ECHO", "the end"]);
    let mut shown = String::new();
    let mut lines = monitor.into_on_message::<String>();
    while let Some(line) = lines.next().await {
        shown.push_str(&line);
        if line.contains("the end") {
            break;
        }
    }
    shown
}

#[tokio::test]
async fn whoever_reads_the_server_or_its_commands_sees_no_token() {
    let server = Server::start();
    let rotating = Rotating::default();
    let shown = monitored(&server, async {
        let tokens = rotating.manager(&server, ring("k", 7)).await;
        tokens.token().await.unwrap();
        tokens.refresh_now().await.unwrap();
    })
    .await;
    let record: String = server.ask(&["HGET", &server.only_key(), "b"]);
    assert!(record.starts_with(r#"{"sealed":1,"key":"k""#), "{record}");
    assert!(shown.contains("sealed"), "it shows the writes");
    for text in [shown, record] {
        assert!(!text.contains("canary"), "{text}");
    }
    assert_eq!(*rotating.presented.lock().unwrap(), ["canary-rt-0", "canary-rt-1"]);
}

#[tokio::test]
async fn a_record_that_another_process_sealed_anew_is_refreshed_once_by_each_that_is_asked() {
    let server = Server::start();
    let rotating = Rotating::default();
    let rotated = || ring("new", 8).with_reader(key("old", 7)).unwrap();
    rotating.manager(&server, ring("old", 7)).await.token().await.unwrap();
    let (a, b) =
        (rotating.manager(&server, rotated()).await, rotating.manager(&server, rotated()).await);
    let (held, other) = (a.token().await.unwrap(), b.token().await.unwrap());
    assert_eq!(held.version(), other.version());
    let store = SealedStore::new(RedisStore::open(server.url()).await.unwrap(), rotated());
    let report = store.reseal_all().await.unwrap();
    assert_eq!((report.resealed(), report.is_complete()), (1, true));
    a.refresh_now().await.unwrap();
    let newest = b.renew(&other).await.unwrap();
    assert_eq!(newest.expose_secret(), "canary-at-2");
    b.refresh_now().await.unwrap();
    assert_eq!(*rotating.presented.lock().unwrap(), ["canary-rt-0", "canary-rt-1", "canary-rt-2"]);
}

/// Its records are not trusted until all have had the time to say what they know; sealing one anew must not hide that.
#[tokio::test]
async fn what_is_sealed_anew_after_a_fall_back_is_still_not_trusted_at_once() {
    let mut server = Server::with(&["--save", "3600 1"]);
    let rotating = Rotating::default();
    rotating.manager(&server, ring("old", 7)).await.token().await.unwrap();
    let () = server.ask(&["SAVE"]);
    server.restart();
    let rotated = ring("new", 8).with_reader(key("old", 7)).unwrap();
    let store = SealedStore::new(RedisStore::open(server.url()).await.unwrap(), rotated.clone());
    let report = store.reseal_all().await.unwrap();
    assert_eq!((report.resealed(), report.is_complete()), (1, true));
    let page = store.list(None).await.unwrap();
    let (record, provenance) = store.load(&page.keys()[0]).await.unwrap().unwrap();
    assert!(!provenance.is_broken(), "only the record itself tells it now");
    assert!(String::from_utf8_lossy(record.bytes()).contains("\"settling\": true"));
    let tokens = rotating.manager(&server, rotated).await;
    tokens.refresh_now().await.unwrap();
    assert_eq!(*rotating.presented.lock().unwrap(), ["canary-rt-0", "canary-rt-1"]);
}

#[tokio::test]
async fn a_changed_record_on_the_server_is_refused_and_a_login_gets_past_it() {
    let server = Server::start();
    let rotating = Rotating::default();
    rotating.manager(&server, ring("k", 7)).await.token().await.unwrap();
    let name = server.only_key();
    let record: String = server.ask(&["HGET", &name, "b"]);
    let changed = record.replacen("\"epoch\":1", "\"epoch\":2", 1);
    let () = server.ask(&["HSET", &name, "b", &changed]);
    let tokens = rotating.manager(&server, ring("k", 7)).await;
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.store_error().unwrap().kind(), StoreErrorKind::Corrupt, "{error}");
    assert_eq!(rotating.presented.lock().unwrap().len(), 1);
    tokens.login(TokenSet::new("canary-at-login")).await.unwrap();
    let names: Vec<String> = server.ask(&["KEYS", "*unreadable*"]);
    let aside: String = server.ask(&["HGET", &names[0], "b"]);
    assert_eq!(aside, changed);
}
