use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::json;
use sha2::{Digest, Sha256};
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, Dialect};

use super::{Call, api, renewal, renewal_of, start};
use crate::support::Received;

const CALLBACK: &str = "http://127.0.0.1:9/api/auth/callback?from=hub";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters-is-long-enough";

/// Opens the authorization endpoint; gives the callback's parameters.
async fn connect(server: &AuthorizationServer, extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", DEFAULT_CLIENT_ID), ("redirect_uri", CALLBACK)])
        .extend_pairs([("state", "a state"), ("code_challenge_method", "S256")])
        .append_pair("code_challenge", &challenge)
        .extend_pairs(extra)
        .finish();
    let url = format!("{}/oauth/chooselocation?{query}", server.origin());
    let answer = Call::new(Method::GET, url).send().await;
    assert_eq!(answer.status, 302);
    let location = answer.header("location").expect("an address");
    let query = location.strip_prefix(CALLBACK).expect("that of the callback");
    form_urlencoded::parse(query.trim_start_matches('&').as_bytes()).into_owned().collect()
}

async fn exchange(server: &AuthorizationServer, code: &str, verifier: &str) -> Received {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", verifier),
        ("client_id", DEFAULT_CLIENT_ID),
        ("client_secret", DEFAULT_CLIENT_SECRET),
    ];
    Call::post(server.token_url()).form(&form).send().await
}

#[tokio::test]
async fn a_person_connects_a_location_and_the_code_is_good_once() {
    let server = start(Dialect::HighLevel);
    let chosen = [("response_type", "code"), ("locationId", "ve9E")];
    let back = connect(&server, &chosen).await;
    let [(code_name, code), (state_name, state)] = &back[..] else { panic!("{back:?}") };
    assert_eq!((&**code_name, &**state_name, &**state), ("code", "state", "a state"));
    assert_eq!(exchange(&server, code, "another").await.error(), (401, "invalid_grant".into()));
    let tokens = exchange(&server, code, VERIFIER).await;
    assert_eq!(tokens.at("/locationId"), (200, json!("ve9E")));
    assert_eq!(tokens.at("/expires_in"), (200, json!(86_400)));
    let (access, refresh) = (tokens.text("access_token"), tokens.text("refresh_token"));
    let renewed = renewal(Dialect::HighLevel, &server, &access, &refresh).send().await;
    assert_eq!(renewed.at("/locationId"), (200, json!("ve9E")));
    assert_eq!(api(Dialect::HighLevel, &server, &access).send().await.status, 200);

    assert_eq!(exchange(&server, code, VERIFIER).await.error(), (401, "invalid_grant".into()));
    let refused = api(Dialect::HighLevel, &server, &access).send().await;
    assert_eq!(refused.at("/message"), (401, json!("Invalid JWT")), "the second use ended it");
    assert_eq!(server.counters().families_revoked, 1);
}

#[tokio::test]
async fn what_cannot_be_authorized_is_sent_back_with_an_error_or_not_at_all() {
    let server = start(Dialect::HighLevel);
    let back = connect(&server, &[("response_type", "token")]).await;
    assert_eq!(back[0], ("error".into(), "unsupported_response_type".into()));
    let twice = [("response_type", "code"), ("code_challenge_method", "plain")];
    assert_eq!(connect(&server, &twice).await[0], ("error".into(), "invalid_request".into()));
    let url = |query: &str| format!("{}/oauth/chooselocation?{query}", server.origin());
    let stranger = url("client_id=x&redirect_uri=http://127.0.0.1/&response_type=code");
    let nowhere = url("client_id=kit-client&response_type=code");
    for url in [stranger, nowhere] {
        let answer = Call::new(Method::GET, url).send().await;
        assert!(answer.status == 400 && answer.header("location").is_none());
    }
    let plain = url("client_id=kit-client&redirect_uri=http://127.0.0.1/&response_type=code");
    let answer = Call::new(Method::GET, plain).send().await;
    assert_eq!(answer.header("location"), Some("http://127.0.0.1/?error=invalid_request"));
}

#[tokio::test]
async fn each_location_has_a_grant_of_its_own() {
    let server = start(Dialect::HighLevel);
    let logins: Vec<_> = (0..3).map(|_| server.sign_in(DEFAULT_CLIENT_ID)).collect();
    server.revoke_family_of(logins[1].refresh_token());
    for (number, login) in logins.iter().enumerate() {
        let answer = renewal_of(Dialect::HighLevel, &server, login).send().await;
        if number == 1 {
            assert_eq!(answer.error(), (401, "invalid_grant".into()));
        } else {
            let location = json!(format!("kit-location-{number}"));
            assert_eq!(answer.at("/locationId"), (200, location));
        }
    }
    let malformed = Call::post(server.token_url()).form(&[("client_id", DEFAULT_CLIENT_ID)]);
    assert_eq!(malformed.send().await.error(), (401, "invalid_client".into()));
}
