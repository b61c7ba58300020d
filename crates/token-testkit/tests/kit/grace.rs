use std::time::Duration;

use token_testkit::{Answer, AuthorizationServer, DEFAULT_CLIENT_ID, Fault, Grace};

use crate::support::{Caller, start};

const WINDOW: Duration = Duration::from_secs(3600);

fn in_grace(server: &AuthorizationServer) -> Vec<bool> {
    let history = server.history();
    let answers = history.iter().map(|entry| match entry.answer {
        Answer::Issued { in_grace, .. } => in_grace,
        ref other => panic!("{other:?}"),
    });
    answers.collect()
}

#[tokio::test]
async fn the_same_pair_restores_an_answer_that_was_lost() {
    let server = AuthorizationServer::builder().grace(Grace::SamePair(WINDOW)).start().unwrap();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([Fault::reset_after()]);
    assert!(caller.refresh(&server, login.refresh_token()).await.is_err());
    let first = caller.refresh(&server, login.refresh_token()).await.unwrap();
    let again = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!((first.status.as_u16(), first.bytes), (200, again.bytes.clone()));
    assert!(caller.accepted(&server, &again.text("access_token")).await);
    let next = caller.refresh(&server, &again.text("refresh_token")).await.unwrap();
    assert_eq!(next.status, 200);

    let counters = server.counters();
    assert_eq!((counters.accepted_in_grace, counters.reuse_detected), (2, 0));
    assert_eq!(counters.tokens_issued, 4);
    let presented: Vec<_> = server.presentations_per_generation().into_values().collect();
    assert_eq!(presented, [3, 1]);
}

#[tokio::test]
async fn new_pairs_are_branches_that_both_live() {
    let server = start();
    server.set_grace(Grace::NewPair(WINDOW));
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let one = caller.refresh(&server, login.refresh_token()).await.unwrap();
    let other = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_ne!(one.text("refresh_token"), other.text("refresh_token"));
    for branch in [&one, &other] {
        assert!(caller.accepted(&server, &branch.text("access_token")).await);
        let next = caller.refresh(&server, &branch.text("refresh_token")).await.unwrap();
        assert_eq!(next.status, 200);
    }
    assert_eq!(in_grace(&server), [false, true, false, false]);
    let presented: Vec<_> = server.presentations_per_generation().into_iter().collect();
    assert_eq!(presented, [((0, 0), 2), ((0, 1), 1), ((0, 2), 1)], "each has its own number");

    server.set_grace(Grace::None);
    let reuse = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!(reuse.error(), (400, "invalid_grant".into()));
    assert!(!caller.accepted(&server, &other.text("access_token")).await);
    let counters = server.counters();
    assert_eq!((counters.accepted_in_grace, counters.families_revoked), (1, 1));
}

#[tokio::test]
async fn only_the_previous_token_passes_until_its_successor_is_used() {
    let server = AuthorizationServer::builder().grace(Grace::PreviousOnly(WINDOW)).start().unwrap();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    caller.refresh(&server, login.refresh_token()).await.unwrap();
    let second = caller.refresh(&server, login.refresh_token()).await.unwrap();
    let third = caller.refresh(&server, &second.text("refresh_token")).await.unwrap();
    assert_eq!(in_grace(&server), [false, true, false]);
    let reuse = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!(reuse.error(), (400, "invalid_grant".into()));
    assert!(!caller.accepted(&server, &third.text("access_token")).await);
    assert_eq!(server.counters().reuse_detected, 1);
}
