use std::{io::ErrorKind, time::Duration};

use http::Method;
use serde_json::{Value, json};
use token_testkit::{ApiFault, AuthorizationServer, Fault, Fingerprint};

use crate::{
    raw::{self, Raw},
    support::{Caller, start, until},
};

fn controlled() -> AuthorizationServer {
    AuthorizationServer::builder().control(true).start().expect("a server")
}

fn get(server: &AuthorizationServer, path: &str) -> Value {
    let seen = raw::request(server.origin(), "GET", path, "").expect("an answer");
    assert_eq!(seen.status, 200, "{}", seen.text());
    seen.json()
}

fn post(server: &AuthorizationServer, path: &str, body: &Value) -> Value {
    let seen = raw::request(server.origin(), "POST", path, &body.to_string()).expect("an answer");
    assert_eq!(seen.status, 200, "{}", seen.text());
    seen.json()
}

fn refresh(server: &AuthorizationServer, token: &Value) -> Raw {
    let body = raw::refresh(token.as_str().expect("a token"));
    raw::request(server.origin(), "POST", "/token", &body).expect("an answer")
}

#[test]
fn it_is_off_unless_it_is_switched_on() {
    let server = start();
    for path in ["/control", "/control/script", "/control/history"] {
        for method in ["GET", "POST"] {
            assert_eq!(raw::request(server.origin(), method, path, "").unwrap().status, 404);
        }
    }
}

#[tokio::test]
async fn a_login_refreshes_and_is_revoked() {
    let server = controlled();
    let login = post(&server, "/control/sign-in", &json!({}));
    assert_eq!((&login["expires_in"], &login["family"]), (&json!(3600.0), &json!(0)));
    let access = login["access_token"].as_str().unwrap();
    assert!(Caller::http1().accepted(&server, access).await);
    assert_eq!(post(&server, "/control/revoke-access-tokens", &json!({}))["revoked"], true);
    assert!(!Caller::http1().accepted(&server, access).await);

    let seen = refresh(&server, &login["refresh_token"]);
    assert_eq!(seen.status, 200);
    let next = seen.json()["refresh_token"].clone();
    assert_eq!(post(&server, "/control/kill-family", &json!({ "token": next }))["revoked"], true);
    assert_eq!(post(&server, "/control/kill-family", &json!({ "token": next }))["revoked"], false);
    assert_eq!(refresh(&server, &next).json()["error"], "invalid_grant");
    assert_eq!(server.counters().families_revoked, 1);

    let other = post(&server, "/control/sign-in", &json!({ "client_id": "other" }));
    assert_eq!(other["family"], 1);
    assert_eq!(refresh(&server, &other["refresh_token"]).status, 400, "it is another client's");
}

#[test]
fn faults_are_scripted_random_or_always_there() {
    let server = controlled();
    let statuses = |n| {
        let statuses: Vec<_> = (0..n).map(|_| refresh(&server, &json!("unknown")).status).collect();
        statuses
    };
    let script = post(
        &server,
        "/control/script",
        &json!({ "faults": ["retry-after=7 status=503", "garbage status=502"] }),
    );
    assert_eq!(script["script"], json!(["status=503 retry-after=7", "garbage status=502"]));
    let always = post(&server, "/control/always", &json!({ "fault": "status=500" }));
    assert_eq!(always["always"], "status=500");
    assert_eq!(statuses(3), [503, 502, 500]);
    let random = json!({ "rate": 1.0, "seed": 7, "faults": ["status=504"] });
    post(&server, "/control/random", &random);
    assert_eq!(statuses(2), [504, 504]);
    post(&server, "/control/random", &json!({ "rate": 0 }));
    assert_eq!(statuses(1), [500]);
    post(&server, "/control/always", &json!({ "fault": null }));
    assert_eq!(statuses(1), [400]);
}

