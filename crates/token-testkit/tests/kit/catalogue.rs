//! Every fault there is, over real sockets: what a client sees, what the history says, and what
//! the refresh token is worth afterwards.

use std::time::Duration;

use serde_json::Value;
use token_testkit::{Answer, AuthorizationServer, DEFAULT_CLIENT_ID, Fault};

use crate::{
    raw::{self, Raw},
    support::{Caller, start, until},
};

/// The words of a fault. Each must be known here: what is added to the catalogue is tested.
struct Words(Vec<(&'static str, &'static str)>);

impl Words {
    fn of(text: &'static str) -> Self {
        Self(text.split(' ').map(|word| word.split_once('=').unwrap_or((word, ""))).collect())
    }

    fn value(&self, key: &str) -> Option<&'static str> {
        self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    fn has(&self, key: &str) -> bool {
        self.value(key).is_some()
    }

    fn has_one_of(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.has(key))
    }

    fn is_scripted(&self) -> bool {
        let scripted = ["status", "error", "body", "html", "empty", "garbage", "truncated"];
        self.has_one_of(&scripted)
            || self.has_one_of(&["cut-json", "redirect", "huge"])
            || self.is_refused()
    }

    fn is_refused(&self) -> bool {
        self.has_one_of(&["wrong-password", "disabled-user"])
    }

    fn is_silent(&self) -> bool {
        self.has_one_of(&["hang", "reset-before", "reset-after"])
    }

    fn is_carried_out(&self) -> bool {
        self.has_one_of(&["carried-out", "reset-after"])
            || !(self.is_scripted() || self.is_silent())
    }

    /// Whether the presented refresh token is spent.
    fn rotates(&self) -> bool {
        let keeps = ["kill-family", "no-refresh-token", "refresh-token"];
        self.is_carried_out() && !self.has_one_of(&keeps)
    }
}

#[test]
fn every_fault_is_what_its_words_say() {
    for (text, fault) in Fault::catalogue() {
        println!("{text}");
        let words = Words::of(text);
        let server = start();
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        server.script([fault]);
        if words.has("hang") {
            let mut stream = raw::connect(server.origin()).unwrap();
            raw::send(&mut stream, "POST", "/token", &raw::refresh(login.refresh_token()));
            let carried_out = u64::from(words.is_carried_out());
            spin(|| server.counters().token_requests == 1);
            spin(|| server.counters().tokens_issued == carried_out);
            assert_eq!(server.history()[0].answer, Answer::Pending);
            drop(stream);
            spin(|| server.history()[0].answer != Answer::Pending);
        } else {
            let body = raw::refresh(login.refresh_token());
            match raw::request(server.origin(), "POST", "/token", &body) {
                None => assert!(words.is_silent(), "{text}"),
                Some(seen) => {
                    assert!(!words.is_silent(), "{text}");
                    for (key, value) in &words.0 {
                        check(&words, key, value, &seen, login.refresh_token());
                    }
                    let status = words.value("status").map(|status| status.parse().unwrap());
                    let status = status.unwrap_or(match words.value("error") {
                        Some("invalid_client") => 401,
                        Some(_) => 400,
                        None if words.has("kill-family") || words.is_refused() => 400,
                        None => 200,
                    });
                    assert_eq!(seen.status, status, "{text}");
                }
            }
        }
        check_history(&words, &server);
        check_afterwards(&words, &server, login.refresh_token());
    }
}

