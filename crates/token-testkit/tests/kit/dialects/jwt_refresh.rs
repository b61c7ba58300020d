use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use token_testkit::{AuthorizationServer, DEFAULT_USER, Dialect, Grace};

use super::{Call, api, claims, is_refused, renewal_of, start, unix_now};
use crate::support::Received;

async fn refresh(server: &AuthorizationServer, token: &str) -> Received {
    Call::post(server.token_url()).json(&json!({ "token": token })).send().await
}

#[tokio::test]
async fn an_ended_token_gets_the_next_one_and_the_api_takes_only_that() {
    let builder = AuthorizationServer::builder().dialect(Dialect::JwtRefresh);
    let server = builder.access_lifetime(Duration::ZERO).start().unwrap();
    let login = server.sign_in(DEFAULT_USER);
    assert_eq!(login.access_token(), login.refresh_token());
    let ended = api(Dialect::JwtRefresh, &server, login.access_token()).send().await;
    assert!(is_refused(Dialect::JwtRefresh, &ended));
    assert_eq!(ended.header("www-authenticate"), Some("Bearer"));
    server.set_access_lifetime(Duration::from_secs(1800));
    let answer = refresh(&server, login.access_token()).await;
    let next = answer.text("access_token");
    let expected = json!({ "access_token": next, "token_type": "bearer", "expires_in": 1800 });
    assert_eq!(answer.json(), expected);
    assert_eq!(api(Dialect::JwtRefresh, &server, &next).send().await.status, 200);

    let claims = claims(&next);
    assert_eq!((&claims["sub"], &claims["type"]), (&json!(DEFAULT_USER), &json!("access")));
    let issued = claims["iat"].as_u64().unwrap();
    assert!(unix_now().abs_diff(issued) < 60 && claims["exp"] == issued + 1800, "{claims}");
}

#[tokio::test]
async fn a_token_may_be_presented_again_unless_that_is_made_reuse() {
    let server = start(Dialect::JwtRefresh);
    let login = server.sign_in(DEFAULT_USER);
    let first = renewal_of(Dialect::JwtRefresh, &server, &login).send().await.text("access_token");
    let other = renewal_of(Dialect::JwtRefresh, &server, &login).send().await.text("access_token");
    assert_ne!(first, other);
    let (counters, shown) = (server.counters(), server.presentations_per_generation());
    assert_eq!((counters.accepted_in_grace, counters.reuse_detected), (1, 0));
    assert_eq!(shown[&(login.family(), 0)], 2, "and it is told");
    server.set_grace(Grace::None);
    assert_eq!(refresh(&server, login.access_token()).await.status, 401);
    assert_eq!(server.counters().reuse_detected, 1);
    assert_eq!(refresh(&server, &other).await.status, 401, "the family has ended");
}

#[tokio::test]
async fn what_is_refused_is_told_why() {
    let server = start(Dialect::JwtRefresh);
    let login = server.sign_in(DEFAULT_USER);
    let token = login.access_token();
    let parts: Vec<_> = token.split('.').collect();
    let forged = claims(token).to_string().replace(DEFAULT_USER, "admin");
    let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(forged), parts[2]);
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    let unsigned = format!("{none}.{}.", parts[1]);
    let foreign = start(Dialect::JwtRefresh).sign_in(DEFAULT_USER).access_token().to_owned();
    let unknown = server.sign_in("nobody").access_token().to_owned();
    for (token, why) in [
        ("not a token", "the token is not a JWT of this server's form"),
        (&forged, "the token's signature is wrong"),
        (&unsigned, "the token's algorithm is not HS256"),
        (&foreign, "the token's signature is wrong"),
        (&unknown, "the user is unknown"),
    ] {
        assert_eq!(refresh(&server, token).await.at("/detail"), (401, json!(why)), "{token}");
    }
    let missing = Call::post(server.token_url()).json(&json!({ "jwt": token })).send().await;
    assert_eq!(missing.at("/detail/0/msg"), (422, json!("token is missing")));
    assert_eq!(Call::post(server.token_url()).send().await.status, 422);

    server.set_refresh_lifetime(Some(Duration::ZERO));
    let bound = server.sign_in(DEFAULT_USER);
    let refused = refresh(&server, bound.access_token()).await;
    assert_eq!(refused.at("/detail"), (401, json!("the refresh token has expired")));
    assert_eq!(refresh(&server, token).await.status, 200, "the others go on");
}
