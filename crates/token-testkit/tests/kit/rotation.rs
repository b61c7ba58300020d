use std::time::Duration;

use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, Rotation};

use crate::support::{Caller, start};

#[tokio::test]
async fn each_refresh_answers_a_successor() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let mut refresh_token = login.refresh_token().to_owned();
    for _ in 0..3 {
        let received = caller.refresh(&server, &refresh_token).await.unwrap();
        assert_eq!(received.status, 200);
        assert_eq!(received.header("cache-control"), Some("no-store"));
        assert_eq!(received.header("content-type"), Some("application/json"));
        assert_eq!(received.text("token_type"), "Bearer");
        assert_eq!(received.json()["expires_in"], 3600);
        assert!(caller.accepted(&server, &received.text("access_token")).await);
        let next = received.text("refresh_token");
        assert_ne!(next, refresh_token);
        refresh_token = next;
    }
    assert!(caller.accepted(&server, login.access_token()).await, "earlier ones live on");
    assert_eq!(server.counters().tokens_issued, 3);
}

#[tokio::test]
async fn reuse_revokes_the_whole_family() {
    let server = start();
    let caller = Caller::http1();
    let bystander = server.sign_in(DEFAULT_CLIENT_ID);
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let first = caller.refresh(&server, login.refresh_token()).await.unwrap();

    let reuse = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!(reuse.error(), (400, "invalid_grant".into()));
    for refresh_token in [login.refresh_token(), &first.text("refresh_token")] {
        let refused = caller.refresh(&server, refresh_token).await.unwrap();
        assert_eq!(refused.error(), (400, "invalid_grant".into()));
    }
    for access_token in [login.access_token(), &first.text("access_token")] {
        assert!(!caller.accepted(&server, access_token).await);
    }
    let counters = server.counters();
    assert_eq!((counters.reuse_detected, counters.families_revoked), (1, 1));

    assert!(caller.accepted(&server, bystander.access_token()).await);
    assert_eq!(caller.refresh(&server, bystander.refresh_token()).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_server_may_repeat_or_omit_the_refresh_token() {
    let server = AuthorizationServer::builder().rotation(Rotation::Repeat).start().unwrap();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    for _ in 0..3 {
        let received = caller.refresh(&server, login.refresh_token()).await.unwrap();
        assert_eq!(received.text("refresh_token"), login.refresh_token());
    }
    server.set_rotation(Rotation::Omit);
    for _ in 0..3 {
        let received = caller.refresh(&server, login.refresh_token()).await.unwrap();
        assert_eq!(received.status, 200);
        assert!(received.json().get("refresh_token").is_none());
    }
    server.set_rotation(Rotation::Rotate);
    let received = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_ne!(received.text("refresh_token"), login.refresh_token());
    assert_eq!(server.counters().reuse_detected, 0);
}

#[tokio::test]
async fn a_refresh_can_revoke_earlier_access_tokens() {
    let server = AuthorizationServer::builder().revoke_on_refresh(true).start().unwrap();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let received = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert!(!caller.accepted(&server, login.access_token()).await);
    assert!(caller.accepted(&server, &received.text("access_token")).await);
}

#[tokio::test]
async fn all_access_tokens_can_be_revoked_while_refresh_tokens_live_on() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    assert!(caller.accepted(&server, login.access_token()).await);
    server.revoke_access_tokens();
    assert!(!caller.accepted(&server, login.access_token()).await);
    let received = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert!(caller.accepted(&server, &received.text("access_token")).await);
}

#[tokio::test]
async fn a_family_can_be_revoked_from_outside() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    assert!(server.revoke_family_of(login.access_token()));
    assert!(!server.revoke_family_of(login.refresh_token()));
    assert!(!caller.accepted(&server, login.access_token()).await);
    let refused = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!(refused.error(), (400, "invalid_grant".into()));
    assert_eq!(server.counters().families_revoked, 1);
}

#[tokio::test]
async fn lifetimes_end_and_are_answered() {
    let server = AuthorizationServer::builder()
        .access_lifetime(Duration::ZERO)
        .refresh_lifetime(Some(Duration::from_secs(60)))
        .start()
        .unwrap();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    assert!(!caller.accepted(&server, login.access_token()).await);

    server.set_access_lifetime(Duration::from_millis(1500));
    let received = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!(received.json()["expires_in"].to_string(), "1.5");
    assert_eq!(received.json()["refresh_expires_in"].to_string(), "60");
    assert_eq!(server.sign_in(DEFAULT_CLIENT_ID).expires_in(), Duration::from_millis(1500));

    let server =
        AuthorizationServer::builder().refresh_lifetime(Some(Duration::ZERO)).start().unwrap();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let refused = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!(refused.error(), (400, "invalid_grant".into()));
}
