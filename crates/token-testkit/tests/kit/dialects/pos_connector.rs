use std::time::{Duration, SystemTime};

use http::Method;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde_json::{Value, json};
use token_testkit::{Answer, AuthorizationServer, Dialect};

use super::{Call, start};

fn login(server: &AuthorizationServer, email: &str, password: &str) -> Call {
    Call::post(server.token_url()).json(&json!({ "email": email, "password": password }))
}

#[tokio::test]
async fn a_login_answers_a_token_and_its_end_as_local_time_without_a_zone() {
    let zone = "Asia/Kolkata";
    let builder = AuthorizationServer::builder().dialect(Dialect::PosConnector).time_zone(zone);
    let lifetime = Duration::from_secs(5400);
    let server = builder.user("ada", "love").access_lifetime(lifetime).start().unwrap();
    for skew in [0, -86_400] {
        server.set_date_skew(skew);
        let before = SystemTime::now();
        let answer = login(&server, "ada", "love").send().await.json();
        assert!(answer.get("refresh_token").is_none() && answer.get("expires_in").is_none());
        let text = answer["token_expiry"].as_str().unwrap();
        assert_eq!((text.len(), &text[10..11], &text[19..20]), (26, "T", "."), "{text}");
        let local: DateTime = text.parse().unwrap();
        let ends = local.to_zoned(TimeZone::get(zone).unwrap()).unwrap().timestamp();
        let earliest = Timestamp::try_from(before + lifetime).unwrap();
        let seconds = ends.as_second() - earliest.as_second() - skew;
        assert!((-1..60).contains(&seconds), "{text} is {seconds} s off");
    }
    let entry = &server.history()[0];
    let told = (entry.client.as_deref(), entry.grant_type.as_deref());
    assert_eq!(told, (Some("ada"), Some("password")));
    assert!(matches!(entry.answer, Answer::Issued { refresh: None, .. }));
}

#[tokio::test]
async fn refusals_are_laravels() {
    let server = start(Dialect::PosConnector);
    let wrong = login(&server, "ada", "x").send().await;
    let why = json!("These credentials do not match our records.");
    assert_eq!(wrong.at("/message"), (422, why.clone()));
    assert_eq!(wrong.at("/errors/email/0"), (422, why));
    let url = server.token_url();
    let missing = Call::post(url.clone()).json(&json!({ "email": "ada" })).send().await;
    let why = json!("The password field is required.");
    assert_eq!(missing.at("/errors/password/0"), (422, why));
    let form = Call::post(url.clone()).form(&[("email", "a"), ("password", "b")]).send().await;
    assert_eq!(form.status, 422);
    assert_eq!(Call::new(Method::GET, url).send().await.header("allow"), Some("POST"));

    let probe = || Call::new(Method::GET, format!("{}/user", server.api_url()));
    let unauthenticated = probe().bearer("x").send().await;
    assert_eq!(unauthenticated.json(), json!({ "message": "Unauthenticated." }));
    assert_eq!(unauthenticated.status, 401);
    let token = server.sign_in("ada");
    assert!(token.refresh_token().is_empty());
    assert_eq!(probe().bearer(token.access_token()).send().await.status, 200);
    let page = Call::new(Method::GET, format!("{}/login", server.origin())).send().await;
    assert!(page.status == 200 && page.bytes.starts_with(b"<!DOCTYPE html>"));
}

#[tokio::test]
async fn an_invoice_is_created_submitted_polled_and_downloaded() {
    let server = start(Dialect::PosConnector);
    let invoices = format!("{}/invoices", server.api_url());
    let refused = Call::post(invoices.clone()).bearer("x").send().await;
    assert_eq!(refused.status, 401, "nothing is created without a token");
    let token = server.sign_in("ada");
    let ask = async |method: Method, path: &str| {
        let call = Call::new(method, format!("{invoices}{path}")).bearer(token.access_token());
        call.send().await
    };
    let created = ask(Method::POST, "").await;
    assert_eq!(created.at("/id"), (201, json!(1)));
    let status = async || ask(Method::GET, "/1/status").await.at("/status").1;
    assert_eq!(status().await, "draft");
    assert_eq!(ask(Method::GET, "/1/pdf").await.status, 409);
    assert_eq!(ask(Method::POST, "/1/submit").await.at("/status"), (202, json!("pending")));
    assert_eq!(ask(Method::POST, "/1/submit").await.status, 409);
    let reported: Vec<Value> = vec![status().await, status().await, status().await, status().await];
    assert_eq!(reported, ["pending", "pending", "done", "done"]);

    let pdf = ask(Method::GET, "/1/pdf").await;
    assert_eq!(pdf.header("content-type"), Some("application/pdf"));
    let text = String::from_utf8(pdf.bytes.to_vec()).unwrap();
    let table: usize = text.lines().rev().nth(1).unwrap().parse().unwrap();
    assert!(text.starts_with("%PDF-") && text[table..].starts_with("xref\n"), "{text}");
    for (number, line) in (1..).zip(text[table..].lines().skip(3).take(4)) {
        let offset: usize = line[..10].parse().unwrap();
        assert!(text[offset..].starts_with(&format!("{number} 0 obj")), "{line}");
    }
    for path in ["/2/status", "/0/status", "/x", "/1/nothing"] {
        assert_eq!(ask(Method::GET, path).await.status, 404, "{path}");
    }
    assert_eq!(ask(Method::GET, "").await.status, 405);
}
