//! Servers and keys that cannot be used: each is an error that says what to do, and nothing is written over.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use token_core::store::{
    Durability, Expect, StoreError, StoreErrorKind, Swap, TokenStore, Versioned,
};
use token_store_redis::RedisStore;

use support::proxy::{Proxy, Route};
use support::{Server, free_port, fresh, grant};

/// What `open` says, which must name the server and show no password.
async fn refused(port: u16, url: &str) -> String {
    let error = RedisStore::open(url).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error}");
    let text = told(&error);
    assert!(text.contains(&format!("the Redis server 127.0.0.1:{port} ")), "{text}");
    text
}

fn told(error: &StoreError) -> String {
    let text = format!("{error} {error:?}");
    assert!(!text.contains("pa55word"), "{text}");
    error.to_string()
}

async fn open(server: &Server) -> RedisStore {
    support::patient(server.url()).open().await.unwrap()
}

async fn swap(store: &RedisStore, expect: Expect, new: &Versioned) -> Result<Swap, StoreError> {
    store.compare_and_swap(&grant("billing-api"), expect, new, Durability::Durable).await
}

/// Asks again until there is no error: an attempt to connect that failed counts for a moment.
async fn until_it_works<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> T {
    let start = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port on which everybody hears this and no more.
fn answering(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut client, _)) = listener.accept() {
            if answer.is_empty() {
                open.push(client);
                continue;
            }
            let _ = client.read(&mut [0; 1024]);
            let _ = client.write_all(answer);
        }
    });
    port
}

#[tokio::test]
async fn a_port_where_nothing_listens() {
    let port = support::free_port();
    let said = refused(port, &support::url(port, None)).await;
    assert!(said.contains("refused the connection: start it, or correct host and port"), "{said}");
}

#[tokio::test]
async fn a_host_that_never_answers() {
    let port = answering(b"");
    let builder = RedisStore::builder(support::url(port, Some("pa55word")));
    let builder = builder.connect_timeout(Duration::from_millis(200));
    let error = builder.answer_timeout(Duration::from_millis(200)).open().await.unwrap_err();
    assert!(told(&error).contains("could not be reached in time"), "{error}");
}

#[tokio::test]
async fn something_that_is_not_redis() {
    for (answer, advice) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "correct host and port of the URL"),
        // The alert of a TLS server.
        (b"\x15\x03\x01\x00\x02\x02\x46", "a port that expects TLS wants `rediss://`"),
    ] {
        let port = answering(answer);
        let said = refused(port, &support::url(port, None)).await;
        assert!(said.contains(advice), "{said}");
    }
}

#[tokio::test]
async fn a_password_that_is_missing_or_wrong() {
    let server = Server::with(&["--requirepass", "secret"]);
    let said = refused(server.port(), &support::url(server.port(), None)).await;
    assert!(said.contains("wants a password: put it into the URL"), "{said}");
    let said = refused(server.port(), &support::url(server.port(), Some("pa55word"))).await;
    assert!(said.contains("refuses the user or the password"), "{said}");
    open(&server).await;
}

#[tokio::test]
async fn a_database_that_is_not_there() {
    let server = Server::with(&["--databases", "2"]);
    RedisStore::open(format!("{}/1", server.url())).await.unwrap();
    let said = refused(server.port(), &format!("{}/2", server.url())).await;
    assert!(said.contains("2") && said.contains("database of the URL"), "{said}");
}

#[tokio::test]
async fn a_server_that_drops_keys() {
    let server = Server::with(&["--maxmemory-policy", "allkeys-lfu"]);
    let said = refused(server.port(), &server.url()).await;
    assert!(said.contains("`maxmemory-policy allkeys-lfu`"), "{said}");
    assert!(said.contains("set `noeviction` or a `volatile-` policy"), "{said}");
    let () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "volatile-lru"]);
    open(&server).await;
}

#[tokio::test]
async fn a_server_whose_memory_is_full_still_takes_a_record() {
    let server = Server::with(&["--maxmemory-policy", "noeviction"]);
    let store = open(&server).await;
    let first = fresh();
    swap(&store, Expect::Absent, &first).await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let full = server.try_command(&["SET", "another", "value"]).unwrap_err();
    assert_eq!(full.code(), Some("OOM"));

    let second = fresh();
    let swapped = swap(&store, Expect::Is(first.stamp()), &second).await.unwrap();
    assert!(matches!(swapped, Swap::Won { .. }), "{swapped:?}");
    // Also by a process that has just begun.
    let (found, _) = open(&server).await.load(&grant("billing-api")).await.unwrap().unwrap();
    assert_eq!(found, second);
    // And a login over what cannot be read, which needs room for both.
    let login = fresh();
    let aside = store.set_aside(&grant("billing-api"), Some(second.stamp()), &login).await;
    assert!(aside.unwrap().is_some());
}

