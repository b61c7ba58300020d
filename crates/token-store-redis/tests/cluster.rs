//! Clusters: the suite for stores over three masters, keys that move, and masters that die.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use token_core::store::{
    Durability, Expect, Stamp, StoreError, StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};
use token_store_redis::RedisStore;
use token_testkit::conformance::{self, Subject};

use support::cluster::Cluster;
use support::{Server, fresh, grant};

token_testkit::conformance_tests!(Three::new());

const PLACE: &str = "TOKEN_STORE_REDIS_TEST_CLUSTER";

/// The other process: this binary, told to run this test alone.
#[test]
fn process() {
    if conformance::started_by_the_suite() {
        let url = std::env::var(PLACE).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let store = runtime.block_on(RedisStore::builder(url).replicas(0).open()).unwrap();
        drop(runtime);
        conformance::write_until_killed(&store);
    }
}

/// Without replicas, which no check is about.
struct Three {
    cluster: Mutex<Cluster>,
    url: String,
}

impl Three {
    fn new() -> Self {
        let cluster = Cluster::start(false);
        Self { url: cluster.url(), cluster: Mutex::new(cluster) }
    }

    fn tell_all(&self, words: &[&str]) {
        for node in self.cluster.lock().unwrap().nodes() {
            let () = node.ask(words);
        }
    }
}

impl Subject for Three {
    type Store = RedisStore;

    async fn client(&self) -> RedisStore {
        RedisStore::builder(&self.url).replicas(0).open().await.unwrap()
    }

    fn process(&self) -> Option<Command> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process", "--nocapture"]).env(PLACE, &self.url);
        Some(command)
    }

    /// What is lost on the way is in the tests of a single server.
    fn fail(&self, kind: StoreErrorKind) -> bool {
        if kind == StoreErrorKind::Refused {
            self.tell_all(&["CONFIG", "SET", "min-replicas-to-write", "3"]);
        }
        kind == StoreErrorKind::Refused
    }

    fn recover(&self) {
        self.tell_all(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    }

    fn damage(&self, grant: &StoreKey) -> bool {
        let cluster = self.cluster.lock().unwrap();
        let (n, key) = cluster.owner(grant.as_str()).unwrap();
        let _: i64 = cluster.masters[n].ask(&["HDEL", &key, "b"]);
        true
    }

    /// The servers come back with older records than they had.
    fn regress(&self) -> bool {
        let mut cluster = self.cluster.lock().unwrap();
        for master in &mut cluster.masters {
            let keys: Vec<String> = master.ask(&["KEYS", "*"]);
            for key in keys {
                let older = "07070707070707070707070707070707";
                let () = master.ask(&["HSET", &key, "v", older, "b", "older"]);
            }
            let () = master.ask(&["SAVE"]);
            master.restart();
        }
        cluster.until_whole();
        true
    }
}

async fn write(store: &RedisStore, expect: Expect, new: &Versioned) -> Result<Swap, StoreError> {
    store.compare_and_swap(&grant("billing-api"), expect, new, Durability::Durable).await
}

/// Writes until it is won and on a replica; what failed on the way was about the server that is gone.
async fn put(store: &RedisStore) -> Versioned {
    until(async || {
        let current = store.load(&grant("billing-api")).await.ok()?;
        let expect = current.map_or(Expect::Absent, |(record, _)| Expect::Is(record.stamp()));
        let new = fresh();
        match write(store, expect, &new).await {
            Ok(Swap::Won { durable: true, .. }) => Some(new),
            _ => None,
        }
    })
    .await
}

async fn until<T>(look: impl AsyncFn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "it does not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_store_follows_a_failover() {
    let mut cluster = Cluster::start(true);
    let store = RedisStore::open(cluster.whole_url()).await.unwrap();
    let first = put(&store).await;
    let (owner, key) = cluster.owner("billing-api").unwrap();
    let mut replica = cluster.replicas[owner].connection();
    let () = redis::cmd("READONLY").query(&mut replica).unwrap();
    let stamp: String = redis::cmd("HGET").arg(&key).arg("v").query(&mut replica).unwrap();
    assert_eq!(stamp, first.stamp().to_string());
    cluster.masters[owner].kill();
    let (found, provenance) =
        until(async || store.load(&grant("billing-api")).await.ok().flatten()).await;
    assert_eq!(found, first);
    assert!(provenance.is_broken(), "{provenance:?}");
    // There is no replica of it now, and there has to be one.
    let new = fresh();
    let swapped = until(async || write(&store, Expect::Is(first.stamp()), &new).await.ok()).await;
    let known = matches!(swapped, Swap::Won { durable: false, .. })
        || matches!(&swapped, Swap::Lost(Some(current)) if current.stamp() == new.stamp());
    assert!(known, "{swapped:?}");
}

