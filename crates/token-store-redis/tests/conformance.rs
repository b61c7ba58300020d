//! The suite for stores, against a real server, with processes that are killed.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use token_core::store::{StoreErrorKind, StoreKey};
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
        conformance::write_until_killed(&store);
    }
}

#[test]
fn hundreds_of_kills_lose_nothing() {
    let redis = Redis::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let weathered = runtime.block_on(Storm::new(300).run(&redis)).unwrap();
    assert!(weathered.won > 300, "{weathered:?}");
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
}

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

    /// The server comes back with older records than it had, as after a loss of its last seconds.
    fn regress(&self) -> bool {
        let keys: Vec<String> = self.ask(&["KEYS", "*"]);
        for key in keys {
            let older = "07070707070707070707070707070707";
            let () = self.ask(&["HSET", &key, "v", older, "b", "older"]);
        }
        let () = self.ask(&["SAVE"]);
        self.server.lock().unwrap().restart();
        true
    }
}
