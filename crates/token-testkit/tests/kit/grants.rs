use http::{Method, Request, header};
use token_testkit::{AuthorizationServer, Client};

use crate::support::{Caller, default_basic, start};

#[tokio::test]
async fn client_credentials_give_an_access_token_and_nothing_to_refresh() {
    let server = start();
    let caller = Caller::http1();
    let form = [("grant_type", "client_credentials"), ("scope", "read write")];
    let received = caller.token(&server, Some(&default_basic()), &form).await.unwrap();
    assert_eq!(received.status, 200);
    assert_eq!(received.text("scope"), "read write");
    assert!(received.json().get("refresh_token").is_none());
    assert!(caller.accepted(&server, &received.text("access_token")).await);
}

#[tokio::test]
async fn client_credentials_are_not_for_public_clients() {
    let server = AuthorizationServer::builder().client(Client::public("u")).start().unwrap();
    let form = [("grant_type", "client_credentials"), ("client_id", "u")];
    let refused = Caller::http1().token(&server, None, &form).await.unwrap();
    assert_eq!(refused.error(), (400, "unauthorized_client".into()));
}

#[tokio::test]
async fn a_password_gives_a_family_of_its_own() {
    let server = AuthorizationServer::builder().user("ada", "lovelace").start().unwrap();
    let caller = Caller::http1();
    let ask = async |username: &str, password: &str| {
        let form = [("grant_type", "password"), ("username", username), ("password", password)];
        caller.token(&server, Some(&default_basic()), &form).await.unwrap()
    };
    let received = ask("ada", "lovelace").await;
    assert_eq!(received.status, 200);
    assert!(received.json().get("scope").is_none());
    assert!(caller.accepted(&server, &received.text("access_token")).await);
    let refreshed = caller.refresh(&server, &received.text("refresh_token")).await.unwrap();
    assert_eq!(refreshed.status, 200);

    for (username, password) in [("ada", "wrong"), ("unknown", "lovelace")] {
        assert_eq!(ask(username, password).await.error(), (400, "invalid_grant".into()));
    }
    assert_eq!(ask("ada", "").await.error(), (400, "invalid_request".into()));
}

#[tokio::test]
async fn wrong_requests_get_the_error_that_says_so() {
    let server = start();
    let caller = Caller::http1();
    for (form, error) in [
        (&[][..], "invalid_request"),
        (&[("grant_type", "")], "invalid_request"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[("grant_type", "password"), ("password", "p")], "invalid_request"),
        (&[("grant_type", "password"), ("grant_type", "password")], "invalid_request"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "service_token")], "unsupported_grant_type"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "unknown")], "invalid_grant"),
    ] {
        let refused = caller.token(&server, Some(&default_basic()), form).await.unwrap();
        assert_eq!(refused.error(), (400, error.into()), "{form:?}");
        assert_eq!(refused.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn what_is_no_token_request_is_refused() {
    let server = start();
    let caller = Caller::http1();
    let request = |method: Method, path: &str, media: &str, body: Vec<u8>| {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", server.origin()))
            .header(header::CONTENT_TYPE, media)
            .body(body.into())
            .unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    let get = caller.send(request(Method::GET, "/token", form, vec![])).await.unwrap();
    assert_eq!((get.status.as_u16(), get.header("allow")), (405, Some("POST")));
    let elsewhere = caller.send(request(Method::POST, "/tokens", form, vec![])).await.unwrap();
    assert_eq!(elsewhere.status, 404);
    assert_eq!(server.counters().token_requests, 0);

    let json = request(Method::POST, "/token", "application/json", b"{}".to_vec());
    assert_eq!(caller.send(json).await.unwrap().error(), (400, "invalid_request".into()));
    let longest = request(Method::POST, "/token", form, vec![b'a'; 64 * 1024]);
    assert_eq!(caller.send(longest).await.unwrap().error(), (401, "invalid_client".into()));
    let too_long = request(Method::POST, "/token", form, vec![b'a'; 64 * 1024 + 1]);
    assert_eq!(caller.send(too_long).await.unwrap().error(), (413, "invalid_request".into()));
    let garbage = request(Method::POST, "/token", form, vec![0xff; 100]);
    assert_eq!(caller.send(garbage).await.unwrap().error(), (401, "invalid_client".into()));
    assert_eq!(server.counters().token_requests, 4);
}