#[tokio::test]
async fn a_store_follows_a_key_that_moves() {
    let cluster = Cluster::start(false);
    let store = RedisStore::builder(cluster.url()).replicas(0).open().await.unwrap();
    let first = put_alone(&store, None).await;
    let (owner, key) = cluster.owner("billing-api").unwrap();
    let (from, to) = (&cluster.masters[owner], &cluster.masters[(owner + 1) % 3]);
    move_slot(from, to, &key, &cluster);
    assert_eq!(store.load(&grant("billing-api")).await.unwrap().unwrap().0, first);
    let second = put_alone(&store, Some(&first)).await;
    assert_eq!(to.ask::<String>(&["HGET", &key, "v"]), second.stamp().to_string());
    assert_eq!(store.list(None).await.unwrap().keys(), [grant("billing-api")]);
}

#[tokio::test]
async fn channels_that_nobody_waits_for_are_given_up_on_each_node() {
    let cluster = Cluster::start(false);
    let store = RedisStore::builder(cluster.url()).replicas(0).open().await.unwrap();
    for n in 0..300 {
        let grant = grant(&format!("grant-{n}"));
        // It learns which node has it. There is no record, so it does not wait.
        assert_eq!(store.load(&grant).await.unwrap(), None);
        store.changed(&grant, Some(Stamp::random()), Duration::from_secs(60)).await.unwrap();
    }
    let channels = |node: &Server| node.ask::<Vec<String>>(&["PUBSUB", "CHANNELS"]).len();
    let left: usize = cluster.masters.iter().map(channels).sum();
    assert!((1..=65).contains(&left), "{left}");
}

async fn put_alone(store: &RedisStore, before: Option<&Versioned>) -> Versioned {
    let new = fresh();
    let expect = before.map_or(Expect::Absent, |before| Expect::Is(before.stamp()));
    let swapped = write(store, expect, &new).await.unwrap();
    assert!(matches!(swapped, Swap::Won { durable: true, .. }), "{swapped:?}");
    new
}

/// As `redis-cli --cluster reshard` does it.
fn move_slot(from: &Server, to: &Server, key: &str, cluster: &Cluster) {
    let slot: u16 = from.ask(&["CLUSTER", "KEYSLOT", key]);
    let slot = slot.to_string();
    let id = |server: &Server| -> String { server.ask(&["CLUSTER", "MYID"]) };
    let (source, target) = (id(from), id(to));
    let () = to.ask(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
    let () = from.ask(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
    let port = to.port().to_string();
    let () = from.ask(&["MIGRATE", "127.0.0.1", &port, key, "0", "10000"]);
    for node in [to, from].into_iter().chain(cluster.nodes()) {
        let () = node.ask(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
    }
}

/// The line of the README, and what it adds for a cluster.
#[tokio::test]
async fn the_rights_of_the_readme_are_enough() {
    let cluster = Cluster::start(false);
    let readme = include_str!("../README.md");
    let line = readme.lines().find_map(|line| line.strip_prefix("ACL SETUSER tokens ")).unwrap();
    assert!(readme.contains("`+cluster|slots`"));
    for (more, enough) in [("+cluster|slots", true), ("-cluster|slots", false)] {
        for node in cluster.nodes() {
            let rules: Vec<&str> = line.split(' ').chain([more]).collect();
            let () = node.ask(&[&["ACL", "SETUSER", "tokens"], &rules[..]].concat());
        }
        let url = cluster.url().replace("//", "//tokens:secret@");
        let store = RedisStore::builder(url).replicas(0).open().await.unwrap();
        let before = store.load(&grant("billing-api")).await.unwrap();
        put_alone(&store, before.as_ref().map(|(record, _)| record)).await;
        let listed = store.list(None).await;
        let denied = |error: &StoreError| error.to_string().contains("denies a right");
        assert_eq!(listed.is_ok(), enough, "{listed:?}");
        assert!(listed.as_ref().err().is_none_or(denied), "{listed:?}");
    }
}

#[tokio::test]
async fn urls_that_lead_to_the_wrong_kind_of_server() {
    let (server, node) = (Server::start(), Cluster::start(false));
    let url = format!("redis+cluster://127.0.0.1:{}", server.port());
    let text = RedisStore::open(url).await.unwrap_err().to_string();
    assert!(text.contains("no node of a cluster") && text.contains("(cluster)"), "{text}");
    let text = RedisStore::open(node.masters[0].url()).await.unwrap_err().to_string();
    assert!(text.contains("use `redis+cluster://`"), "{text}");
}

#[tokio::test]
async fn a_cluster_that_is_not_whole() {
    let server = Server::with(&["--cluster-enabled", "yes"]);
    let url = format!("redis+cluster://127.0.0.1:{}", server.port());
    let text = RedisStore::open(url).await.unwrap_err().to_string();
    assert!(text.contains("a cluster that is not whole"), "{text}");
}

#[tokio::test]
async fn a_node_that_is_gone_is_made_up_for_by_another() {
    let cluster = Cluster::start(false);
    let url = format!(
        "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
        support::free_port(),
        cluster.masters[1].port()
    );
    RedisStore::open(url).await.unwrap();
}