#[tokio::test]
async fn the_api_fails_as_scripted_and_tells_what_it_received() {
    let server = controlled();
    let unrecorded = raw::request(server.origin(), "GET", "/control/api-history", "").unwrap();
    assert_eq!(unrecorded.status, 409);
    assert!(unrecorded.text().contains("POST /control/record-api"), "{}", unrecorded.text());
    post(&server, "/control/record-api", &json!({}));

    let texts = ["challenge=Bearer%20error=%22invalid_token%22", "close", "grpc-status=16"];
    let script = post(&server, "/control/api-script", &json!({ "faults": texts }));
    let written = ["challenge=Bearer%20error=\"invalid_token\"", "close", "grpc-status=16"];
    assert_eq!(script["script"], json!(written));
    let always = post(&server, "/control/api-always", &json!({ "fault": "status=403" }));
    assert_eq!(always["always"], "status=403");

    let login = post(&server, "/control/sign-in", &json!({}));
    let access = login["access_token"].as_str().unwrap();
    let bearer = format!("Bearer {access}");
    let caller = Caller::http1();
    let authorization = [&*bearer];
    let call = || caller.api(&server, Method::PUT, "/x", &authorization, b"abc");
    let refused = call().await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert!(raw::request(server.origin(), "GET", "/api", "").is_none());
    assert_eq!(call().await.header("grpc-status"), Some("16"));
    assert_eq!(call().await.status, 403);
    post(&server, "/control/api-always", &json!({ "fault": null }));
    assert_eq!(call().await.status, 200);

    let history = get(&server, "/control/api-history");
    let statuses: Vec<_> =
        history.as_array().unwrap().iter().map(|entry| entry["status"].clone()).collect();
    assert_eq!(json!(statuses), json!([401, null, 200, 403, 200]));
    let first = &history[0];
    assert_eq!((&first["method"], &first["path"]), (&json!("PUT"), &json!("/api/x")));
    assert_eq!((&first["version"], &first["trailers"]), (&json!("HTTP/1.1"), &Value::Null));
    assert_eq!((&first["body_bytes"], &first["body_end"]), (&json!(3), &json!("complete")));
    let shown = format!("Bearer {}", Fingerprint::of(access));
    assert_eq!(first["headers"]["authorization"], json!([shown]));
    assert!(!history.to_string().contains(access));
}

#[test]
fn settings_are_changed_one_by_one_and_told() {
    let server = controlled();
    let defaults = get(&server, "/control/settings");
    let mut expected = json!({
        "access_lifetime": "3600s", "refresh_lifetime": null, "rotation": "rotate",
        "grace": "none", "date_skew": 0,
    });
    assert_eq!(defaults, expected);
    for (name, value) in [
        ("access_lifetime", json!("1.5s")),
        ("refresh_lifetime", json!("60s")),
        ("rotation", json!("omit")),
        ("grace", json!("new-pair=30s")),
        ("date_skew", json!(-3600)),
        ("refresh_lifetime", json!(null)),
    ] {
        expected[name] = value.clone();
        assert_eq!(post(&server, "/control/settings", &json!({ name: value })), expected);
    }
    let login = post(&server, "/control/sign-in", &json!({}));
    assert_eq!(login["expires_in"], 1.5);
    assert!(refresh(&server, &login["refresh_token"]).json().get("refresh_token").is_none());
    post(&server, "/control/settings", &defaults);
    assert_eq!(get(&server, "/control/settings"), defaults, "they can be sent back");
}

#[test]
fn counters_and_history_tell_everything_but_tokens() {
    let server = controlled();
    let login = post(&server, "/control/sign-in", &json!({}));
    post(&server, "/control/script", &json!({ "faults": ["html carried-out", "reset-before"] }));
    let old = &login["refresh_token"];
    refresh(&server, old);
    let body = raw::refresh(old.as_str().unwrap());
    assert!(raw::request(server.origin(), "POST", "/token", &body).is_none());
    refresh(&server, old);
    refresh(&server, &json!("unknown"));
    let fresh = post(&server, "/control/sign-in", &json!({}));
    let issued = refresh(&server, &fresh["refresh_token"]).json();

    let history = get(&server, "/control/history");
    let kinds: Vec<_> =
        history.as_array().unwrap().iter().map(|entry| entry["answer"]["kind"].clone()).collect();
    assert_eq!(kinds, ["fault", "no_answer", "reuse_detected", "refused", "issued"]);
    assert_eq!(history[0]["answer"], json!({ "kind": "fault", "status": 200, "processed": true }));
    assert_eq!(history[0]["presented"].as_str().unwrap().len(), 16);
    assert_eq!((&history[4]["family"], &history[4]["generation"]), (&json!(1), &json!(0)));
    assert!(history[0]["answered_at"].as_f64() >= history[0]["at"].as_f64());
    assert_eq!(history[1]["answered_at"], Value::Null);

    let counters = get(&server, "/control/counters");
    assert_eq!(counters["counters"]["reuse_detected"], 1);
    assert_eq!(counters["counters"]["token_requests"], 5);
    assert_eq!(
        counters["presentations_per_generation"],
        json!([
            { "family": 0, "generation": 0, "presented": 3 },
            { "family": 1, "generation": 0, "presented": 1 },
        ])
    );
    let told = format!("{history} {counters}");
    for token in
        [&login, &fresh, &issued].map(|tokens| [&tokens["refresh_token"], &tokens["access_token"]])
    {
        assert!(token.iter().all(|token| !told.contains(token.as_str().unwrap())), "{told}");
    }
}

