use std::time::{Duration, Instant};

use token_testkit::{Answer, DEFAULT_CLIENT_ID, Fault, Stage};

use crate::support::{Caller, soon, start, until};

const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn scripted_answers_carry_nothing_out() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([
        Fault::status(503).retry_after(2),
        Fault::status(429).retry_after_header("Wed, 21 Oct 2015 07:28:00 GMT"),
        Fault::oauth_error("invalid_client"),
        Fault::oauth_error("temporarily_unavailable"),
        Fault::body(200, "text/html", "<p>Sign in</p>"),
        Fault::none(),
    ]);
    let refresh = async || caller.refresh(&server, login.refresh_token()).await.unwrap();

    let received = refresh().await;
    assert_eq!((received.status.as_u16(), received.header("retry-after")), (503, Some("2")));
    assert!(received.bytes.is_empty());
    let received = refresh().await;
    let date = Some("Wed, 21 Oct 2015 07:28:00 GMT");
    assert_eq!((received.status.as_u16(), received.header("retry-after")), (429, date));
    let received = refresh().await;
    assert_eq!(received.error(), (401, "invalid_client".into()));
    assert!(received.header("www-authenticate").unwrap().starts_with("Basic"));
    assert_eq!(refresh().await.error(), (400, "temporarily_unavailable".into()));
    let received = refresh().await;
    assert_eq!(
        (received.status.as_u16(), received.header("content-type")),
        (200, Some("text/html"))
    );
    assert_eq!(received.bytes, "<p>Sign in</p>");

    assert_eq!(server.counters().tokens_issued, 0);
    assert_eq!(refresh().await.status, 200, "none of them had spent the refresh token");
    let statuses: Vec<_> = server
        .history()
        .iter()
        .map(|entry| match entry.answer {
            Answer::Fault { status, .. } => status,
            _ => 0,
        })
        .collect();
    assert_eq!(statuses, [503, 429, 401, 400, 200, 0]);
}

#[tokio::test]
async fn a_fault_can_stay() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.always(Some(Fault::status(500)));
    server.script([Fault::status(502)]);
    let refresh = async || caller.refresh(&server, login.refresh_token()).await.unwrap();
    for status in [502, 500, 500] {
        assert_eq!(refresh().await.status, status);
    }
    server.always(None);
    assert_eq!(refresh().await.status, 200);
}

#[tokio::test]
async fn a_reset_closes_the_connection_without_an_answer() {
    for caller in [Caller::http1(), Caller::http2()] {
        let server = start();
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        // On a connection that has worked before as well as on a fresh one.
        caller.accepted(&server, login.access_token()).await;

        server.script([Fault::reset_before(), Fault::reset_after()]);
        assert!(caller.refresh(&server, login.refresh_token()).await.is_err());
        assert_eq!(server.counters().tokens_issued, 0);
        assert!(caller.refresh(&server, login.refresh_token()).await.is_err());
        assert_eq!(server.counters().tokens_issued, 1);

        let reuse = caller.refresh(&server, login.refresh_token()).await.unwrap();
        assert_eq!(reuse.error(), (400, "invalid_grant".into()), "the second one had rotated it");
        assert_eq!(server.counters().connections, 3, "each reset cost a connection");
        let processed: Vec<_> = server
            .history()
            .iter()
            .map(|entry| match entry.answer {
                Answer::NoAnswer { processed, .. } => Some(processed),
                _ => None,
            })
            .collect();
        assert_eq!(processed, [Some(false), Some(true), None]);
    }
}

#[tokio::test]
async fn a_reset_shows_on_the_wire_as_the_end_of_the_stream() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let server = start();
    server.script([Fault::reset_before()]);
    let address = server.origin().trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        .await
        .unwrap();
    let mut received = Vec::new();
    soon(stream.read_to_end(&mut received)).await.unwrap();
    assert!(received.is_empty());
}

#[tokio::test]
async fn a_delay_before_leaves_the_token_unspent_and_one_after_does_not() {
    let server = start();
    let caller = Caller::http1();
    let first = server.sign_in(DEFAULT_CLIENT_ID);
    let second = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([Fault::delay_before(NEVER), Fault::none(), Fault::delay_after(NEVER)]);

    let waiting = tokio::spawn({
        let (caller, refresh_token) = (caller.clone(), first.refresh_token().to_owned());
        let url = server.token_url();
        async move { caller.refresh_at(&url, &refresh_token).await }
    });
    soon(server.token_requests_seen(1)).await;
    let overtaking = caller.refresh(&server, first.refresh_token()).await.unwrap();
    assert_eq!(overtaking.status, 200);

    let rotated = tokio::spawn({
        let (caller, refresh_token) = (caller.clone(), second.refresh_token().to_owned());
        let url = server.token_url();
        async move { caller.refresh_at(&url, &refresh_token).await }
    });
    until(|| server.counters().tokens_issued == 2).await;
    let reuse = caller.refresh(&server, second.refresh_token()).await.unwrap();
    assert_eq!(reuse.error(), (400, "invalid_grant".into()));

    let history = server.history();
    assert_eq!(history[0].answer, Answer::Pending);
    assert_eq!(history[2].answer, Answer::Pending);
    assert_eq!(history[3].answer, Answer::ReuseDetected);
    assert_eq!(server.counters().token_requests_in_flight_max, 3);
    waiting.abort();
    rotated.abort();
}

#[tokio::test]
async fn a_delay_ends_in_the_answer() {
    let server = start();
    let caller = Caller::http1();
    let delay = Duration::from_millis(20);
    server.script([Fault::delay_before(delay), Fault::delay_after(delay)]);
    for _ in 0..2 {
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let started = Instant::now();
        assert_eq!(caller.refresh(&server, login.refresh_token()).await.unwrap().status, 200);
        assert!(started.elapsed() >= delay);
    }
}

#[tokio::test]
async fn a_request_is_carried_out_even_if_its_sender_has_gone() {
    for caller in [Caller::http1, Caller::http2] {
        let caller = caller();
        let server = start();
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let mut held = tokio::select! {
            _ = caller.refresh(&server, login.refresh_token()) => panic!("answered"),
            held = server.hold(Stage::Received) => held.unwrap(),
        };
        drop(caller);
        soon(held.sender_left()).await;
        drop(held);
        until(|| server.history()[0].answer != Answer::Pending).await;
        let history = server.history();
        assert!(matches!(history[0].answer, Answer::NoAnswer { processed: true, .. }));
        assert!(matches!(history[0].decided, Some(Answer::Issued { generation: 1, .. })));
        assert!(history[0].decided_at >= Some(history[0].at));
        Caller::http1().refresh(&server, login.refresh_token()).await.expect("an answer");
        assert_eq!(server.counters().reuse_detected, 1);
    }
}

#[tokio::test]
async fn a_hang_lasts_until_the_client_gives_up() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([Fault::hang()]);
    let seen = server.token_requests_seen(1);
    tokio::select! {
        _ = caller.refresh(&server, login.refresh_token()) => panic!("answered"),
        () = seen => {}
    }
    until(|| server.history()[0].answer != Answer::Pending).await;
    assert!(matches!(server.history()[0].answer, Answer::NoAnswer { processed: false, .. }));
    assert_eq!(caller.refresh(&server, login.refresh_token()).await.unwrap().status, 200);
    assert_eq!(server.counters().token_requests_in_flight_max, 1);
}
