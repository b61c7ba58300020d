//! How many commands a refresh, a request and a follower cost, and how many round trips they wait for.

use token_core::TokenManager;

use crate::site::{Site, refresh, token, until};
use crate::support::Server;
use crate::wire::Wire;

/// The intent and the commit, each with its wait for a replica, on one connection while all others stand still.
#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_costs_two_round_trips() {
    let (master, replica) = (Server::start(), Server::start());
    replica.follow(&master);
    let (site, wire) = (Site::new(), Wire::to(master.port()));
    let service = site.service(&wire.url()).await;
    token(&service).await;
    let trips = until(async || {
        let writes = wire.writes();
        wire.stop_all_but(writes);
        let before = wire.trips(writes).len();
        if service.refresh_now().await.is_ok() {
            return Some(wire.trips(writes).split_off(before));
        }
        // On a busy machine the replica may not be in time, which calls a refresh off and leaves the connection.
        wire.mend();
        refresh(&service).await;
        None
    })
    .await;
    assert_eq!(trips, [["EVAL swap", "WAIT"], ["EVAL swap", "WAIT"]]);
}

/// On one thread, so that nothing else of this process runs while tokens are served.
#[tokio::test]
async fn a_request_that_has_its_token_costs_no_command() {
    let (server, site) = (Server::start(), Site::new());
    let service = site.service(&server.url()).await;
    token(&service).await;
    let commands = || -> u64 {
        // What was sent before this was asked, on whichever connection, has been read when this is answered.
        let () = server.ask(&["PING"]);
        let info: String = server.ask(&["INFO", "commandstats"]);
        let ours = ["eval", "wait", "publish", "subscribe", "hmget", "hset", "exists"];
        let calls = |name: &&str| {
            let (_, rest) = info.split_once(&format!("cmdstat_{name}:calls="))?;
            rest.split(',').next()?.parse::<u64>().ok()
        };
        ours.iter().filter_map(calls).sum()
    };
    let before = commands();
    assert!(before > 0);
    for _ in 0..10_000 {
        assert!(service.cached().is_some());
        assert!(service.token().await.is_ok());
    }
    assert_eq!(commands(), before);
}

/// One tells it that something else is there, the other what. All that it sends beyond those is stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_follower_holds_the_token_two_reads_after_a_message() {
    let (server, site) = (Server::start(), Site::new());
    let wire = Wire::to(server.port());
    let writer = site.service(&server.url()).await;
    token(&writer).await;
    let follower = site.service(&wire.url()).await;
    token(&follower).await;
    let key = server.only_key();
    let subscribers = || -> (String, u64) { server.ask(&["PUBSUB", "NUMSUB", &key]) };
    until(async || (subscribers().1 == 2).then_some(())).await;
    for _ in 0..20 {
        let before = wire.messages();
        wire.stop_after_message(2);
        // One write, where a refresh is two.
        let brought = site.another_login();
        let newest = brought.access_token().unwrap().expose_secret().to_owned();
        writer.update(brought).await.unwrap();
        has(&follower, &newest).await;
        assert_eq!(wire.messages(), before + 1);
        let sent = wire.since_message();
        // The look that it had begun by itself may have met the change.
        assert!((1..=2).contains(&sent.len()), "{sent:?}");
        assert!(sent.iter().all(|command| command == "EVAL read"), "{sent:?}");
        wire.mend();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_finds_a_token_without_messages() {
    let (server, site) = (Server::start(), Site::new());
    let rights = "on nopass resetkeys ~token-refresh:* resetchannels -@all +eval +hmget +hset \
                  +exists +copy +wait +info";
    let user: Vec<&str> =
        ["ACL", "SETUSER", "silent"].into_iter().chain(rights.split(' ')).collect();
    let () = server.ask(&user);
    let url = format!("redis://silent:x@127.0.0.1:{}", server.port());
    let (writer, follower) = (site.service(&url).await, site.service(&url).await);
    token(&writer).await;
    token(&follower).await;
    has(&follower, &refresh(&writer).await).await;
    assert_eq!(site.reused(), 0);
}

/// Waits until a request would get this token, without asking for one.
async fn has(service: &TokenManager, token: &str) {
    let holds = || service.cached().is_some_and(|cached| cached.expose_secret() == token);
    until(async || holds().then_some(())).await;
}