#[tokio::test]
async fn connections_are_refused_for_a_time() {
    let server = controlled();
    let started = std::time::Instant::now();
    let time = Duration::from_millis(300);
    let answer = post(&server, "/control/refuse-connections", &json!({ "seconds": 0.3 }));
    assert_eq!(answer["refused_seconds"], 0.3);
    match raw::connect(server.origin()) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
        // A busy machine may come here late.
        Ok(_) => assert!(started.elapsed() >= time),
    }
    until(|| raw::connect(server.origin()).is_ok()).await;
    assert!(started.elapsed() >= time);
    get(&server, "/control/counters");
}

#[test]
fn the_catalogue_and_the_requests_are_listed() {
    let server = controlled();
    let catalogue: Vec<_> = Fault::catalogue().map(|(text, _)| text).collect();
    assert_eq!(get(&server, "/control/catalogue"), json!(catalogue));
    let catalogue: Vec<_> = ApiFault::catalogue().map(|(text, _)| text).collect();
    assert_eq!(get(&server, "/control/api-catalogue"), json!(catalogue));
    let requests = get(&server, "/control");
    for request in requests.as_array().unwrap() {
        let text = |name: &str| request[name].as_str().unwrap().to_owned();
        if text("path") == "/control/refuse-connections" {
            continue;
        }
        // Each example is one: the JSON at its beginning is accepted.
        let body = text("body");
        let mut values = serde_json::Deserializer::from_str(&body).into_iter::<Value>();
        let example = values.next().map_or(String::new(), |value| value.unwrap().to_string());
        let seen = raw::request(server.origin(), &text("method"), &text("path"), &example).unwrap();
        assert_eq!(seen.status, 200, "{request}: {}", seen.text());
        let readme = include_str!("../../README.md");
        assert!(readme.contains(&format!("`{} {}`", text("method"), text("path"))), "{request}");
    }
}

#[test]
fn bad_input_gets_a_sentence_that_says_what_is_wrong_and_what_is_expected() {
    let server = controlled();
    for (path, body, said) in [
        ("script", "", &["missing field `faults`", "{\"faults\":["][..]),
        ("script", "{\"faults\":[\"hang\",\"statsu=5\"]}", &["`statsu` is no word", "retry-after"]),
        ("script", "{\"faults\":[5]}", &["expected a text"]),
        ("script", "faults=hang", &["expected"]),
        ("script", "{\"faults\":[],\"fault\":1}", &["unknown field `fault`"]),
        (
            "api-script",
            "{\"faults\":[\"hang\"]}",
            &["`hang` is no word of an API fault", "after-bytes"],
        ),
        ("api-always", "{}", &["missing field `fault`", "{\"fault\":null}"]),
        ("always", "{}", &["missing field `fault`", "{\"fault\":null}"]),
        ("random", "{\"rate\":2}", &["`rate` is not from 0 to 1"]),
        ("random", "{\"rate\":0.5,\"faults\":[\"hang\"]}", &["`seed` is missing"]),
        ("random", "{\"rate\":0.5,\"seed\":1}", &["`faults` is missing"]),
        ("settings", "{\"access_lifetime\":\"5\"}", &["`5` is not a duration such as `90s`"]),
        ("settings", "{\"grace\":\"30s\"}", &["same-pair=30s"]),
        ("settings", "{\"rotation\":\"x\"}", &["`rotate`, `repeat` or `omit`"]),
        ("kill-family", "{}", &["missing field `token`"]),
        ("user", "{\"user\":\"ada\"}", &["missing field `active`"]),
        ("revoke-access-tokens", "{\"all\":true}", &["unknown field `all`"]),
        ("refuse-connections", "{\"seconds\":0}", &["not above 0"]),
        ("refuse-connections", "{\"seconds\":-1}", &["not above 0"]),
        ("refuse-connections", "{\"seconds\":1e300}", &["too long"]),
    ] {
        let seen =
            raw::request(server.origin(), "POST", &format!("/control/{path}"), body).unwrap();
        assert_eq!(seen.status, 400, "{path} {body}");
        let error = seen.json()["error"].as_str().unwrap().to_owned();
        assert!(said.iter().all(|said| error.contains(said)), "{error}");
        assert!(error.contains(&format!("POST /control/{path} takes JSON such as ")), "{error}");
    }
    let nothing = raw::request(server.origin(), "GET", "/control/nothing", "").unwrap();
    assert_eq!(nothing.status, 404);
    let wrong = raw::request(server.origin(), "GET", "/control/script", "").unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("POST")));
    let wrong = raw::request(server.origin(), "DELETE", "/control/settings", "").unwrap();
    assert_eq!((wrong.status, wrong.header("allow")), (405, Some("GET, POST")));
    assert_eq!(refresh(&server, &json!("unknown")).status, 400, "nothing of it was taken");
    assert_eq!(server.counters().token_requests, 1);
}
