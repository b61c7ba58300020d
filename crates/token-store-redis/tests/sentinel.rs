//! Sentinels, which know which server is the master now.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::time::{Duration, Instant};

use token_core::store::{Durability, Expect, StoreError, Swap, TokenStore, Versioned};
use token_store_redis::RedisStore;

use support::{Server, fresh, grant};

/// A master with a replica, and a Sentinel that knows both.
fn trio() -> (Server, Server, Server) {
    let (master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let sentinel = Server::sentinel_of(&master, &[]);
    sentinel.until_it_knows(&replica);
    (master, replica, sentinel)
}

fn url(hosts: &str) -> String {
    format!("redis+sentinel://{hosts}/mymaster")
}

fn host(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

async fn open(sentinel: &Server) -> RedisStore {
    support::patient(url(&host(sentinel))).open().await.unwrap()
}

async fn write(store: &RedisStore, expect: Expect, new: &Versioned) -> Result<Swap, StoreError> {
    store.compare_and_swap(&grant("billing-api"), expect, new, Durability::Durable).await
}

/// Writes until it is won and lasts; what failed on the way was about the server that is gone.
async fn put(store: &RedisStore, lasting: bool) -> Versioned {
    let start = Instant::now();
    loop {
        let current = store.load(&grant("billing-api")).await;
        let expect =
            current.map(|found| found.map_or(Expect::Absent, |(r, _)| Expect::Is(r.stamp())));
        if let Ok(expect) = expect {
            let new = fresh();
            if let Ok(Swap::Won { durable, .. }) = write(store, expect, &new).await
                && durable == lasting
            {
                return new;
            }
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_store_follows_a_failover_after_a_crash() {
    let (mut master, replica, sentinel) = trio();
    let store = open(&sentinel).await;
    let first = put(&store, true).await;
    master.kill();
    sentinel.until_it_names(&replica);
    let start = Instant::now();
    let (found, provenance) = loop {
        match store.load(&grant("billing-api")).await {
            Ok(found) => break found.unwrap(),
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
    };
    assert_eq!(found, first);
    assert!(provenance.is_broken(), "{provenance:?}");
    // There is no replica now, and there has to be one.
    put(&store, false).await;
}

#[tokio::test]
async fn a_store_follows_a_failover_by_hand() {
    let (master, replica, sentinel) = trio();
    let store = open(&sentinel).await;
    put(&store, true).await;
    let () = sentinel.ask(&["SENTINEL", "FAILOVER", "mymaster"]);
    sentinel.until_it_names(&replica);
    // The old master is there all the time, and becomes a replica.
    let last = put(&store, true).await;
    replica.until("replication", |info| info.contains("role:master"));
    let key = replica.only_key();
    assert_eq!(replica.ask::<String>(&["HGET", &key, "v"]), last.stamp().to_string());
    master.until("replication", |info| info.contains("role:slave"));
}

#[tokio::test]
async fn a_replica_has_to_be_there_unless_told_otherwise() {
    let master = Server::start();
    let sentinel = Server::sentinel_of(&master, &[]);
    let new = fresh();
    let store = open(&sentinel).await;
    let swapped = write(&store, Expect::Absent, &new).await.unwrap();
    assert!(matches!(swapped, Swap::Won { durable: false, .. }), "{swapped:?}");
    let store = RedisStore::builder(url(&host(&sentinel))).replicas(0).open().await.unwrap();
    let swapped = write(&store, Expect::Is(new.stamp()), &fresh()).await.unwrap();
    assert!(matches!(swapped, Swap::Won { durable: true, .. }), "{swapped:?}");
}

#[tokio::test]
async fn one_sentinel_that_answers_is_enough() {
    let master = Server::start();
    let sentinel = Server::sentinel_of(&master, &[]);
    let dead = support::free_port();
    let hosts = format!("127.0.0.1:{dead},{},127.0.0.1:{dead}", host(&sentinel));
    RedisStore::open(url(&hosts)).await.unwrap();
}

#[tokio::test]
async fn logins_of_the_server_and_of_the_sentinels_are_apart() {
    let master = Server::with(&["--requirepass", "secret"]);
    let sentinel = Server::sentinel_of(&master, &["--requirepass", "sentinels"]);
    let url = format!("redis+sentinel://:secret@{}/mymaster", host(&sentinel));
    let text = RedisStore::open(&url).await.unwrap_err().to_string();
    assert!(text.contains("sentinel_login"), "{text}");
    let wrong = RedisStore::builder(&url).sentinel_login("default", "pa55word");
    let text = wrong.open().await.unwrap_err().to_string();
    assert!(text.contains("sentinel_login") && !text.contains("pa55word"), "{text}");
    let right = RedisStore::builder(&url).sentinel_login("default", "sentinels");
    right.open().await.unwrap();
}

#[tokio::test]
async fn sentinels_that_help_nobody() {
    let master = Server::start();
    let sentinel = Server::sentinel_of(&master, &[]);
    let told = async |url: &str| RedisStore::open(url).await.unwrap_err().to_string();
    let other = format!("redis+sentinel://{}/other", host(&sentinel));
    let text = told(&other).await;
    assert!(text.contains("knows a server of the name \"other\""), "{text}");
    let text = told(&url(&host(&master))).await;
    assert!(text.contains("may be no Sentinel"), "{text}");
    let dead = format!("127.0.0.1:{}", support::free_port());
    let text = told(&url(&dead)).await;
    assert!(text.contains(&dead) && text.contains("correct the hosts of the URL"), "{text}");
    let text = told(&sentinel.url()).await;
    assert!(text.contains("it is a Sentinel") && text.contains("redis+sentinel://"), "{text}");
}
