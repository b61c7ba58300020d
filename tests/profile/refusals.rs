//! What is refused, in each form that a profile knows.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use integration_tests::soon;

use crate::adapter::{ALL, BY_BODY, Setting, text};
use crate::api::{Answer, Step, frames, json, of_kind};

const GOOD: &str = r#"{"err_code":"0","datas":{"door":"open"}}"#;

fn answer(status: u16, header: (&str, &str), body: &str) -> Answer {
    let answer = Response::builder().status(status).header(header.0, header.1);
    answer.body(Body::from(body.to_owned())).expect("an answer")
}

/// Each form, and an answer that looks alike and is none.
fn forms() -> [(&'static str, Answer, Answer); 5] {
    let page = ("content-type", "text/html");
    [
        ("status = 419", answer(419, page, "expired"), answer(418, page, "a teapot")),
        (
            "header = { name = \"x-session\", contains = \"expired\" }",
            answer(200, ("x-session", "expired"), "{}"),
            answer(200, ("x-session", "alive"), "{}"),
        ),
        (
            "redirect = \"/login\"",
            answer(302, ("location", "/login?next=/"), ""),
            answer(201, ("location", "/login"), ""),
        ),
        (
            "json = { at = \"/err_code\", is_not = \"0\" }",
            json(r#"{"err_code":"-1"}"#),
            json(r#"{"err_code":0}"#),
        ),
        // Of the default, beside the profile.
        ("status = 419", answer(401, page, "no"), answer(403, page, "no")),
    ]
}

#[tokio::test]
async fn each_form_costs_one_renewal_and_one_replay() {
    for place in ALL {
        for (at, (form, refusal, _)) in forms().into_iter().enumerate() {
            let form =
                format!("header = \"x-auth-token\"\nscheme = \"\"\nrefused = [{{ {form} }}]");
            let setting = Setting::new(place, &form).await;
            setting.api.script([refusal, json(GOOD)]);
            let order = Request::post(setting.api.url()).body(Bytes::from("order")).unwrap();
            let answer = setting.client.send(order).await.unwrap();
            assert_eq!(answer.status(), 200, "{place:?} {at}");
            assert_eq!(text(answer).await, GOOD, "{place:?} {at}");
            assert_eq!(setting.counts(), (2, 1), "{place:?} {at}");
            let seen = setting.api.seen();
            assert!(seen.iter().all(|seen| seen.body == "order"), "{seen:?}");
            assert_ne!(seen[0].token, seen[1].token);
            let token = setting.tokens.cached().unwrap();
            assert_eq!(seen[1].token.as_deref(), Some(token.expose_secret()));
        }
    }
}

#[tokio::test]
async fn what_only_looks_alike_is_the_callers() {
    for place in ALL {
        for (at, (form, _, alike)) in forms().into_iter().enumerate() {
            let setting = Setting::new(place, &format!("refused = [{{ {form} }}]")).await;
            let status = alike.status();
            setting.api.script([alike]);
            assert_eq!(setting.get().await.status(), status, "{place:?} {at}");
            assert_eq!(setting.counts(), (1, 0), "{place:?} {at}");
        }
    }
}

#[tokio::test]
async fn a_second_refusal_is_the_callers_and_is_whole() {
    for place in ALL {
        let setting = Setting::new(place, BY_BODY).await;
        let refusal = || {
            frames([Step::data(r#"{"err_code":1,"message":""#), Step::Flush, Step::data("no\"}")])
        };
        setting.api.script([refusal(), refusal()]);
        assert_eq!(text(setting.get().await).await, r#"{"err_code":1,"message":"no"}"#);
        assert_eq!(setting.counts(), (2, 1), "{place:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_cannot_be_replayed_is_renewed_and_passes_whole() {
    let long = Bytes::from(vec![b'x'; 64 * 1024 + 1]);
    for place in ALL {
        let setting = Setting::new(place, BY_BODY).await;
        let message = "x".repeat(20 * 1024);
        let refusal = format!(r#"{{"err_code":1,"message":"{message}"}}"#);
        setting.api.script([json(&refusal)]);
        let upload = Request::post(setting.api.url()).body(long.clone()).unwrap();
        let answer = setting.client.send(upload).await.unwrap();
        assert_eq!(text(answer).await, refusal, "{place:?}");
        assert_eq!(setting.counts(), (1, 1), "{place:?}");
        assert_eq!(text(setting.get().await).await, r#"{"err_code":"0"}"#);
        assert_eq!(setting.counts(), (2, 1), "the next has the new token");
    }
}

#[tokio::test]
async fn a_refusal_may_come_byte_by_byte() {
    for place in ALL {
        let setting = Setting::new(place, BY_BODY).await;
        let text = "\u{feff}{\"message\":\"geräumt\",\"err_code\":1}";
        let bytes = text.bytes().flat_map(|byte| [Step::data(vec![byte]), Step::Flush]);
        setting.api.script([frames(bytes)]);
        assert_eq!(crate::adapter::text(setting.get().await).await, r#"{"err_code":"0"}"#);
        assert_eq!(setting.counts(), (2, 1), "{place:?}");
    }
}

/// The rest of a refusal does not matter: not that it is missing, and not that it never comes.
#[tokio::test]
async fn a_refusal_is_known_by_its_value_whatever_comes_after_it() {
    for place in ALL {
        for after in [Step::Silence, Step::BreakOff] {
            let setting = Setting::new(place, BY_BODY).await;
            setting.api.script([frames([Step::data(r#"{"err_code":1,"#), Step::Flush, after])]);
            assert_eq!(text(setting.get().await).await, r#"{"err_code":"0"}"#);
            assert_eq!(setting.counts(), (2, 1), "{place:?}");
        }
    }
}

/// However many meet the refusal, it is renewed once.
#[tokio::test]
async fn many_that_are_refused_at_once_share_a_renewal() {
    for place in ALL {
        let setting = Setting::new(place, BY_BODY).await;
        setting.api.script((0..16).map(|_| of_kind("text/plain", Body::from(r#"{"err_code":1}"#))));
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (client, url) = (setting.client.clone(), setting.api.url());
            callers.spawn(async move { client.get(&url).await.into_body().collect().await });
        }
        for answer in soon(callers.join_all()).await {
            assert_eq!(answer.unwrap().to_bytes(), r#"{"err_code":"0"}"#);
        }
        assert_eq!(setting.counts(), (32, 1), "{place:?}");
    }
}
