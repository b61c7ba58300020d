//! Replicas that have a record or do not, and servers that fall back to an older state.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::fmt;
use std::time::{Duration, Instant};

use token_core::store::{Durability, Expect, Provenance, StoreError, Swap, TokenStore, Versioned};
use token_store_redis::RedisStore;

use support::proxy::Proxy;
use support::{Server, free_port, fresh, grant};

async fn open(server: &Server) -> RedisStore {
    support::patient(server.url()).open().await.unwrap()
}

async fn write(store: &RedisStore, expect: Expect, new: &Versioned) -> Result<Swap, StoreError> {
    store.compare_and_swap(&grant("billing-api"), expect, new, Durability::Durable).await
}

/// Writes, and says whether it lasts and what the replaced record was written under.
async fn put(
    store: &RedisStore,
    before: Option<&Versioned>,
    new: &Versioned,
) -> (bool, Provenance) {
    let expect = before.map_or(Expect::Absent, |before| Expect::Is(before.stamp()));
    match write(store, expect, new).await.unwrap() {
        Swap::Won { durable, replaced } => (durable, replaced),
        Swap::Lost(current) => panic!("lost to {current:?}"),
    }
}

/// Writes until a record lasts, however slow the machine.
async fn put_lasting(store: &RedisStore, mut before: Option<Versioned>) -> Versioned {
    let start = Instant::now();
    loop {
        let new = fresh();
        if put(store, before.as_ref(), &new).await.0 {
            return new;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "no record lasts");
        before = Some(new);
    }
}

async fn load(store: &RedisStore) -> Option<(Versioned, Provenance)> {
    store.load(&grant("billing-api")).await.unwrap()
}

