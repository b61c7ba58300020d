use std::{
    io::{Read, Write},
    net::TcpStream,
};

use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, Fault};
use tokio::runtime;

use crate::support::{Caller, PATIENCE, soon, start};

#[test]
fn it_serves_without_a_runtime_of_the_tests() {
    let server = start();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    let mut stream = connect(&server);
    write!(
        stream,
        "GET /api/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        login.access_token()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn it_outlives_the_runtime_it_was_started_in() {
    let runtime = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime().block_on(async { start() });
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    for _ in 0..2 {
        let accepted = runtime()
            .block_on(async { Caller::http1().accepted(&server, login.access_token()).await });
        assert!(accepted);
    }
    runtime().block_on(async move { drop(server) });
}

#[tokio::test]
async fn dropping_it_closes_everything() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([Fault::hang()]);
    let mut idle = connect(&server);
    let address = server.origin().trim_start_matches("http://").to_owned();
    let url = server.token_url();
    let (seen, never_seen) = (server.token_requests_seen(1), server.token_requests_seen(2));
    let hanging = tokio::spawn(async move { caller.refresh_at(&url, login.refresh_token()).await });
    soon(seen).await;

    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
    assert!(soon(hanging).await.unwrap().is_err());
    soon(never_seen).await;
    assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn servers_know_nothing_of_each_other() {
    let (one, other) = (start(), start());
    assert_ne!(one.origin(), other.origin());
    let login = one.sign_in(DEFAULT_CLIENT_ID);
    assert!(!other.revoke_family_of(login.refresh_token()));
    assert!(one.revoke_family_of(login.refresh_token()));
}

fn connect(server: &AuthorizationServer) -> TcpStream {
    let stream =
        TcpStream::connect(server.origin().trim_start_matches("http://")).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket with timeouts");
    stream
}
