//! A server that comes back without its records.

use std::time::Duration;

use token_core::event::Event;
use token_core::{ErrorKind, Shutdown};

use crate::site::{Site, event, follows, refresh, token, until};
use crate::support::Server;
use crate::wire::Wire;

/// Two services of different age survive, the older is first, and a third begins after the loss with nothing but the seed.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_server_is_an_alarm_and_is_repaired_by_who_knows_most() {
    let (mut server, site) = (Server::start(), Site::new());
    let (to_old, to_new) = (Wire::to(server.port()), Wire::to(server.port()));
    let old = site.patient_service(&to_old.url()).await;
    let new = site.service(&to_new.url()).await;
    let first = token(&old).await;
    follows(&new, &first).await;
    // It misses a refresh.
    to_old.cut();
    let second = refresh(&new).await;
    to_new.cut();
    let (mut told_old, mut told_new) = (old.events(), new.events());

    server.restart();
    let keys = || -> Vec<String> { server.ask(&["KEYS", "*"]) };
    assert!(keys().is_empty());
    let newcomer = site.patient_service(&server.url()).await;
    to_old.mend();
    event(&mut told_old, |event| matches!(event, Event::RecordRepaired)).await;
    to_new.mend();
    event(&mut told_new, |event| matches!(event, Event::RecordRepaired)).await;
    for service in [&old, &newcomer] {
        follows(service, &second).await;
    }
    assert_eq!((site.token_requests(), site.reused()), (2, 0), "nobody went back to the seed");
    assert!(keys().len() == 1);
    let third = refresh(&newcomer).await;
    for service in [&old, &new] {
        follows(service, &third).await;
    }
    assert_eq!((site.token_requests(), site.reused()), (3, 0));
}

/// By an administrator's mistake, with the server running all the time: its history is unbroken.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_somebody_removed_is_brought_back() {
    let (server, site) = (Server::start(), Site::new());
    let service = site.service(&server.url()).await;
    let first = token(&service).await;
    let mut events = service.events();
    let () = server.ask(&["FLUSHALL"]);
    event(&mut events, |event| matches!(event, Event::RecordRepaired)).await;
    until(async || (server.ask::<Vec<String>>(&["KEYS", "*"]).len() == 1).then_some(())).await;
    let other = site.service(&server.url()).await;
    assert_eq!(token(&other).await, first);
    assert_eq!((site.token_requests(), site.reused()), (1, 0));
}

/// Nobody is left who knows the record, and the seed was used long ago.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_server_takes_a_login_when_no_process_lives() {
    let (mut server, site) = (Server::start(), Site::new());
    let service = site.service(&server.url()).await;
    token(&service).await;
    assert_eq!(service.shutdown(Duration::from_secs(30)).await, Shutdown::Clean);
    drop(service);
    server.restart();
    let newcomer = site.service(&server.url()).await;
    let error = newcomer.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsLogin, "{error}");
    assert_eq!((site.token_requests(), site.reused()), (2, 1));
    newcomer.login(site.another_login()).await.unwrap();
    refresh(&newcomer).await;
    assert_eq!(site.reused(), 1);
}
