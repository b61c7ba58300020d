use std::io::ErrorKind;

use token_testkit::{DEFAULT_CLIENT_ID, Stage};

use crate::{
    raw,
    support::{Caller, soon, start},
};

#[tokio::test]
async fn a_server_that_refuses_connections_comes_back_on_the_same_port() {
    let server = start();
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    assert!(caller.accepted(&server, login.access_token()).await);
    for _ in 0..3 {
        server.refuse_connections().unwrap();
        server.refuse_connections().unwrap();
        let refused = raw::connect(server.origin()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // Neither does a connection that was kept alive get through.
        assert!(caller.try_refresh(&server, login.refresh_token()).await.is_none());

        server.accept_connections().unwrap();
        server.accept_connections().unwrap();
        assert!(caller.accepted(&server, login.access_token()).await);
    }
    assert_eq!(server.counters().token_requests, 0);
}

#[tokio::test]
async fn a_request_in_progress_is_answered_before_its_connection_closes() {
    for caller in [Caller::http1(), Caller::http2()] {
        let server = start();
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let held = server.hold(Stage::Received);
        let url = server.token_url();
        let waiting = {
            let (caller, login) = (caller.clone(), login.clone());
            tokio::spawn(async move { caller.refresh_at(&url, login.refresh_token()).await })
        };
        let held = soon(held).await.unwrap();
        server.refuse_connections().unwrap();
        drop(held);
        assert_eq!(soon(waiting).await.unwrap().unwrap().status, 200);
        assert!(caller.try_refresh(&server, login.refresh_token()).await.is_none());
    }
}

#[test]
fn a_connection_that_has_sent_nothing_is_closed() {
    use std::io::Read;

    let server = start();
    let mut idle = raw::connect(server.origin()).unwrap();
    // Accepted after the idle one: both have been.
    raw::request(server.origin(), "GET", "/", "").unwrap();
    server.refuse_connections().unwrap();
    assert!(matches!(idle.read(&mut [0]), Ok(0)));
}

#[tokio::test]
async fn a_closed_server_can_be_dropped() {
    let server = start();
    let address = server.origin().to_owned();
    server.refuse_connections().unwrap();
    drop(server);
    assert_eq!(raw::connect(&address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_port_can_be_chosen_and_one_that_is_taken_is_an_error() {
    use token_testkit::AuthorizationServer;

    // A port that has become free is anybody's: the connections of other tests may be given it.
    for _ in 0..20 {
        let server = start();
        let port = server.origin().rsplit(':').next().unwrap().parse().unwrap();
        let taken = AuthorizationServer::builder().port(port).start().unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        drop(server);
        match AuthorizationServer::builder().port(port).start() {
            Ok(server) => return assert!(server.origin().ends_with(&format!(":{port}"))),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    }
    panic!("a port that was let go could never be chosen");
}