#[tokio::test]
async fn what_counts_as_durable_is_on_a_replica() {
    let (master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let store = open(&master).await;
    let mut before = None;
    for _ in 0..20 {
        let new = put_lasting(&store, before).await;
        // Not eventually: now.
        let key = master.only_key();
        let stamp: Option<String> = replica.ask(&["HGET", &key, "v"]);
        assert_eq!(stamp, Some(new.stamp().to_string()));
        before = Some(new);
    }
}

#[tokio::test]
async fn what_a_stopped_replica_does_not_have_is_not_durable() {
    let (master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let (store, other) = (open(&master).await, open(&master).await);
    let second = fresh();
    let first = put_lasting(&store, None).await;
    replica.stop();
    assert!(!put(&store, Some(&first), &second).await.0);
    // It is in all the same, and everybody sees it meanwhile.
    assert_eq!(load(&other).await.unwrap().0, second);
    replica.go_on();
    put_lasting(&store, Some(second)).await;
}

#[tokio::test]
async fn the_first_replica_is_waited_for_as_soon_as_it_is_there() {
    let (master, replica) = (Server::start(), Server::start());
    let store = open(&master).await;
    let (first, second) = (fresh(), fresh());
    assert!(put(&store, None, &first).await.0, "there is nobody to wait for");
    replica.follow(&master);
    replica.stop();
    assert!(!put(&store, Some(&first), &second).await.0);
    replica.go_on();
}

#[tokio::test]
async fn replicas_that_have_to_be_there_are_missed() {
    let (master, replica) = (Server::start(), Server::start());
    let store = RedisStore::builder(master.url()).replicas(1).open().await.unwrap();
    let none = RedisStore::builder(master.url()).replicas(0).open().await.unwrap();
    let (first, third) = (fresh(), fresh());
    assert!(!put(&store, None, &first).await.0);
    replica.follow(&master);
    let second = put_lasting(&store, Some(first)).await;
    replica.stop();
    assert!(put(&none, Some(&second), &third).await.0, "it was told to wait for none");
    replica.go_on();
}

/// Who looks after the failover is told that something may be missing, and so is who writes without having looked.
#[tokio::test]
async fn a_failover_that_loses_a_record_is_told() {
    let (mut master, replica) = (Server::start(), Server::start());
    let proxy = Proxy::to(master.port());
    let store = RedisStore::open(support::url(proxy.port(), None)).await.unwrap();
    let first = fresh();
    put(&store, None, &first).await;
    replica.follow(&master);
    // It takes over before it has the second.
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    let second = fresh();
    put(&store, Some(&first), &second).await;
    proxy.lead_to(replica.port());
    master.kill();

    let (found, provenance) = load(&store).await.unwrap();
    assert_eq!(found, first);
    assert!(provenance.is_broken(), "{provenance:?}");
    // The connection of the writes may find only now that the other one is gone.
    let third = fresh();
    let swapped = match write(&store, Expect::Is(first.stamp()), &third).await {
        Err(_) => write(&store, Expect::Is(first.stamp()), &third).await.unwrap(),
        Ok(swapped) => swapped,
    };
    let Swap::Won { replaced, .. } = swapped else { panic!("{swapped:?}") };
    assert!(replaced.is_broken(), "{replaced:?}");
    let (found, provenance) = load(&store).await.unwrap();
    assert_eq!(found, third);
    assert!(!provenance.is_broken(), "{provenance:?}");
}

#[tokio::test]
async fn a_failover_that_loses_nothing_is_told_as_well() {
    let (mut master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let proxy = Proxy::to(master.port());
    let store = RedisStore::open(support::url(proxy.port(), None)).await.unwrap();
    let first = put_lasting(&store, None).await;
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    proxy.lead_to(replica.port());
    master.kill();
    let (found, provenance) = load(&store).await.unwrap();
    assert_eq!(found, first);
    // Nobody can know that it lost nothing.
    assert!(provenance.is_broken(), "{provenance:?}");
}

/// The address leads to the new master, and the connections still to the old one, which is its replica now.
#[tokio::test]
async fn a_master_that_becomes_a_replica_is_left() {
    let (master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let proxy = Proxy::to(master.port());
    let store = RedisStore::open(support::url(proxy.port(), None)).await.unwrap();
    let first = put_lasting(&store, None).await;
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    proxy.lead_to(replica.port());
    master.follow(&replica);
    let found = past_a_replica(async || store.load(&grant("billing-api")).await).await;
    assert_eq!(found.unwrap().0, first);
    let second = fresh();
    let swapped = past_a_replica(async || write(&store, Expect::Is(first.stamp()), &second).await);
    assert!(matches!(swapped.await, Swap::Won { .. }));
    put_lasting(&store, Some(second)).await;
}

/// Asks a server that is a replica now until another one answers: a connection that was made a moment ago is kept.
async fn past_a_replica<T: fmt::Debug>(ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let start = Instant::now();
    let mut error = ask().await.expect_err("the connection still leads to the replica");
    loop {
        assert!(error.to_string().contains("it is a replica"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(60), "it stays with the replica");
        tokio::time::sleep(Duration::from_millis(10)).await;
        match ask().await {
            Ok(answer) => return answer,
            Err(again) => error = again,
        }
    }
}

/// A failover by Sentinels leaves the old master a master for some eight seconds: what it shows is whole, and of no use.
#[tokio::test]
async fn a_master_that_has_lost_its_replicas_is_left() {
    let (master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let proxy = Proxy::to(master.port());
    let builder = RedisStore::builder(support::url(proxy.port(), None)).replicas(1);
    let store = builder.open().await.unwrap();
    let first = put_lasting(&store, None).await;
    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    let successor = Server::start();
    successor.follow(&replica);
    proxy.lead_to(replica.port());
    let start = Instant::now();
    loop {
        let (found, provenance) = load(&store).await.unwrap();
        assert_eq!(found, first);
        if provenance.is_broken() {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it stays with the old master");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A master that goes on after its replica was made one, and what leads to it and then to the other.
struct Handover {
    proxy: Proxy,
    store: RedisStore,
    /// What both have.
    common: Versioned,
    /// What only the former master has.
    former: Versioned,
    _servers: [Server; 3],
}

impl Handover {
    /// The store's connection for writes leads to the former master.
    async fn new() -> Self {
        let (master, replica, successor) = (Server::start(), Server::start(), Server::start());
        replica.follow(&master);
        let proxy = Proxy::to(master.port());
        let builder = RedisStore::builder(support::url(proxy.port(), None)).replicas(1);
        let store = builder.open().await.unwrap();
        let common = put_lasting(&store, None).await;
        let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
        successor.follow(&replica);
        let former = fresh();
        let direct = RedisStore::builder(master.url()).replicas(0).open().await.unwrap();
        put(&direct, Some(&common), &former).await;
        proxy.lead_to(replica.port());
        // A connection that was made less than 100 ms ago is not left.
        tokio::time::sleep(Duration::from_millis(200)).await;
        Self { proxy, store, common, former, _servers: [master, replica, successor] }
    }
}

#[tokio::test]
async fn writes_follow_the_looks_away_from_a_former_master() {
    let Handover { store, common, proxy: _proxy, _servers, .. } = Handover::new().await;
    let start = Instant::now();
    while load(&store).await.unwrap().0 != common {
        assert!(start.elapsed() < Duration::from_secs(60), "the looks stay with the former master");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    put(&store, Some(&common), &fresh()).await;
}

#[tokio::test]
async fn a_write_that_a_former_master_refuses_goes_to_the_new_one_next() {
    let Handover { store, common, former, proxy: _proxy, _servers } = Handover::new().await;
    let start = Instant::now();
    loop {
        match write(&store, Expect::Is(common.stamp()), &fresh()).await.unwrap() {
            Swap::Won { .. } => return,
            Swap::Lost(current) => assert_eq!(current.as_ref(), Some(&former)),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it stays with the former master");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_former_master_that_takes_no_writes_without_replicas_is_left() {
    let Handover { store, common, proxy: _proxy, _servers, .. } = Handover::new().await;
    let () = _servers[0].ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let start = Instant::now();
    loop {
        match write(&store, Expect::Is(common.stamp()), &fresh()).await {
            Ok(Swap::Won { .. }) => return,
            Ok(Swap::Lost(current)) => panic!("{current:?} is on the former master alone"),
            Err(error) => assert!(error.to_string().contains("min-replicas-to-write"), "{error}"),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it stays with the former master");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A replica may be missing for days, and no new connection be had meanwhile: the one that is there goes on.
#[tokio::test]
async fn a_connection_is_left_only_for_another_one() {
    let (master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let proxy = Proxy::to(master.port());
    let builder = RedisStore::builder(support::url(proxy.port(), None)).replicas(1);
    let store = builder.open().await.unwrap();
    let record = put_lasting(&store, None).await;
    drop(replica);
    proxy.lead_to(free_port());
    let start = Instant::now();
    // The first doubts come after 1 s and after 2 s more.
    while start.elapsed() < Duration::from_secs(5) {
        assert_eq!(load(&store).await.unwrap().0, record);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_comes_back_with_an_older_state_is_told() {
    let mut server = Server::start();
    let store = open(&server).await;
    let (first, second) = (fresh(), fresh());
    put(&store, None, &first).await;
    let () = server.ask(&["SAVE"]);
    put(&store, Some(&first), &second).await;
    server.restart();
    let (found, provenance) = load(&store).await.unwrap();
    assert_eq!(found, first);
    assert!(provenance.is_broken(), "{provenance:?}");
}

#[tokio::test]
async fn a_server_that_comes_back_empty_has_no_record() {
    let mut server = Server::start();
    let store = open(&server).await;
    put(&store, None, &fresh()).await;
    server.restart();
    assert_eq!(load(&store).await, None);
}

#[tokio::test]
async fn a_server_that_writes_each_command_to_its_disk_keeps_all() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = open(&server).await;
    let (first, second) = (fresh(), fresh());
    put(&store, None, &first).await;
    put(&store, Some(&first), &second).await;
    server.restart();
    assert_eq!(load(&store).await.unwrap().0, second);
}
