use std::time::Duration;

use http::{Method, Version};
use serde_json::json;
use token_testkit::{ApiFault, AuthorizationServer, BodyEnd, DEFAULT_CLIENT_ID, Fingerprint};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    raw,
    support::{Caller, soon, start, until},
};

#[tokio::test]
async fn a_valid_token_gets_an_account_of_what_was_received() {
    for (caller, version) in
        [(Caller::http1(), Version::HTTP_11), (Caller::http2(), Version::HTTP_2)]
    {
        let server = start();
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let bearer = format!("bearer {}", login.access_token());
        let received = caller.api(&server, Method::PUT, "/a/b?c=d", &[&bearer], b"abc").await;
        assert_eq!((received.status.as_u16(), received.version), (200, version));
        let expected = json!({
            "method": "PUT",
            "path": "/api/a/b",
            "query": "c=d",
            "body_bytes": 3,
            "body_sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "token": Fingerprint::of(login.access_token()).to_string(),
        });
        assert_eq!(received.json(), expected);

        let received = caller.api(&server, Method::GET, "", &[&bearer], b"").await;
        assert_eq!(received.json()["body_bytes"], 0);
        assert_eq!(
            received.text("body_sha256"),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(server.counters().connections, 1);
        assert_eq!(server.counters().api_ok, 2);
    }
}

#[tokio::test]
async fn each_refusal_has_its_challenge() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let valid = format!("Bearer {}", login.access_token());
    let refresh_token = format!("Bearer {}", login.refresh_token());
    let scope = "Bearer error=\"insufficient_scope\", scope=\"admin\"";
    for (path, authorization, status, challenge) in [
        ("/x", &[][..], 401, "Bearer"),
        ("/x", &["Basic abc"], 401, "Bearer"),
        ("/x", &["Bearer unknown"], 401, "Bearer error=\"invalid_token\""),
        ("/x", &["Bearer "], 401, "Bearer"),
        ("/x", &[&*refresh_token], 401, "Bearer error=\"invalid_token\""),
        ("/x", &[&*valid, &valid], 400, "Bearer error=\"invalid_request\""),
        ("/forbidden", &[&*valid], 403, scope),
        ("/forbidden", &["Bearer unknown"], 401, "Bearer error=\"invalid_token\""),
    ] {
        let received = caller.api(&server, Method::POST, path, authorization, b"body").await;
        assert_eq!(received.status, status, "{path} {authorization:?}");
        assert_eq!(received.header("www-authenticate"), Some(challenge));
    }
    let counters = server.counters();
    assert_eq!((counters.api_requests, counters.api_unauthorized, counters.api_ok), (8, 6, 0));
    assert_eq!(counters.connections, 1, "refused bodies are drained");
}

