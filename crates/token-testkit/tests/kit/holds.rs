use token_testkit::{Answer, DEFAULT_CLIENT_ID, Fault, Fingerprint, Stage};

use crate::support::{Caller, soon, start};

#[tokio::test]
async fn a_request_is_held_at_each_stage_until_it_is_let_go() {
    for (stage, decided) in [(Stage::Received, false), (Stage::CarriedOut, true)] {
        let server = start();
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let (first, second) = (server.hold(stage), server.hold(stage));
        let (url, token) = (server.token_url(), login.refresh_token().to_owned());
        let sent =
            tokio::spawn(async move { Caller::http1().refresh_at(&url, &token).await.unwrap() });
        let held = soon(first).await.unwrap();
        assert_eq!(held.request().presented, Some(Fingerprint::of(login.refresh_token())));
        assert_eq!(held.request().decided.is_some(), decided, "{stage:?}");
        assert_eq!(held.request().answer, Answer::Pending);
        assert_eq!(server.counters().tokens_issued, u64::from(decided));
        drop(held);
        let answer = soon(sent).await.unwrap();
        drop(second);
        let next = Caller::http1().refresh(&server, &answer.text("refresh_token")).await.unwrap();
        assert_eq!(next.status, 200, "who gave up holds nothing");
    }
}

#[tokio::test]
async fn what_the_rules_came_to_is_known_where_the_answer_was_lost() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([Fault::reset_after(), Fault::status(500).carried_out(), Fault::status(503)]);
    for _ in 0..3 {
        _ = caller.try_refresh(&server, login.refresh_token()).await;
    }
    let decided: Vec<_> = server.history().into_iter().map(|entry| entry.decided).collect();
    assert!(matches!(decided[0], Some(Answer::Issued { generation: 1, .. })));
    assert_eq!(decided[1], Some(Answer::ReuseDetected));
    assert_eq!(decided[2], None, "it was not carried out");
}

#[tokio::test]
async fn a_request_is_found_by_its_id() {
    let server = start();
    let request = http::Request::post(server.token_url())
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-request-id", "7.3")
        .body("grant_type=none".into())
        .unwrap();
    Caller::http1().send(request).await.unwrap();
    assert_eq!(server.history()[0].request_id.as_deref(), Some("7.3"));
}