#[tokio::test]
async fn a_replica() {
    let (master, replica) = (Server::start(), Server::start());
    let store = open(&replica).await;
    let first = fresh();
    swap(&store, Expect::Absent, &first).await.unwrap();
    // It becomes one while the store is open.
    replica.follow(&master);
    let error = swap(&store, Expect::Is(first.stamp()), &fresh()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(told(&error).contains("it is a replica: use the address of its master"), "{error}");
    for _ in 0..2 {
        let error = store.load(&grant("billing-api")).await.unwrap_err();
        assert!(told(&error).contains("it is a replica"), "{error}");
    }
    let said = refused(replica.port(), &replica.url()).await;
    assert!(said.contains("it is a replica"), "{said}");

    let () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(until_it_works(async || store.load(&grant("billing-api")).await).await, None);
}

/// However many grants look at once.
#[tokio::test]
async fn a_server_that_is_gone_is_tried_ten_times_a_second() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let store = RedisStore::open(support::url(proxy.port(), None)).await.unwrap();
    proxy.lead_to(free_port());
    let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    let before = proxy.connections();
    let start = Instant::now();
    let looks = (0..50).map(|_| async {
        let mut failed = 0;
        loop {
            failed += u32::from(store.load(&grant("billing-api")).await.is_err());
            if start.elapsed() >= Duration::from_secs(1) {
                return failed;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let failed: u32 = join_all(looks).await.into_iter().sum();
    let tried = proxy.connections() - before;
    // Each looks at least once, and the last of them may take their time.
    assert!(failed >= 50, "{failed}");
    let most = usize::try_from(start.elapsed().as_millis() / 100).unwrap() + 1;
    assert!((1..=most).contains(&tried), "{tried} connections for {failed} looks");
}

/// What is written there is gone with the next copy from its master.
#[tokio::test]
async fn a_replica_that_takes_writes() {
    let (master, server) = (Server::start(), Server::start());
    let store = open(&server).await;
    let first = fresh();
    swap(&store, Expect::Absent, &first).await.unwrap();
    let () = server.ask(&["CONFIG", "SET", "replica-read-only", "no"]);
    server.follow(&master);
    // It has the master's data now, which is nothing.
    let error = swap(&store, Expect::Absent, &fresh()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(told(&error).contains("it is a replica: use the address of its master"), "{error}");
    let keys: u64 = server.ask(&["DBSIZE"]);
    assert_eq!(keys, 0);
}

#[tokio::test]
async fn a_replica_that_has_lost_its_master() {
    let server = Server::with(&["--replica-serve-stale-data", "no"]);
    let store = open(&server).await;
    swap(&store, Expect::Absent, &fresh()).await.unwrap();
    let nobody = support::free_port().to_string();
    let () = server.ask(&["REPLICAOF", "127.0.0.1", &nobody]);
    let error = store.load(&grant("billing-api")).await.unwrap_err();
    assert!(told(&error).contains("a replica that has lost its master"), "{error}");
}

#[tokio::test]
async fn too_few_replicas() {
    let server = Server::start();
    let store = open(&server).await;
    let () = server.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let error = swap(&store, Expect::Absent, &fresh()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(told(&error).contains("`min-replicas-to-write`"), "{error}");
    assert_eq!(store.load(&grant("billing-api")).await.unwrap(), None);
}

#[tokio::test]
async fn a_node_of_a_cluster() {
    let server = Server::with(&["--cluster-enabled", "yes"]);
    let said = refused(server.port(), &server.url()).await;
    assert!(said.contains("use `redis+cluster://`"), "{said}");
}

#[tokio::test]
async fn a_server_that_still_reads_its_data() {
    // Two minutes of reading, and a look at the clients after each key.
    let mut server = Server::with(&[
        "--enable-debug-command",
        "local",
        "--rdbcompression",
        "no",
        "--key-load-delay",
        "50000",
        "--loading-process-events-interval-bytes",
        "1024",
    ]);
    let () = server.ask(&["DEBUG", "POPULATE", "2400", "key", "2048"]);
    let () = server.ask(&["SAVE"]);
    server.restart();
    let said = refused(server.port(), &server.url()).await;
    assert!(said.contains("still reading its data from the disk"), "{said}");
}

/// It cannot save, and is told to take no writes then, as it is by default where it saves at all.
#[tokio::test]
async fn a_server_that_cannot_save() {
    let server = Server::with(&["--save", "3600 1"]);
    let store = open(&server).await;
    let first = fresh();
    swap(&store, Expect::Absent, &first).await.unwrap();
    // A directory is where its file would be.
    let directory: Vec<String> = server.ask(&["CONFIG", "GET", "dir"]);
    let in_the_way = std::path::Path::new(&directory[1]).join("dump.rdb");
    std::fs::create_dir_all(in_the_way.join("full")).unwrap();
    let _: redis::Value = server.ask(&["BGSAVE"]);
    server.until("persistence", |info| info.contains("rdb_last_bgsave_status:err"));
    let error = swap(&store, Expect::Is(first.stamp()), &fresh()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(told(&error).contains("it cannot save to its disk: its log says why"), "{error}");
    // What is there can be read, by those who begin now too.
    let (found, _) = open(&server).await.load(&grant("billing-api")).await.unwrap().unwrap();
    assert_eq!(found, first);
    std::fs::remove_dir_all(in_the_way).unwrap();
    let _: redis::Value = server.ask(&["BGSAVE"]);
    server.until("persistence", |info| info.contains("rdb_last_bgsave_status:ok"));
    let swapped = swap(&store, Expect::Is(first.stamp()), &fresh()).await.unwrap();
    assert!(matches!(swapped, Swap::Won { .. }), "{swapped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_busy_with_a_script() {
    let server = Server::with(&["--busy-reply-threshold", "10"]);
    let store = open(&server).await;
    let first = fresh();
    swap(&store, Expect::Absent, &first).await.unwrap();
    let mut looping = server.connection();
    let script = std::thread::spawn(move || {
        let _ = redis::cmd("EVAL").arg("while true do end").arg(0).query::<()>(&mut looping);
    });
    let mut administrator = server.connection();
    let mut is_busy = || {
        let answer = redis::cmd("GET").arg("anything").query::<Option<String>>(&mut administrator);
        answer.is_err_and(|error| error.code() == Some("BUSY"))
    };
    while !is_busy() {
        tokio::task::yield_now().await;
    }
    let read = store.load(&grant("billing-api")).await.unwrap_err();
    let write = swap(&store, Expect::Is(first.stamp()), &fresh()).await.unwrap_err();
    let begin = RedisStore::open(server.url()).await.unwrap_err();
    for error in [read, write, begin] {
        assert_eq!(error.kind(), StoreErrorKind::Refused);
        assert!(told(&error).contains("end that with `SCRIPT KILL`, or wait"), "{error}");
    }
    let () = redis::cmd("SCRIPT").arg("KILL").query(&mut administrator).unwrap();
    script.join().unwrap();
    assert_eq!(store.load(&grant("billing-api")).await.unwrap().unwrap().0, first);
}

#[tokio::test]
async fn a_server_without_scripts() {
    let server = Server::with(&["--rename-command", "EVAL", ""]);
    let said = refused(server.port(), &server.url()).await;
    assert!(said.contains("does not know a command that this store needs"), "{said}");
}

#[tokio::test]
async fn a_write_without_an_answer_in_time() {
    let server = Server::start();
    let proxy = Proxy::to(server.port());
    let builder = RedisStore::builder(support::url(proxy.port(), None));
    let store = builder.answer_timeout(Duration::from_millis(500)).open().await.unwrap();
    let (patient, first) = (open(&server).await, fresh());
    swap(&patient, Expect::Absent, &first).await.unwrap();
    proxy.set(Route::HoldAnswersToWrites);
    let second = fresh();
    let error = swap(&store, Expect::Is(first.stamp()), &second).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Indeterminate);
    assert!(told(&error).contains("may have been written"), "{error}");
    assert!(told(&error).contains("did not answer in time"), "{error}");
    // It was, and the stamp says so.
    let start = Instant::now();
    while patient.load(&grant("billing-api")).await.unwrap().unwrap().0 != second {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not arrive");
    }
}

#[tokio::test]
async fn a_server_that_went_away_and_came_back() {
    let mut server = Server::start();
    let store = open(&server).await;
    swap(&store, Expect::Absent, &fresh()).await.unwrap();
    server.kill();
    let error = store.load(&grant("billing-api")).await.unwrap_err();
    assert!(told(&error).contains("key token-refresh:{billing-api-"), "{error}");
    let error = swap(&store, Expect::Absent, &fresh()).await.unwrap_err();
    assert!(told(&error).contains("127.0.0.1"), "{error}");
    server.restart();
    assert_eq!(until_it_works(async || store.load(&grant("billing-api")).await).await, None);
    let swapped = until_it_works(async || swap(&store, Expect::Absent, &fresh()).await).await;
    assert!(matches!(swapped, Swap::Won { .. } | Swap::Lost(Some(_))), "{swapped:?}");
}

/// Keys under the record's name that no version of this crate wrote, and what they are told to be.
#[tokio::test]
async fn keys_of_other_programs_stay_as_they_are() {
    let server = Server::start();
    let store = open(&server).await;
    let first = fresh();
    swap(&store, Expect::Absent, &first).await.unwrap();
    let key = server.only_key();
    for (write, said) in [
        (&["SET", &key, "theirs"][..], "a value of another type"),
        (&["RPUSH", &key, "theirs"], "a value of another type"),
        (&["HSET", &key, "theirs", "1"], "written by another program"),
    ] {
        let _: i64 = server.ask(&["DEL", &key]);
        let _: redis::Value = server.ask(write);
        let before: Vec<u8> = server.ask(&["DUMP", &key]);
        let mut errors = vec![store.load(&grant("billing-api")).await.unwrap_err()];
        for expect in [Expect::Absent, Expect::Is(first.stamp())] {
            errors.push(swap(&store, expect, &fresh()).await.unwrap_err());
        }
        for unreadable in [None, Some(first.stamp())] {
            let set = store.set_aside(&grant("billing-api"), unreadable, &fresh()).await;
            errors.push(set.unwrap_err());
        }
        for error in errors {
            assert!(told(&error).contains(said) && told(&error).contains(&key), "{error}");
            assert!(told(&error).contains("namespace"), "{error}");
        }
        let after: Vec<u8> = server.ask(&["DUMP", &key]);
        assert_eq!(before, after);
        let error = store.list(None).await.unwrap_err();
        assert!(told(&error).contains(&key), "{error}");
    }
    // In a namespace of its own nothing is in the way.
    let store = RedisStore::builder(server.url()).namespace("mine").open().await.unwrap();
    swap(&store, Expect::Absent, &first).await.unwrap();
    assert_eq!(store.list(None).await.unwrap().keys(), [grant("billing-api")]);
}

#[tokio::test]
async fn a_record_of_a_newer_format_is_left_alone() {
    let server = Server::start();
    let store = open(&server).await;
    let first = fresh();
    swap(&store, Expect::Absent, &first).await.unwrap();
    let key = server.only_key();
    let _: i64 = server.ask(&["HSET", &key, "f", "2"]);
    for error in [
        store.load(&grant("billing-api")).await.unwrap_err(),
        swap(&store, Expect::Is(first.stamp()), &fresh()).await.unwrap_err(),
        store.set_aside(&grant("billing-api"), None, &fresh()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        assert!(told(&error).contains("format 2") && told(&error).contains("update it"), "{error}");
    }
    assert_eq!(server.ask::<Vec<u8>>(&["HGET", &key, "b"]), first.bytes()[..]);
}

#[tokio::test]
async fn a_record_under_another_grants_name_makes_way_for_a_login() {
    let server = Server::start();
    let store = open(&server).await;
    swap(&store, Expect::Absent, &fresh()).await.unwrap();
    let key = server.only_key();
    let _: i64 = server.ask(&["HSET", &key, "k", "another"]);
    let error = store.load(&grant("billing-api")).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(told(&error).contains("belongs to the grant \"another\""), "{error}");

    let login = fresh();
    let aside = store.set_aside(&grant("billing-api"), None, &login).await.unwrap().unwrap();
    assert_eq!(store.load(&grant("billing-api")).await.unwrap().unwrap().0, login);
    assert_eq!(server.ask::<String>(&["HGET", &aside, "k"]), "another");
    assert_eq!(store.list(None).await.unwrap().keys(), [grant("billing-api")]);
}
