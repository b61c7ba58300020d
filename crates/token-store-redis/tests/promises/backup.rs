//! A backup that is put back is an older state.

use std::time::Duration;

use token_core::event::Event;
use token_core::{ErrorKind, Shutdown};

use crate::site::{Site, event, follows, refresh, token};
use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_repaired_by_a_process_that_lives() {
    let (mut server, site) = (Server::start(), Site::new());
    let service = site.service(&server.url()).await;
    token(&service).await;
    let () = server.ask(&["SAVE"]);
    let newest = refresh(&service).await;
    let mut events = service.events();
    server.restart();
    let newcomer = site.patient_service(&server.url()).await;
    event(&mut events, |event| matches!(event, Event::RecordRepaired)).await;
    follows(&newcomer, &newest).await;
    refresh(&newcomer).await;
    assert_eq!((site.token_requests(), site.reused()), (3, 0));
}

/// Nobody is left who knows more, so the used refresh token is presented in the end, and only a login helps.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_restored_when_no_process_lives_takes_a_login() {
    let (mut server, site) = (Server::start(), Site::new());
    let service = site.service(&server.url()).await;
    let saved = token(&service).await;
    let () = server.ask(&["SAVE"]);
    refresh(&service).await;
    assert_eq!(service.shutdown(Duration::from_secs(30)).await, Shutdown::Clean);
    drop(service);
    server.restart();

    let newcomer = site.service(&server.url()).await;
    assert_eq!(token(&newcomer).await, saved, "the backup's access token, as long as it lasts");
    assert_eq!(site.reused(), 0);
    let mut events = newcomer.events();
    let error = newcomer.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NeedsLogin, "{error}");
    event(&mut events, |event| matches!(event, Event::NeedsLogin { .. })).await;
    assert_eq!(site.reused(), 1, "the server saw a token that was used: it ended the family");

    newcomer.login(site.another_login()).await.unwrap();
    refresh(&newcomer).await;
    assert!(!newcomer.status().needs_login());
    assert_eq!(site.reused(), 1);
}

/// With the record left out of the backup the seed is all there is, and it was used as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_before_the_first_refresh_saves_the_presentation() {
    let (mut server, site) = (Server::start(), Site::new());
    let service = site.service(&server.url()).await;
    token(&service).await;
    let () = server.ask(&["SAVE"]);
    refresh(&service).await;
    assert_eq!(service.shutdown(Duration::from_secs(30)).await, Shutdown::Clean);
    drop(service);
    server.restart();

    let newcomer = site.service(&server.url()).await;
    newcomer.login(site.another_login()).await.unwrap();
    refresh(&newcomer).await;
    assert_eq!(site.reused(), 0);
}