fn check(words: &Words, key: &str, value: &str, seen: &Raw, presented: &str) {
    let content_type = seen.header("content-type");
    let length =
        || seen.header("content-length").expect("a length").parse::<usize>().expect("a number");
    let is_json = serde_json::from_slice::<Value>(&seen.body).is_ok();
    let json_says = |member: &str| {
        let text = seen.text();
        assert!(text.contains(member), "{member} in {text}");
    };
    match key {
        "none" | "delay-before" | "delay-after" | "scope" => {
            assert_eq!(seen.json()["token_type"], "Bearer");
            assert_ne!(seen.json()["refresh_token"], *presented);
            assert_eq!(seen.json().get("scope").and_then(Value::as_str), words.value("scope"));
        }
        "kill-family" | "wrong-password" | "disabled-user" => {
            assert_eq!(seen.json()["error"], "invalid_grant");
        }
        // What it means is checked by the history and afterwards.
        "carried-out" => {}
        "status" if words.0.len() == 1 => assert!(seen.body.is_empty()),
        "status" => {}
        "retry-after" => assert_eq!(seen.header("retry-after"), Some(value)),
        "retry-after-date" => {
            let date = |name| {
                httpdate::parse_http_date(seen.header(name).expect("a header")).expect("a date")
            };
            let difference =
                date("retry-after").duration_since(date("date")).expect("a later date");
            assert_eq!(difference, Duration::from_secs(value.parse().expect("a number")));
        }
        "error" if words.has("form") => {
            assert!(seen.text().starts_with(&format!("error={value}&")))
        }
        "error" => assert_eq!(seen.json()["error"], value),
        "body" => assert_eq!(seen.text(), value),
        "content-type" => assert_eq!(content_type, Some(value)),
        "html" => {
            assert!(seen.text().starts_with("<!DOCTYPE html>"));
            assert!(
                words.has("content-type")
                    || content_type.expect("a content type").starts_with("text/html")
            );
        }
        "empty" => assert_eq!((content_type, &*seen.body), (Some("application/json"), &b""[..])),
        "garbage" => {
            assert_eq!(content_type, Some("application/json"));
            assert!(!is_json && std::str::from_utf8(&seen.body).is_err());
        }
        "truncated" => assert!(!seen.body.is_empty() && seen.body.len() < length()),
        "cut-json" => {
            assert_eq!((content_type, seen.body.len()), (Some("application/json"), length()));
            assert!(seen.text().starts_with("{\"access_token\":\"kit-at-") && !is_json);
        }
        "redirect" => assert_eq!(seen.header("location"), Some(value)),
        "huge" => {
            let bytes: usize = value.parse().expect("a number");
            assert_eq!((seen.body.len(), length(), is_json), (bytes, bytes, true));
        }
        "form" => {
            assert_eq!(content_type, Some("application/x-www-form-urlencoded"));
            let field = if words.has("error") { "error" } else { "access_token" };
            assert!(form_urlencoded::parse(&seen.body).any(|(name, _)| name == field));
        }
        "expires-in" => json_says(&format!("\"expires_in\":{value},")),
        "no-expires-in" => assert!(seen.json().get("expires_in").is_none()),
        "token-type" => assert_eq!(seen.json()["token_type"], value),
        "no-token-type" => assert!(seen.json().get("token_type").is_none()),
        "refresh-token" => assert_eq!(
            seen.json()["refresh_token"],
            match value {
                "repeated" => presented.into(),
                "null" => Value::Null,
                _ => "".into(),
            }
        ),
        "no-refresh-token" => assert!(seen.json().get("refresh_token").is_none()),
        "drip" => assert!(is_json),
        other => panic!("nobody says what `{other}` looks like"),
    }
}

fn check_history(words: &Words, server: &AuthorizationServer) {
    let carried_out = words.is_carried_out();
    let issued = u64::from(carried_out && !words.has("kill-family"));
    assert_eq!(server.counters().tokens_issued, issued);
    match &server.history()[0].answer {
        Answer::NoAnswer { processed, .. } => {
            assert!(words.is_silent());
            assert_eq!(*processed, carried_out);
        }
        Answer::Fault { processed, .. } => {
            assert!(words.is_scripted());
            assert_eq!(*processed, carried_out);
        }
        Answer::Refused { error, .. } => {
            assert!(words.has("kill-family"));
            assert_eq!(error, "invalid_grant");
        }
        Answer::Issued { generation, refresh, .. } => {
            assert!(!words.is_scripted() && !words.is_silent());
            assert_eq!(*generation, u64::from(words.rotates()));
            let told = words.rotates() || words.value("refresh-token") == Some("repeated");
            assert_eq!(refresh.is_some(), told);
        }
        other => panic!("{other:?}"),
    }
}

