//! The three grants, the ways to say who the client is, and servers that do not rotate.

use std::time::Duration;

use integration_tests::{Http, Kit};
use token_core::clock::ManualClock;
use token_core::endpoint::{ClientAuth, TokenEndpoint};
use token_core::{ErrorKind, OAuthError, TokenManager, TokenSet};
use token_testkit::{Answer, AuthorizationServer, Builder, Client, Login, Rotation};

/// Everything that a form, base 64, a header or a colon-separated pair could trip over.
const AWKWARD: &str = "a b+c:d/e=f%41&g?h#i\"j\\k,l;m~n<é>€🔑";

fn refresh_endpoint(server: &AuthorizationServer, auth: ClientAuth) -> TokenEndpoint<Http> {
    TokenEndpoint::refresh_token(Kit::http(), server.token_url(), auth)
}

fn seed(login: &Login) -> TokenSet {
    TokenSet::from_refresh_token(login.refresh_token())
}

fn server_with(client: Client) -> AuthorizationServer {
    AuthorizationServer::builder().client(client).start().expect("a server")
}

#[tokio::test]
async fn a_client_proves_itself_by_basic_whatever_its_id_and_secret_hold() {
    for (id, secret) in [("id", "secret"), (AWKWARD, AWKWARD), ("with:colon", ":"), ("%", "%2B+")] {
        let server = server_with(Client::basic(id, secret));
        let auth = ClientAuth::basic(id, secret);
        let tokens = TokenManager::builder(refresh_endpoint(&server, auth))
            .seed(seed(&server.sign_in(id)))
            .build()
            .unwrap();
        tokens.token().await.unwrap();
        tokens.refresh_now().await.unwrap();
        assert!(
            server.history().iter().all(|one| one.client.as_deref() == Some(id)),
            "{:?}",
            server.history()
        );
    }
}

#[tokio::test]
async fn a_client_proves_itself_by_form_whatever_its_id_and_secret_hold() {
    for (id, secret) in [("id", "secret"), (AWKWARD, AWKWARD)] {
        let server = server_with(Client::post(id, secret));
        let tokens = TokenManager::builder(refresh_endpoint(&server, ClientAuth::form(id, secret)))
            .seed(seed(&server.sign_in(id)))
            .build()
            .unwrap();
        tokens.token().await.unwrap();
        assert!(matches!(server.history()[0].answer, Answer::Issued { .. }));
    }
}

#[tokio::test]
async fn a_public_client_names_itself_and_proves_nothing() {
    let server = server_with(Client::public("app"));
    let tokens = TokenManager::builder(refresh_endpoint(&server, ClientAuth::none("app")))
        .seed(seed(&server.sign_in("app")))
        .build()
        .unwrap();
    tokens.token().await.unwrap();
    tokens.refresh_now().await.unwrap();
    assert_eq!(server.counters().tokens_issued, 2);
}

#[tokio::test]
async fn the_wrong_way_to_authenticate_is_reported_and_not_probed_for() {
    let kit = Kit::with(AuthorizationServer::builder().client(Client::post("app", "secret")));
    let login = kit.server.sign_in("app");
    let tokens =
        TokenManager::builder(refresh_endpoint(&kit.server, ClientAuth::basic("app", "secret")))
            .seed(seed(&login))
            .build()
            .unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.refresh_error().unwrap().oauth_error(), Some(&OAuthError::InvalidClient));
    assert_eq!(
        kit.token_requests(),
        1,
        "each try with another style would present the refresh token again"
    );
}

#[tokio::test]
async fn client_credentials_need_no_seed_and_spend_nothing() {
    let kit = Kit::start();
    let endpoint =
        TokenEndpoint::client_credentials(Kit::http(), kit.server.token_url(), Kit::auth());
    let tokens = TokenManager::builder(endpoint.with_scope("items:read")).build().unwrap();
    let client = kit.client(&tokens);
    assert_eq!(client.get("").await.status, 200);
    kit.server.revoke_access_tokens();
    assert_eq!(client.get("").await.status, 200);
    let history = kit.server.history();
    assert_eq!(history.len(), 2);
    assert!(history.iter().all(|one| one.grant_type.as_deref() == Some("client_credentials")));
    assert!(
        history.iter().all(|one| one.presented.is_none()),
        "nothing is kept that could be presented"
    );
}

