use token_testkit::{AuthorizationServer, Client, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};

use crate::support::{Caller, start};

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

#[tokio::test]
async fn the_default_client_authenticates_either_way_but_not_both_ways() {
    let server = start();
    let caller = Caller::http1();
    let basic = format!("{DEFAULT_CLIENT_ID}:{DEFAULT_CLIENT_SECRET}");
    let form = [GRANT, ("client_id", DEFAULT_CLIENT_ID), ("client_secret", DEFAULT_CLIENT_SECRET)];
    assert_eq!(caller.token(&server, Some(&basic), &form[..1]).await.unwrap().status, 200);
    assert_eq!(caller.token(&server, None, &form).await.unwrap().status, 200);
    let both = caller.token(&server, Some(&basic), &form).await.unwrap();
    assert_eq!(both.error(), (400, "invalid_request".into()));
}

#[tokio::test]
async fn a_wrong_secret_or_way_is_invalid_client_with_a_challenge() {
    let server = AuthorizationServer::builder()
        .client(Client::basic("b", "s"))
        .client(Client::post("p", "s"))
        .client(Client::public("u"))
        .start()
        .unwrap();
    let caller = Caller::http1();
    for (basic, form) in [
        (Some("b:wrong"), &[][..]),
        (Some("unknown:s"), &[]),
        (Some("p:s"), &[]),
        (Some("u:"), &[]),
        (None, &[]),
        (None, &[("client_id", "p"), ("client_secret", "wrong")]),
        (None, &[("client_id", "p")]),
        (None, &[("client_id", "b"), ("client_secret", "s")]),
        (None, &[("client_id", "u"), ("client_secret", "s")]),
    ] {
        let form: Vec<_> = [GRANT].iter().chain(form).copied().collect();
        let refused = caller.token(&server, basic, &form).await.unwrap();
        assert_eq!(refused.error(), (401, "invalid_client".into()), "{basic:?} {form:?}");
        assert!(refused.header("www-authenticate").unwrap().starts_with("Basic"));
    }
    assert_eq!(caller.token(&server, Some("b:s"), &[GRANT]).await.unwrap().status, 200);
    let form = [GRANT, ("client_id", "p"), ("client_secret", "s")];
    assert_eq!(caller.token(&server, None, &form).await.unwrap().status, 200);
}

#[tokio::test]
async fn basic_credentials_are_form_urlencoded_first() {
    let server = AuthorizationServer::builder()
        .client(Client::basic("an id:with/signs", "p%ss + ü"))
        .start()
        .unwrap();
    let caller = Caller::http1();
    let encoded = "an+id%3Awith%2Fsigns:p%25ss+%2B+%C3%BC";
    assert_eq!(caller.token(&server, Some(encoded), &[GRANT]).await.unwrap().status, 200);
    let raw = caller.token(&server, Some("an id:with/signs:p%ss + ü"), &[GRANT]).await.unwrap();
    assert_eq!(raw.error(), (401, "invalid_client".into()));
}

#[tokio::test]
async fn a_public_client_refreshes_with_its_id_alone() {
    let server = AuthorizationServer::builder().client(Client::public("u")).start().unwrap();
    let login = server.sign_in("u");
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", login.refresh_token()),
        ("client_id", "u"),
    ];
    assert_eq!(Caller::http1().token(&server, None, &form).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_refresh_token_is_worth_nothing_to_another_client() {
    let server = AuthorizationServer::builder()
        .client(Client::basic("owner", "s"))
        .client(Client::basic("other", "s"))
        .start()
        .unwrap();
    let caller = Caller::http1();
    let login = server.sign_in("owner");
    let form = [("grant_type", "refresh_token"), ("refresh_token", login.refresh_token())];
    let refused = caller.token(&server, Some("other:s"), &form).await.unwrap();
    assert_eq!(refused.error(), (400, "invalid_grant".into()));
    assert_eq!(caller.token(&server, Some("owner:s"), &form).await.unwrap().status, 200);
}
