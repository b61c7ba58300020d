//! Answers that are no refusals, and what is not looked at, where bodies are looked at.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use integration_tests::{TestBody, soon};
use reqwest_middleware::ClientBuilder;
use reqwest_token_refresh::TokenRefreshMiddleware;
use token_core::http::{NoToken, Origins};

use crate::adapter::{ALL, BY_BODY, Setting, profile, text};
use crate::api::{Answer, Step, endless, frames, json, of_kind};

/// Good JSON of 20 KiB, of which the value that decides is the last.
fn long() -> String {
    let items = (0..3_000).map(|item| item.to_string() + ",x").collect::<Vec<_>>().join("\",\"");
    format!(r#"{{"datas":["{items}"],"err_code":"0"}}"#)
}

async fn one(
    place: (crate::adapter::Adapter, http::Version),
    answer: Answer,
) -> (Setting, Response<TestBody>) {
    let setting = Setting::new(place, BY_BODY).await;
    setting.api.script([answer]);
    let answer = setting.get().await;
    assert_eq!(setting.counts(), (1, 0), "{place:?}");
    (setting, answer)
}

#[tokio::test]
async fn a_long_answer_passes_byte_for_byte_with_its_length() {
    let long = long();
    assert!(long.len() > 20 * 1024);
    for place in ALL {
        let (_setting, answer) = one(place, json(&long)).await;
        assert_eq!(answer.headers()["content-length"], long.len().to_string());
        assert_eq!(answer.body().size_hint().exact(), Some(long.len() as u64), "{place:?}");
        assert_eq!(text(answer).await, long, "{place:?}");
    }
}

#[tokio::test]
async fn a_streamed_answer_passes_with_its_trailers() {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "42".parse().unwrap());
    // With the value among the bytes that are looked at, behind them, and nowhere.
    for whole in [r#"{"err_code":"0","a":1}"#.to_owned(), long(), "[]".to_owned()] {
        for place in ALL {
            let pieces = whole.as_bytes().chunks(700);
            let pieces = pieces.flat_map(|piece| [Step::data(piece.to_vec()), Step::Flush]);
            let steps = pieces.chain([Step::Trailers(trailers.clone())]);
            let (_setting, answer) = one(place, frames(steps)).await;
            assert_eq!(answer.headers()["trailer"], "checksum");
            let body = soon(answer.into_body().collect()).await.unwrap();
            assert_eq!(body.trailers(), Some(&trailers), "{place:?}");
            assert_eq!(body.to_bytes(), whole, "{place:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_body_stays_one() {
    for place in ALL {
        let answer = Response::builder().status(200).body(Body::empty()).unwrap();
        let (_setting, answer) = one(place, answer).await;
        assert_eq!(text(answer).await, "", "{place:?}");
    }
}

#[tokio::test]
async fn of_an_answer_that_breaks_off_the_caller_has_all_that_came_and_the_error() {
    // Before there is a verdict, and after it.
    for came in [r#"{"datas":["#, r#"{"err_code":"0","datas":["#] {
        for place in ALL {
            let steps = [Step::data(came), Step::Flush, Step::BreakOff];
            let (_setting, answer) = one(place, frames(steps)).await;
            assert_eq!(answer.status(), 200);
            let mut body = answer.into_body();
            let mut read = Vec::new();
            let error = loop {
                match soon(body.frame()).await.expect("an error, and no end") {
                    Ok(frame) => read.extend(frame.into_data().unwrap()),
                    Err(error) => break error,
                }
            };
            assert_eq!(read, came.as_bytes(), "{place:?}: {error}");
        }
    }
}

#[tokio::test]
async fn an_endless_answer_is_not_waited_for_beyond_the_limit() {
    for place in ALL {
        let (_setting, answer) = one(place, endless()).await;
        let mut body = answer.into_body();
        let mut read = Vec::new();
        while read.len() < 100_000 {
            let frame = soon(body.frame()).await.expect("it has no end").unwrap();
            read.extend(frame.into_data().unwrap());
        }
        assert!(read.starts_with(b"[0,1,1,1"));
        assert!(read[2..].chunks_exact(2).all(|pair| pair == b",1"), "{place:?}");
    }
}

/// Of each of these nothing comes after what tells that there is nothing to wait for.
#[tokio::test]
async fn an_answer_is_not_held_up_once_its_beginning_tells() {
    for (kind, begins) in [
        ("application/json", r#"{"err_code":"0","#),
        // This document is over, and another one may begin.
        ("application/x-ndjson", "{\"door\":1}\n"),
        ("application/json", "no JSON"),
        ("text/html", "<"),
    ] {
        for place in ALL {
            let steps = [Step::data(begins), Step::Flush, Step::Silence];
            let mut answer = frames(steps);
            answer.headers_mut().insert("content-type", kind.parse().unwrap());
            let (_setting, answer) = one(place, answer).await;
            let frame = soon(answer.into_body().frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), begins, "{place:?} {kind}");
        }
    }
}

/// Not a byte of these comes.
#[tokio::test]
async fn an_answer_that_does_not_decide_is_not_held_up_at_all() {
    for (status, kind) in [
        (200, "text/event-stream"),
        (200, "image/png"),
        (200, "application/octet-stream"),
        (200, "application/grpc"),
        // The profile names another status.
        (500, "application/json"),
    ] {
        for place in ALL {
            let mut answer = frames([Step::Flush, Step::Silence]);
            *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
            answer.headers_mut().insert("content-type", kind.parse().unwrap());
            let (_setting, answer) = one(place, answer).await;
            assert_eq!(answer.status(), status, "{place:?} {kind}");
        }
    }
}

#[tokio::test]
async fn neither_a_request_without_a_token_nor_one_with_the_callers_own_is_looked_at() {
    for place in ALL {
        for own in [false, true] {
            let setting = Setting::new(place, BY_BODY).await;
            setting.api.script([frames([Step::Flush, Step::Silence]), json(r#"{"err_code":1}"#)]);
            for _ in 0..2 {
                let request = Request::get(setting.api.url());
                let request = match own {
                    false => request.extension(NoToken::new()),
                    true => request.header("x-auth-token", "the caller's"),
                };
                let answer = setting.client.send(request.body(Bytes::new()).unwrap()).await;
                assert_eq!(answer.unwrap().status(), 200);
            }
            assert_eq!(setting.counts(), (2, 0), "{place:?}");
        }
    }
}

/// The answer to a replay is the caller's whatever it says.
#[tokio::test]
async fn the_answer_to_a_replay_is_not_held_up() {
    for place in ALL {
        let setting = Setting::new(place, BY_BODY).await;
        let silent = frames([Step::Flush, Step::Silence]);
        setting.api.script([json(r#"{"err_code":1}"#), silent]);
        assert_eq!(setting.get().await.status(), 200);
        assert_eq!(setting.counts(), (2, 1), "{place:?}");
    }
}

/// What reqwest knows of an answer beside its head and its body.
#[tokio::test]
async fn reqwests_answer_is_still_its_own() {
    let setting = Setting::new(ALL[2], BY_BODY).await;
    let origins = Origins::only(&setting.api.origin).unwrap();
    let (client, middleware) = TokenRefreshMiddleware::new(setting.tokens.clone(), origins)
        .for_profile(&profile(BY_BODY), reqwest::Client::builder())
        .unwrap();
    let plain = client.clone();
    let client = ClientBuilder::new(client).with(middleware).build();
    setting.api.script([
        of_kind("image/png", Body::from("{\"err_code\":\"0\"}")),
        json(r#"{"err_code":"0"}"#),
    ]);
    let (unlooked, looked) = (
        soon(plain.get(setting.api.url()).send()).await.unwrap(),
        soon(client.get(setting.api.url()).send()).await.unwrap(),
    );
    assert_eq!(looked.url(), unlooked.url());
    assert_eq!(looked.remote_addr(), unlooked.remote_addr());
    assert!(looked.remote_addr().is_some());
    assert_eq!(looked.content_length(), unlooked.content_length());
    assert_eq!(looked.version(), unlooked.version());
    assert_eq!(soon(looked.bytes()).await.unwrap(), soon(unlooked.bytes()).await.unwrap());
}
