//! While the server is gone.

use std::time::Duration;

use token_core::ErrorKind;
use token_core::endpoint::TokenEndpoint;
use token_core::event::Event;
use token_testkit::{Rotation, Stage};

use crate::site::{Site, event, follows, refresh, soon, token, until};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_is_served_and_no_rotating_grant_is_refreshed() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let site = Site::new();
    let service = site.service(&server.url()).await;
    let first = token(&service).await;
    server.kill();
    for _ in 0..3 {
        let error = service.refresh_now().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
        assert_eq!(service.token().await.unwrap().expose_secret(), first);
    }
    assert_eq!(site.token_requests(), 1, "the refresh token was not presented");
    server.restart();
    let second = refresh(&service).await;
    assert_ne!(second, first);
    assert_eq!((site.token_requests(), site.reused()), (2, 0));
}

/// It has another history then, which costs the barrier once. The follower's first write is what shows it that.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_loses_nothing_is_no_alarm() {
    let mut server = Server::with(&["--appendonly", "yes", "--appendfsync", "always"]);
    let site = Site::new();
    let holder = site.service(&server.url()).await;
    let first = token(&holder).await;
    let follower = site.service(&server.url()).await;
    follows(&follower, &first).await;
    let mut told = follower.events();
    server.restart();
    refresh(&follower).await;
    event(&mut told, |event| matches!(event, Event::Settling { .. })).await;
    let said = |event: &Event| matches!(event, Event::RecordRepaired | Event::Refreshed { .. });
    let said = event(&mut told, said).await;
    assert!(matches!(said, Event::Refreshed { .. }), "{said:?}");
    assert_eq!((site.token_requests(), site.reused()), (2, 0));
}

/// The server dies between the exchange and the commit, and comes back with the intent, or with nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn a_finished_exchange_is_served_and_committed_when_the_server_is_back() {
    for options in [&["--appendonly", "yes", "--appendfsync", "always"][..], &[]] {
        let (mut server, site) = (Server::with(options), Site::new());
        // The server has to be dead before the exchange has to be over.
        let exchange = Duration::from_secs(5);
        let service = site.build(&server.url(), site.endpoint(), exchange).await;
        let first = token(&service).await;
        let mut events = service.events();
        let held = site.kit.hold(Stage::CarriedOut);
        let refreshing = tokio::spawn({
            let service = service.clone();
            // A disk that is slow calls one off before it is sent.
            async move { while service.refresh_now().await.is_err() {} }
        });
        let held = soon(held).await.unwrap();
        server.kill();
        drop(held);
        event(&mut events, |event| matches!(event, Event::CommitDelayed { .. })).await;
        let second = token(&service).await;
        assert_ne!(second, first, "{options:?}");
        assert!(service.status().has_unsaved_tokens());

        server.restart();
        until(async || (!service.status().has_unsaved_tokens()).then_some(())).await;
        soon(refreshing).await.unwrap();
        // Somebody who was not there has it from the server.
        let other = site.patient_service(&server.url()).await;
        follows(&other, &second).await;
        assert_eq!((site.token_requests(), site.reused()), (2, 0), "{options:?}");
        refresh(&other).await;
        assert_eq!((site.token_requests(), site.reused()), (3, 0), "{options:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_that_spends_nothing_or_may_be_used_again_goes_on() {
    let site = Site::new();
    site.kit.set_rotation(Rotation::Repeat);
    let spends_nothing =
        TokenEndpoint::client_credentials(Site::http(), site.kit.token_url(), Site::auth());
    let reusable = site.endpoint().with_reusable_refresh_token();
    for endpoint in [spends_nothing, reusable] {
        let mut server = Server::start();
        let service = site.build(&server.url(), endpoint, Duration::from_millis(500)).await;
        let first = token(&service).await;
        server.kill();
        let before = site.token_requests();
        let second = refresh(&service).await;
        assert_ne!(second, first);
        assert_eq!(site.token_requests(), before + 1);
        assert_eq!(token(&service).await, second);
    }
}

/// A service that has never seen the server has nothing to serve, and says why.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_starts_without_the_server_is_told_at_once() {
    let mut server = Server::start();
    server.kill();
    let error = token_store_redis::RedisStore::open(server.url()).await.unwrap_err();
    assert!(error.to_string().contains("refused the connection: start it"), "{error}");
}

/// A server closes what was idle for longer than its `timeout`, as the connection of the writes is between two refreshes.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_closed_while_idle_fails_no_refresh() {
    let (server, site) = (Server::start(), Site::new());
    let service = site.service(&server.url()).await;
    token(&service).await;
    for n in 2..5 {
        let clients: String = server.ask(&["CLIENT", "LIST"]);
        let idle = clients
            .lines()
            .find(|client| client.contains("cmd=eval") && client.contains(" sub=0 "));
        let id = idle.and_then(|client| client.split_once("id=")?.1.split(' ').next());
        let _: i64 = server.ask(&["CLIENT", "KILL", "ID", id.unwrap()]);
        service.refresh_now().await.unwrap();
        assert_eq!((site.token_requests(), site.reused()), (n, 0));
    }
}
