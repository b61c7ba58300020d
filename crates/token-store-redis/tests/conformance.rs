//! The suite for stores, against a real server, with processes that are killed.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use token_core::store::sealed::{KeyRing, SealedStore, SealingKey};
use token_core::store::{
    Durability, Expect, MemoryStore, Stamp, StoreErrorKind, StoreKey, TokenStore, Versioned,
};
use token_store_redis::RedisStore;
use token_testkit::conformance::{self, Storm, Subject};

use support::Server;
use support::proxy::{Proxy, Route};

token_testkit::conformance_tests!(Redis::new());

const PLACE: &str = "TOKEN_STORE_REDIS_TEST_URL";

/// The other process: this binary, told to run this test alone.
#[test]
fn process() {
    if conformance::started_by_the_suite() {
        let url = std::env::var(PLACE).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        // The suite has a runtime of its own: the store connects anew there.
        let store = runtime.block_on(RedisStore::open(url)).unwrap();
        drop(runtime);
        if std::env::var_os(SEALED).is_some() {
            conformance::write_until_killed(&sealed(store));
        } else {
            conformance::write_until_killed(&store);
        }
    }
}

#[test]
fn hundreds_of_kills_lose_nothing() {
    let redis = Redis::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let weathered = runtime.block_on(Storm::new(300).run(&redis)).unwrap();
    assert!(weathered.won >= 300, "{weathered:?}");
}

struct Redis {
    server: Mutex<Server>,
    proxy: Proxy,
    /// How many times answers or writes were lost.
    lost: AtomicUsize,
}

impl Redis {
    fn new() -> Self {
        let server = Server::with(&["--save", "3600 1"]);
        let proxy = Proxy::to(server.port());
        Self { server: Mutex::new(server), proxy, lost: AtomicUsize::new(0) }
    }

    fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.server.lock().unwrap().ask(words)
    }

    /// The server comes back with older records than it had, as after a loss of its last seconds.
    fn fall_back(&self, older: impl Fn(&StoreKey) -> String) {
        let keys: Vec<String> = self.ask(&["KEYS", "*"]);
        for key in keys {
            let grant: String = self.ask(&["HGET", &key, "k"]);
            let record = older(&grant.parse().unwrap());
            let () = self.ask(&["HSET", &key, "v", &OLDER.to_string(), "b", &record]);
        }
        let () = self.ask(&["SAVE"]);
        self.server.lock().unwrap().restart();
    }
}

/// The stamp of what a server fell back to.
const OLDER: Stamp = Stamp::from_bytes([7; 16]);

impl Subject for Redis {
    type Store = RedisStore;

    async fn client(&self) -> RedisStore {
        RedisStore::open(support::url(self.proxy.port(), None)).await.unwrap()
    }

    fn process(&self) -> Option<Command> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process", "--nocapture"]);
        command.env(PLACE, support::url(self.proxy.port(), None));
        Some(command)
    }

    fn fail(&self, kind: StoreErrorKind) -> bool {
        match kind {
            StoreErrorKind::Refused => {
                let () = self.ask(&["CONFIG", "SET", "min-replicas-to-write", "3"]);
            }
            StoreErrorKind::Indeterminate => {
                let lost = self.lost.fetch_add(1, Ordering::Relaxed);
                self.proxy.set([Route::LoseAnswersToWrites, Route::LoseWrites][lost % 2]);
            }
            _ => return false,
        }
        true
    }

    fn recover(&self) {
        let () = self.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
        self.proxy.set(Route::Open);
    }

    fn damage(&self, grant: &StoreKey) -> bool {
        let keys: Vec<String> = self.ask(&["KEYS", "*"]);
        for key in keys {
            let owner: Option<String> = self.ask(&["HGET", &key, "k"]);
            let aside = key.contains(":unreadable-");
            if !aside && owner.as_deref() == Some(grant.as_str()) {
                let () = self.ask(&["HSET", &key, "v", "rt-5ecret"]);
                return true;
            }
        }
        false
    }

    fn regress(&self) -> bool {
        self.fall_back(|_| "older".to_owned());
        true
    }
}

mod with_seals {
    use super::*;

    token_testkit::conformance_tests!(Sealed(Redis::new()));
}

/// Tells the other process to seal too.
const SEALED: &str = "TOKEN_STORE_REDIS_TEST_SEALED";

fn sealed<S: TokenStore>(store: S) -> SealedStore<S> {
    SealedStore::new(store, KeyRing::new(SealingKey::new("k", &[7; 32]).unwrap()))
}

/// The same server with sealed records.
struct Sealed(Redis);

impl Subject for Sealed {
    type Store = SealedStore<RedisStore>;

    async fn client(&self) -> SealedStore<RedisStore> {
        sealed(self.0.client().await)
    }

    fn process(&self) -> Option<Command> {
        let mut command = self.0.process()?;
        command.env(SEALED, "1");
        Some(command)
    }

    fn fail(&self, kind: StoreErrorKind) -> bool {
        self.0.fail(kind)
    }

    fn recover(&self) {
        self.0.recover();
    }

    fn damage(&self, grant: &StoreKey) -> bool {
        self.0.damage(grant)
    }

    fn regress(&self) -> bool {
        self.0.fall_back(|grant| {
            std::thread::scope(|scope| scope.spawn(|| older(grant)).join()).unwrap()
        });
        true
    }
}

/// An older record of this grant as it was sealed. On a thread of its own, for the check has a runtime here.
fn older(grant: &StoreKey) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let memory = MemoryStore::new();
        let record = Versioned::new(OLDER, "older".into());
        let store = sealed(memory.clone());
        store.compare_and_swap(grant, Expect::Absent, &record, Durability::Visible).await.unwrap();
        let (found, _) = memory.load(grant).await.unwrap().unwrap();
        String::from_utf8(found.bytes().to_vec()).unwrap()
    })
}
