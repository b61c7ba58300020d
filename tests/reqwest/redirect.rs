//! Redirects, which reqwest follows below the middleware.

use http::header::AUTHORIZATION;
use http::{HeaderName, StatusCode};
use integration_tests::{Kit, soon};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use reqwest_token_refresh::TokenRefreshMiddleware;
use token_core::TokenManager;
use token_core::http::{Scheme, Verdict};
use token_testkit::{ApiFault, AuthorizationServer};

use crate::support::{client, counts, origins, ready, refused};

const NAME: HeaderName = HeaderName::from_static("x-auth-token");

/// A server that is no part of the API.
fn elsewhere() -> AuthorizationServer {
    let server = AuthorizationServer::start().expect("a server");
    server.record_api();
    server
}

/// Whether each request that the server got had this header.
fn had(server: &AuthorizationServer, name: &HeaderName) -> Vec<bool> {
    server.api_history().iter().map(|request| request.headers.contains_key(name)).collect()
}

async fn status(kit: &Kit, client: &ClientWithMiddleware) -> StatusCode {
    soon(client.get(kit.server.api_url()).send()).await.expect("an answer").status()
}

#[tokio::test]
async fn reqwest_takes_authorization_off_on_the_way_to_another_origin_whose_401_renews_nothing() {
    for code in [302, 307] {
        let (kit, elsewhere) = (Kit::start(), elsewhere());
        let tokens = ready(&kit).await;
        kit.server.api_script([ApiFault::redirect(code, &elsewhere.api_url())]);
        assert_eq!(status(&kit, &client(&kit, &tokens)).await, 401);
        assert_eq!(had(&kit.server, &AUTHORIZATION), [true]);
        assert_eq!(had(&elsewhere, &AUTHORIZATION), [false]);
        assert_eq!(counts(&kit), (1, 1), "no renewal, no replay");
    }
}

/// Also where that origin is allowed: reqwest has taken the token off by then.
#[tokio::test]
async fn a_redirect_to_another_allowed_origin_arrives_without_a_token() {
    let (kit, elsewhere) = (Kit::start(), elsewhere());
    let tokens = ready(&kit).await;
    let both = origins(&kit).and(elsewhere.origin()).unwrap();
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TokenRefreshMiddleware::new(tokens.clone(), both))
        .build();
    kit.server.api_script([ApiFault::redirect(307, &elsewhere.api_url())]);
    assert_eq!(status(&kit, &client).await, 401);
    assert_eq!(had(&elsewhere, &AUTHORIZATION), [false]);
    assert_eq!(counts(&kit), (1, 1));
}

#[tokio::test]
async fn within_the_origin_the_token_goes_along_and_a_refusal_there_is_replayed() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    kit.server.api_script([ApiFault::redirect(307, "/api/moved")]);
    assert_eq!(status(&kit, &client(&kit, &tokens)).await, 200);
    assert_eq!(had(&kit.server, &AUTHORIZATION), [true; 3]);
    assert_eq!(counts(&kit), (3, 2));
    let paths: Vec<_> = kit.server.api_history().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/api", "/api/moved", "/api"], "the replay is the caller's request");
}

/// A POST that was answered with a redirect was carried out, and the page behind it is another request.
#[tokio::test]
async fn an_order_that_was_carried_out_is_not_made_again_for_the_refusal_of_the_page_behind_it() {
    // A 307 was not carried out, but nobody above reqwest can tell.
    for code in [301, 302, 303, 307] {
        let kit = Kit::start();
        let tokens = refused(&kit).await;
        kit.server.api_script([ApiFault::redirect(code, "/api/orders/1")]);
        let answer = soon(client(&kit, &tokens).post(kit.server.api_url()).body("order").send());
        assert_eq!(answer.await.expect("an answer").status(), 401, "{code}");
        let seen: Vec<_> = kit.server.api_history().into_iter().map(|seen| seen.path).collect();
        assert_eq!(seen, ["/api", "/api/orders/1"], "{code}");
        assert_eq!(counts(&kit), (2, 2), "{code}: renewed for the next");
    }
}

/// What may be carried out twice is sent again also then.
#[tokio::test]
async fn what_is_idempotent_is_sent_again_for_the_refusal_behind_a_redirect() {
    let kit = Kit::start();
    let tokens = refused(&kit).await;
    kit.server.api_script([ApiFault::redirect(303, "/api/things/1")]);
    let answer = soon(client(&kit, &tokens).put(kit.server.api_url()).body("thing").send());
    assert_eq!(answer.await.expect("an answer").status(), 200);
    assert_eq!(counts(&kit), (3, 2));
}

/// The middleware with a header of the API's own, and the client that it asks for.
fn with_header(kit: &Kit, tokens: &TokenManager) -> (reqwest::Client, TokenRefreshMiddleware) {
    TokenRefreshMiddleware::new(tokens.clone(), origins(kit))
        .scheme(Scheme::RAW)
        // The kit's API knows `Authorization` only.
        .classifier(|_| Verdict::Accepted)
        .header(NAME, reqwest::Client::builder())
        .expect("a client")
}

#[tokio::test]
async fn a_header_of_the_apis_own_does_not_leave_the_origin() {
    let (kit, elsewhere) = (Kit::start(), elsewhere());
    let tokens = ready(&kit).await;
    let (client, middleware) = with_header(&kit, &tokens);
    let client = ClientBuilder::new(client).with(middleware).build();
    let away = ApiFault::redirect(307, &elsewhere.api_url());
    kit.server.api_script([ApiFault::redirect(307, "/api/moved"), away]);
    assert_eq!(status(&kit, &client).await, 307);
    assert_eq!(had(&kit.server, &NAME), [true, true], "within the origin it is followed");
    assert_eq!(elsewhere.counters().connections, 0);
}

/// Why that client is needed.
#[tokio::test]
async fn any_other_client_would_carry_it_there() {
    let (kit, elsewhere) = (Kit::start(), elsewhere());
    let tokens = ready(&kit).await;
    let (_, middleware) = with_header(&kit, &tokens);
    let client = ClientBuilder::new(reqwest::Client::new()).with(middleware).build();
    kit.server.api_script([ApiFault::redirect(307, &elsewhere.api_url())]);
    status(&kit, &client).await;
    assert_eq!(had(&elsewhere, &NAME), [true]);
}

#[tokio::test]
async fn a_circle_of_redirects_ends_as_it_does_without_us() {
    let kit = Kit::start();
    let tokens = ready(&kit).await;
    kit.server.api_always(Some(ApiFault::redirect(307, "/api")));
    let (client, middleware) = with_header(&kit, &tokens);
    let client = ClientBuilder::new(client).with(middleware).build();
    let error = soon(client.get(kit.server.api_url()).send()).await.unwrap_err();
    assert!(error.is_redirect(), "{error}");
    assert_eq!(counts(&kit).0, 11);
}
