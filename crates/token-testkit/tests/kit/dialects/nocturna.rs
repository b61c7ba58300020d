use std::time::Duration;

use serde_json::json;
use token_testkit::{AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect, Fault};

use super::{Call, api, claims, renewal, start, unix_now};
use crate::support::Received;

fn post(server: &AuthorizationServer, path: &str) -> Call {
    Call::post(format!("{}/auth/{path}", server.api_url()))
}

async fn login(server: &AuthorizationServer, password: &str) -> Received {
    let form = [("username", DEFAULT_USER), ("password", password)];
    post(server, "login").form(&form).send().await
}

async fn by_service_token(server: &AuthorizationServer, token: &str) -> Received {
    post(server, "service-token/refresh").bearer(token).send().await
}

#[tokio::test]
async fn a_login_is_renewed_by_a_token_in_the_query() {
    let server = start(Dialect::Nocturna);
    let wrong = login(&server, "x").await;
    assert_eq!(wrong.at("/detail"), (401, json!("Incorrect email or password")));
    let first = login(&server, DEFAULT_PASSWORD).await;
    assert_eq!(first.at("/expires_in"), (200, json!(900)));
    assert_eq!(first.text("token_type"), "bearer");
    let claims = claims(&first.text("access_token"));
    assert!(unix_now().abs_diff(claims["exp"].as_u64().unwrap() - 900) < 60, "{claims}");
    let refresh = first.text("refresh_token");
    let next = renewal(Dialect::Nocturna, &server, "", &refresh).send().await;
    assert_ne!(next.text("refresh_token"), refresh);
    let again = renewal(Dialect::Nocturna, &server, "", &refresh).send().await;
    assert_eq!(again.at("/detail"), (401, json!("Invalid or expired refresh token")));
    let in_body = Call::post(server.token_url()).form(&[("refresh_token", &refresh)]).send().await;
    assert_eq!(in_body.at("/detail/0/msg").0, 422);
}

#[tokio::test]
async fn an_admin_makes_service_tokens_that_get_access_tokens() {
    let server = start(Dialect::Nocturna);
    let admin = login(&server, DEFAULT_PASSWORD).await.text("access_token");
    let create = async |token: &str, body| {
        post(&server, "admin/service-tokens").bearer(token).json(&body).send().await
    };
    let made = create(&admin, json!({ "days": 90 })).await;
    assert_eq!(made.at("/expires_in"), (200, json!(90 * 86_400)));
    let service = made.text("service_token");
    let (says, now) = (claims(&service), unix_now());
    assert_eq!(says["type"], "service");
    assert!(says["exp"].as_u64().unwrap().abs_diff(now + 90 * 86_400) < 60, "{says}");
    let eternal = create(&admin, json!({ "eternal": true })).await;
    assert_eq!(eternal.at("/expires_in"), (200, json!(null)));
    let eternal = eternal.text("service_token");
    assert!(claims(&eternal).get("exp").is_none());

    for service in [&service, &eternal] {
        let answer = by_service_token(&server, service).await;
        assert_eq!(answer.at("/expires_in"), (200, json!(900)));
        assert!(answer.json().get("refresh_token").is_none());
        let short = answer.text("access_token");
        assert_eq!(claims(&short)["type"], "access");
        for token in [&short, service] {
            assert_eq!(api(Dialect::Nocturna, &server, token).send().await.status, 200);
            let refused = create(token, json!({ "days": 1 })).await;
            assert_eq!(refused.at("/detail"), (401, json!("Could not validate credentials")));
        }
        server.script([Fault::without_expires_in()]);
        let answer = by_service_token(&server, service).await;
        assert!(answer.status == 200 && answer.json().get("expires_in").is_none());
    }
    assert_eq!(server.counters().reuse_detected, 0, "a service token lasts");
    for body in [json!({}), json!({ "days": 0 }), json!({ "days": "x" })] {
        assert_eq!(create(&admin, body).await.status, 422);
    }
}

#[tokio::test]
async fn a_dead_service_token_has_an_error_of_its_own() {
    let server = start(Dialect::Nocturna);
    let ended = server.service_token(DEFAULT_USER, Some(Duration::ZERO));
    let revoked = server.service_token(DEFAULT_USER, None);
    assert_eq!(by_service_token(&server, &revoked).await.status, 200);
    assert!(server.revoke_family_of(&revoked));
    let user = server.sign_in(DEFAULT_USER);
    for token in [&ended, &revoked, "unknown", user.refresh_token(), user.access_token()] {
        let refused = by_service_token(&server, token).await;
        assert_eq!(refused.at("/detail"), (401, json!("Service token expired or invalid")));
    }
    let bare = post(&server, "service-token/refresh").send().await;
    assert_eq!(bare.at("/detail"), (401, json!("Service token expired or invalid")));
    let live = server.service_token(DEFAULT_USER, None);
    let swapped = renewal(Dialect::Nocturna, &server, "", &live).send().await;
    assert_eq!(swapped.at("/detail"), (401, json!("Invalid or expired refresh token")));
}