#[tokio::test]
async fn a_401_waits_for_the_body_unless_it_is_early() {
    let server = start();
    let half =
        |path: &str| format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345");
    let mut patient = connect(server.origin()).await;
    patient.write_all(half("/api/thing").as_bytes()).await.unwrap();
    let mut early = connect(server.origin()).await;
    early.write_all(half("/api/early").as_bytes()).await.unwrap();

    let mut answer = [0; 12];
    soon(early.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");

    // The other one was sent before, and is refused already, but its answer waits.
    soon(async {
        while server.counters().api_unauthorized < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(patient.try_read(&mut answer).is_err());
    patient.write_all(b"67890").await.unwrap();
    soon(patient.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn the_token_is_looked_at_after_the_delay() {
    let delay = Duration::from_millis(50);
    let server = AuthorizationServer::builder().access_lifetime(delay).start().unwrap();
    server.api_delay(delay);
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    assert!(!Caller::http1().accepted(&server, login.access_token()).await);
}

async fn connect(origin: &str) -> TcpStream {
    TcpStream::connect(origin.trim_start_matches("http://")).await.expect("a connection")
}

#[tokio::test]
async fn a_scripted_answer_comes_whatever_the_token_and_then_the_rules_are_back() {
    let server = start();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let bearer = format!("Bearer {}", login.access_token());
    server.record_api();
    server.api_script([
        ApiFault::unauthorized("Basic realm=\"a\"").with_header("www-authenticate", "Bearer"),
        ApiFault::grpc_status(16),
        ApiFault::redirect(307, "https://elsewhere.example/"),
        ApiFault::none(),
    ]);
    let caller = Caller::http1();
    let authorization = [&*bearer];
    let call = || caller.api(&server, Method::PUT, "/x?y", &authorization, b"abc");
    let received = call().await;
    assert_eq!(received.status, 401);
    assert_eq!(received.headers.get_all("www-authenticate").iter().count(), 2);
    let received = call().await;
    assert_eq!((received.status.as_u16(), received.header("grpc-status")), (200, Some("16")));
    assert_eq!(call().await.header("location"), Some("https://elsewhere.example/"));
    assert_eq!(call().await.status, 200);

    let history = server.api_history();
    let statuses: Vec<_> = history.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [Some(401), Some(200), Some(307), Some(200)]);
    for request in &history {
        assert_eq!((&*request.method, &*request.path), ("PUT", "/api/x?y"));
        assert_eq!((request.body_bytes, request.body_end), (3, BodyEnd::Complete));
        let shown = format!("Bearer {}", Fingerprint::of(login.access_token()));
        assert_eq!(request.headers["authorization"], shown);
        assert!(!format!("{request:?}").contains(login.access_token()));
    }
}

#[tokio::test]
async fn an_answer_beside_the_body_is_there_before_its_end() {
    let server = start();
    server.record_api();
    server.api_always(Some(ApiFault::status(401).after_bytes(2)));
    let mut stream =
        TcpStream::connect(server.origin().trim_start_matches("http://")).await.unwrap();
    stream
        .write_all(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nab")
        .await
        .unwrap();
    let mut head = [0; 12];
    soon(stream.read_exact(&mut head)).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 401");
    assert_eq!(server.api_history()[0].body_end, BodyEnd::Open);
    stream.write_all(b"cdef").await.unwrap();
    until(|| server.api_history()[0].body_end == BodyEnd::Complete).await;
    assert_eq!(server.api_history()[0].body_bytes, 6);
}

#[tokio::test]
async fn a_body_that_the_client_breaks_off_is_told_from_a_whole_one() {
    let server = start();
    server.record_api();
    let mut stream =
        TcpStream::connect(server.origin().trim_start_matches("http://")).await.unwrap();
    stream
        .write_all(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nab")
        .await
        .unwrap();
    until(|| server.api_history().len() == 1).await;
    drop(stream);
    until(|| server.api_history()[0].body_end == BodyEnd::BrokenOff).await;
    assert_eq!((server.api_history()[0].body_bytes, server.api_history()[0].status), (2, None));
}

#[tokio::test]
async fn a_connection_is_closed_under_the_body() {
    let server = start();
    server.api_always(Some(ApiFault::close().after_bytes(2)));
    let mut stream =
        TcpStream::connect(server.origin().trim_start_matches("http://")).await.unwrap();
    stream
        .write_all(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nab")
        .await
        .unwrap();
    let mut answer = Vec::new();
    // A reset is an end too.
    _ = soon(stream.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn an_answer_at_once_does_not_wait_for_the_body() {
    let server = start();
    server.record_api();
    server.api_script([ApiFault::status(403).at_once()]);
    let mut stream = connect(server.origin()).await;
    stream.write_all(b"POST /api HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 403"));
    let seen = &server.api_history()[0];
    assert_eq!((seen.status, seen.body_bytes, seen.body_end), (Some(403), 0, BodyEnd::Open));
}

#[test]
fn every_fault_of_the_catalogue_is_what_its_words_say() {
    for (text, fault) in ApiFault::catalogue() {
        let server = start();
        server.api_script([fault]);
        let Some(seen) = raw::request(server.origin(), "GET", "/api", "") else {
            assert!(text.starts_with("close"), "{text}");
            continue;
        };
        let implied = |status| text.starts_with("status=") || seen.status == status;
        for word in text.split(' ') {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let value = &*value.replace("%20", " ");
            let header = |name| seen.headers(name).any(|known| known == value);
            let right = match key {
                "none" | "refused" => seen.status == 401,
                "status" => seen.status.to_string() == value,
                "challenge" => header("www-authenticate") && implied(401),
                "redirect" => header("location") && implied(307),
                "grpc-status" => {
                    let media = seen.header("content-type");
                    header("grpc-status") && implied(200) && media == Some("application/grpc")
                }
                "header" => value.split_once(':').is_some_and(|(n, v)| seen.header(n) == Some(v)),
                "body" => seen.text() == value,
                // When is shown by tests of their own.
                "at-once" | "after-bytes" => true,
                _ => false,
            };
            assert!(right, "{word} of {text}: {seen:?}");
        }
    }
}