#[tokio::test]
async fn a_login_that_was_lost_is_made_again_after_the_backoff_only() {
    // Nothing is spent by it, so an unknown outcome does not hold off for longer.
    let kit = Kit::start();
    let clock = ManualClock::new();
    let endpoint =
        TokenEndpoint::client_credentials(Kit::http(), kit.server.token_url(), Kit::auth());
    let tokens = TokenManager::builder(endpoint).clock(clock.clone()).build().unwrap();
    kit.server.script([token_testkit::Fault::reset_after()]);
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    clock.advance(Duration::from_secs(1));
    tokens.token().await.unwrap();
    assert_eq!(kit.token_requests(), 2);
}

fn with_user(builder: Builder) -> Kit {
    Kit::with(builder.user("ada", AWKWARD))
}

#[tokio::test]
async fn the_password_grant_logs_in_again_each_time() {
    let kit = with_user(AuthorizationServer::builder());
    let endpoint =
        TokenEndpoint::password(Kit::http(), kit.server.token_url(), Kit::auth(), "ada", AWKWARD);
    let tokens = TokenManager::builder(endpoint).build().unwrap();
    assert_eq!(kit.client(&tokens).get("").await.status, 200);
    tokens.refresh_now().await.unwrap();
    assert!(kit.server.history().iter().all(|one| one.grant_type.as_deref() == Some("password")));
    assert_eq!(kit.server.counters().tokens_issued, 2);
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_until_the_account_is_locked() {
    let kit = with_user(AuthorizationServer::builder());
    let clock = ManualClock::new();
    let endpoint =
        TokenEndpoint::password(Kit::http(), kit.server.token_url(), Kit::auth(), "ada", "wrong");
    let tokens = TokenManager::builder(endpoint).clock(clock.clone()).build().unwrap();
    for _ in 0..10 {
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Configuration);
        clock.advance(Duration::from_secs(86_400));
    }
    assert_eq!(kit.token_requests(), 1);
}

/// As frameworks answer that know of no `invalid_grant`.
#[tokio::test]
async fn nor_is_one_that_the_server_refuses_in_words_of_its_own() {
    for (status, body) in [
        (401, r#"{"detail":"Incorrect username or password"}"#),
        (401, r#"{"error":"Unauthorized"}"#),
        (403, ""),
    ] {
        let kit = with_user(AuthorizationServer::builder());
        let clock = ManualClock::new();
        let (url, auth) = (kit.server.token_url(), Kit::auth());
        let endpoint = TokenEndpoint::password(Kit::http(), url, auth, "ada", "wrong");
        let tokens = TokenManager::builder(endpoint).clock(clock.clone()).build().unwrap();
        kit.server.always(Some(token_testkit::Fault::body(status, "application/json", body)));
        for _ in 0..10 {
            assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Configuration);
            clock.advance(Duration::from_secs(86_400));
        }
        assert_eq!(kit.token_requests(), 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_server_that_repeats_or_omits_the_refresh_token_refreshes_a_hundred_times_in_a_row() {
    for rotation in [Rotation::Repeat, Rotation::Omit] {
        let kit = Kit::with(AuthorizationServer::builder().rotation(rotation));
        let tokens = kit.manager().build().unwrap();
        let client = kit.client(&tokens);
        let mut last = tokens.token().await.unwrap();
        for _ in 0..100 {
            let next = tokens.refresh_now().await.unwrap();
            assert!(next.version() > last.version());
            assert_ne!(next.expose_secret(), last.expose_secret());
            last = next;
        }
        assert_eq!(kit.token_requests(), 101, "{rotation:?}");
        assert_eq!(client.get("").await.status, 200);
        let history = kit.server.history();
        assert!(
            history.iter().all(|one| one.presented == history[0].presented),
            "always the same refresh token"
        );
    }
}

#[tokio::test]
async fn a_server_that_begins_to_rotate_is_followed() {
    let kit = Kit::with(AuthorizationServer::builder().rotation(Rotation::Omit));
    let tokens = kit.manager().build().unwrap();
    tokens.refresh_now().await.unwrap();
    for rotation in
        [Rotation::Rotate, Rotation::Repeat, Rotation::Rotate, Rotation::Omit, Rotation::Rotate]
    {
        kit.server.set_rotation(rotation);
        tokens.refresh_now().await.unwrap();
        tokens.refresh_now().await.unwrap();
    }
    assert_eq!(kit.server.counters().reuse_detected, 0);
    assert_eq!(kit.client(&tokens).get("").await.status, 200);
}