/// Presents the same refresh token again.
fn check_afterwards(words: &Words, server: &AuthorizationServer, refresh_token: &str) {
    let again = raw::request(server.origin(), "POST", "/token", &raw::refresh(refresh_token));
    let status = again.expect("an answer").status;
    let counters = server.counters();
    let ended = u64::from(words.rotates() || words.has("kill-family"));
    assert_eq!((status == 400, counters.families_revoked), (ended == 1, ended));
    assert_eq!(counters.reuse_detected, u64::from(words.rotates()));
    let twice = [((0, 0), 2)];
    assert_eq!(server.presentations_per_generation().into_iter().collect::<Vec<_>>(), twice);
}

#[tokio::test]
async fn http_2_sees_every_fault_too() {
    let server = start();
    for (text, fault) in Fault::catalogue() {
        let words = Words::of(text);
        if words.has("hang") {
            continue;
        }
        println!("{text}");
        let caller = Caller::http2();
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        server.script([fault]);
        let seen = caller.try_refresh(&server, login.refresh_token()).await;
        let broken = words.is_silent() || words.has("truncated");
        assert_eq!(seen.is_none(), broken, "{text}");
        if let Some(status) = words.value("status") {
            assert_eq!(seen.unwrap().status.as_str(), status, "{text}");
        }
        let issued = server.counters().tokens_issued;
        let again = caller.try_refresh(&server, login.refresh_token()).await.unwrap();
        assert_eq!(again.status == 200, !words.rotates() && !words.has("kill-family"), "{text}");
        assert_eq!(server.counters().tokens_issued, issued + u64::from(again.status == 200));
    }
}

#[test]
fn an_answer_can_be_longer_than_any_memory() {
    use std::io::Read;

    let server = start();
    server.script([Fault::huge(1 << 50)]);
    let mut stream = raw::connect(server.origin()).unwrap();
    raw::send(&mut stream, "POST", "/token", "");
    let mut read = vec![0; 4 << 20];
    stream.read_exact(&mut read).unwrap();
    assert!(read.starts_with(b"HTTP/1.1 200 OK") && read.ends_with(b"xxxx"));
}

#[test]
fn a_dripped_answer_takes_its_time() {
    let server = start();
    let every = Duration::from_millis(20);
    server.script([Fault::body(200, "text/plain", "abcdef").dripped(1, every)]);
    let started = std::time::Instant::now();
    let seen = raw::request(server.origin(), "POST", "/token", "").unwrap();
    assert_eq!(seen.text(), "abcdef");
    assert!(started.elapsed() >= every * 5);
}

#[tokio::test]
async fn who_follows_a_redirect_is_in_the_history() {
    let (server, elsewhere) = (start(), start());
    let caller = Caller::http1();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([Fault::redirect(307, &elsewhere.token_url())]);
    let seen = caller.refresh(&server, login.refresh_token()).await.unwrap();
    assert_eq!(seen.header("location"), Some(&*elsewhere.token_url()));
    assert!(elsewhere.history().is_empty(), "this client does not follow");
    caller.refresh(&elsewhere, login.refresh_token()).await.unwrap();
    let followed = elsewhere.history()[0].presented;
    assert_eq!(followed, server.history()[0].presented, "but one that does would be seen");
}

#[tokio::test]
async fn a_refusal_is_form_encoded_too_and_is_not_changed_otherwise() {
    let server = start();
    let caller = Caller::http1();
    server.script([Fault::form(), Fault::expires_in("null")]);
    let refused = caller.refresh(&server, "unknown").await.unwrap();
    assert_eq!(refused.status, 400);
    assert!(refused.bytes.starts_with(b"error=invalid_grant&"));
    let refused = caller.refresh(&server, "unknown").await.unwrap();
    assert_eq!(refused.error(), (400, "invalid_grant".into()));
    assert!(refused.json().get("expires_in").is_none());
}

#[tokio::test]
async fn what_is_cut_after_it_was_carried_out_is_the_real_answer() {
    let server = start();
    let login = server.sign_in(DEFAULT_CLIENT_ID);
    server.script([Fault::cut_json().carried_out()]);
    let seen = Caller::http1().refresh(&server, login.refresh_token()).await.unwrap();
    assert!(!seen.bytes.starts_with(b"{\"access_token\":\"kit-at-sample"));
    until(|| server.counters().tokens_issued == 1).await;
}

/// Waits for what the server does on its own thread.
fn spin(condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < crate::support::PATIENCE, "it never comes");
        std::thread::yield_now();
    }
}
