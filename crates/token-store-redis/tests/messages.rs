//! Messages about changes, and what happens without them.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::time::{Duration, Instant};

use token_core::store::{Durability, Expect, Stamp, Swap, TokenStore};
use token_store_redis::RedisStore;

use support::proxy::Proxy;
use support::{Server, fresh, grant};

const LONG: Duration = Duration::from_secs(600);

async fn write(store: &RedisStore, expect: Expect) -> Stamp {
    let (grant, new) = (grant("billing-api"), fresh());
    let swap = store.compare_and_swap(&grant, expect, &new, Durability::Durable);
    assert!(matches!(swap.await.unwrap(), Swap::Won { .. }));
    new.stamp()
}

/// How many scripts the server has run.
fn scripts(server: &Server) -> u64 {
    let info: String = server.ask(&["INFO", "commandstats"]);
    let calls = info.split_once("cmdstat_eval:calls=").map(|(_, rest)| rest);
    calls.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap_or(0)
}

async fn until(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not happen");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn subscribers(server: &Server, channel: &str) -> u64 {
    let (_, number): (String, u64) = server.ask(&["PUBSUB", "NUMSUB", channel]);
    number
}

/// Without messages three hundred looks would take minutes.
#[tokio::test]
async fn a_message_is_followed_by_a_look() {
    let server = Server::start();
    let store = RedisStore::open(server.url()).await.unwrap();
    let stamp = write(&store, Expect::Absent).await;
    let key = server.only_key();
    let watching = tokio::spawn({
        let store = store.clone();
        async move { store.changed(&grant("billing-api"), Some(stamp), LONG).await }
    });
    until(|| subscribers(&server, &key) == 1).await;
    let start = Instant::now();
    for _ in 0..300 {
        let before = scripts(&server);
        let heard: u64 = server.ask(&["PUBLISH", &key, "anything"]);
        assert_eq!(heard, 1);
        until(|| scripts(&server) > before).await;
        assert!(start.elapsed() < Duration::from_secs(100), "nobody looks");
    }
    assert!(!watching.is_finished(), "nothing has changed");
    write(&store, Expect::Is(stamp)).await;
    watching.await.unwrap().unwrap();
}

#[tokio::test]
async fn messages_come_again_after_the_connection_was_lost() {
    let server = Server::start();
    let store = RedisStore::open(server.url()).await.unwrap();
    let stamp = write(&store, Expect::Absent).await;
    let key = server.only_key();
    let watching = tokio::spawn({
        let store = store.clone();
        async move { store.changed(&grant("billing-api"), Some(stamp), LONG).await }
    });
    for _ in 0..3 {
        until(|| subscribers(&server, &key) == 1).await;
        let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    }
    until(|| subscribers(&server, &key) == 1).await;
    assert!(!watching.is_finished());
    write(&store, Expect::Is(stamp)).await;
    watching.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_change_is_seen_without_a_message() {
    let server = Server::start();
    let store = RedisStore::open(server.url()).await.unwrap();
    let stamp = write(&store, Expect::Absent).await;
    let key = server.only_key();
    let watching = tokio::spawn({
        let store = store.clone();
        async move { store.changed(&grant("billing-api"), Some(stamp), LONG).await }
    });
    until(|| subscribers(&server, &key) == 1).await;
    let _: i64 = server.ask(&["HSET", &key, "v", &Stamp::random().to_string()]);
    watching.await.unwrap().unwrap();
}

/// Whoever is not told that the connection is gone asks on it in vain, and then on another.
#[tokio::test]
async fn a_watch_survives_a_failover() {
    let (mut master, replica) = (Server::start(), Server::start());
    let proxy = Proxy::to(master.port());
    let store = RedisStore::open(support::url(proxy.port(), None)).await.unwrap();
    let stamp = write(&store, Expect::Absent).await;
    replica.follow(&master);
    let key = master.only_key();
    let watching = tokio::spawn({
        let store = store.clone();
        async move {
            // The watch itself may fail while nobody is there; whoever watches comes back.
            while store.changed(&grant("billing-api"), Some(stamp), LONG).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    until(|| subscribers(&master, &key) == 1).await;
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    proxy.lead_to(replica.port());
    master.kill();
    until(|| subscribers(&replica, &key) == 1).await;
    let other = RedisStore::open(replica.url()).await.unwrap();
    write(&other, Expect::Is(stamp)).await;
    watching.await.unwrap();
}
