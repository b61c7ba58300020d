use http::Method;
use serde_json::json;
use token_testkit::{
    AKUVOX_USER_AGENT, AuthorizationServer, DEFAULT_USER, Dialect, Fault, Fingerprint,
};

use super::{Call, api, renewal, renewal_of, start};

#[tokio::test]
async fn the_envelope_has_the_lifetime_as_text() {
    let server = start(Dialect::Akuvox);
    let login = server.sign_in(DEFAULT_USER);
    let answer = renewal_of(Dialect::Akuvox, &server, &login).send().await;
    let (token, refresh) = (answer.at("/datas/token").1, answer.at("/datas/refresh_token").1);
    let expected = json!({
        "datas": { "token": token, "refresh_token": refresh, "token_valid": "604800" },
        "err_code": "0",
        "message": "success",
    });
    assert_eq!(answer.json(), expected);
    let good = api(Dialect::Akuvox, &server, token.as_str().unwrap()).send().await;
    assert_eq!(good.at("/err_code"), (200, json!("0")));
    assert_eq!(good.at("/datas/path"), (200, json!("/api/thing")));
}

#[tokio::test]
async fn every_failure_is_a_200_with_an_error_code() {
    let server = start(Dialect::Akuvox);
    let login = server.sign_in(DEFAULT_USER);
    let other = server.sign_in(DEFAULT_USER);
    let url = server.token_url();
    let body = json!({ "refresh_token": login.refresh_token() });
    let dead = renewal(Dialect::Akuvox, &server, login.access_token(), "unknown");
    let mixed = renewal(Dialect::Akuvox, &server, other.access_token(), login.refresh_token());
    let no_token = Call::post(url.clone()).header("user-agent", AKUVOX_USER_AGENT).json(&body);
    let stranger = Call::post(url.clone())
        .header("user-agent", "curl")
        .header("x-auth-token", login.access_token())
        .json(&body);
    for (call, code) in [(dead, "-1"), (mixed, "-1"), (no_token, "-2"), (stranger, "-2")] {
        assert_eq!(call.send().await.at("/err_code"), (200, json!(code)));
    }
    server.script([Fault::oauth_error("2001"), Fault::status(401).and(Fault::oauth_error("2001"))]);
    let scripted = renewal_of(Dialect::Akuvox, &server, &login).send().await;
    assert_eq!(scripted.at("/err_code"), (200, json!("2001")));
    let scripted = renewal_of(Dialect::Akuvox, &server, &login).send().await;
    assert_eq!(scripted.at("/err_code"), (401, json!("2001")));

    let bearer = Call::new(Method::GET, server.api_url())
        .header("user-agent", AKUVOX_USER_AGENT)
        .bearer(login.access_token());
    assert_eq!(bearer.send().await.at("/err_code"), (200, json!("-1")));
    let stranger =
        Call::new(Method::GET, server.api_url()).header("x-auth-token", login.access_token());
    assert_eq!(stranger.send().await.at("/err_code"), (200, json!("-2")));
    assert_eq!(server.counters().tokens_issued, 0);
    renewal_of(Dialect::Akuvox, &server, &login).send().await.at("/datas/token");
}

#[tokio::test]
async fn an_sms_login_carries_both_tokens_and_the_header_can_have_another_name() {
    let server = AuthorizationServer::builder()
        .dialect(Dialect::Akuvox)
        .user("5550123", "4711")
        .token_header("x-hub-token")
        .start()
        .unwrap();
    server.record_api();
    let sms = |code: &str| {
        let query = format!("phone=5550123&code={code}&area_code=49");
        let url = format!("{}/sms_login?{query}", server.origin());
        Call::new(Method::GET, url).header("user-agent", AKUVOX_USER_AGENT)
    };
    assert_eq!(sms("0000").send().await.at("/err_code"), (200, json!("-1")));
    let login = sms("4711").send().await;
    let (token, refresh) = (login.at("/datas/token").1, login.at("/datas/refresh_token").1);
    let token = token.as_str().unwrap();
    let renewed = Call::post(server.token_url())
        .header("user-agent", AKUVOX_USER_AGENT)
        .header("x-hub-token", token)
        .json(&json!({ "refresh_token": refresh }));
    renewed.send().await.at("/datas/refresh_token");

    let call = Call::new(Method::GET, server.api_url()).header("user-agent", AKUVOX_USER_AGENT);
    assert_eq!(call.header("x-hub-token", token).send().await.at("/err_code").1, "0");
    let shown = &server.api_history()[0].headers["x-hub-token"];
    assert_eq!(*shown, *Fingerprint::of(token).to_string(), "no token is in the history");
}
