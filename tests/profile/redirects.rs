//! Redirects, which reqwest follows below the middleware and hyper's client does not.

use axum::body::Body;
use http::{Response, StatusCode};

use crate::adapter::{ALL, Adapter, BY_BODY, Setting, text};
use crate::api::{Answer, Api, json};

const TO_LOGIN: &str = "refused = [{ redirect = \"/login\" }]";

fn to(location: &str) -> Answer {
    let answer = Response::builder().status(StatusCode::FOUND).header("location", location);
    answer.body(Body::empty()).expect("an answer")
}

/// The adapters whose client follows redirects.
fn reqwests() -> impl Iterator<Item = (Adapter, http::Version)> {
    ALL.into_iter().filter(|(adapter, _)| *adapter == Adapter::Reqwest)
}

#[tokio::test]
async fn a_redirect_to_the_login_page_is_a_refusal_on_whatever_host_that_is() {
    for place in ALL {
        let elsewhere = Api::start().await;
        let setting = Setting::new(place, TO_LOGIN).await;
        setting.api.script([to(&format!("{}/login?next=/", elsewhere.origin)), json("{}")]);
        assert_eq!(text(setting.get().await).await, "{}");
        assert_eq!(setting.counts(), (2, 1), "{place:?}");
        assert!(elsewhere.seen().is_empty(), "nobody goes to the login page");
    }
}

#[tokio::test]
async fn a_second_redirect_to_the_login_page_is_the_callers() {
    for place in ALL {
        let setting = Setting::new(place, TO_LOGIN).await;
        setting.api.script([to("/login"), to("/login")]);
        let answer = setting.get().await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["location"]),
            (302, &"/login".parse().unwrap())
        );
        assert_eq!(setting.counts(), (2, 1), "{place:?}");
    }
}

#[tokio::test]
async fn other_redirects_are_followed_as_ever_and_a_refusal_behind_one_is_replayed() {
    for place in reqwests() {
        let elsewhere = Api::start().await;
        let setting = Setting::new(place, TO_LOGIN).await;
        setting.api.script([to("/moved"), to("/login")]);
        assert_eq!(text(setting.get().await).await, r#"{"err_code":"0"}"#);
        assert_eq!(setting.api.paths(), ["/api/thing", "/moved", "/api/thing"]);
        assert_eq!(setting.counts().1, 1);

        setting.api.script([to(&format!("{}/x", elsewhere.origin))]);
        assert_eq!(text(setting.get().await).await, r#"{"err_code":"0"}"#);
        assert_eq!(elsewhere.paths(), ["/x"]);
        assert_eq!(elsewhere.seen()[0].token, None, "reqwest takes `Authorization` off");
    }
}

#[tokio::test]
async fn the_refusal_of_another_origin_is_none_of_ours() {
    for place in reqwests() {
        // In its body.
        let by_body = "refused = [{ json = { at = \"/err_code\", is_not = \"0\" } }]";
        let (elsewhere, setting) = (Api::start().await, Setting::new(place, by_body).await);
        setting.api.script([to(&format!("{}/x", elsewhere.origin))]);
        elsewhere.script([json(r#"{"err_code":1}"#)]);
        assert_eq!(text(setting.get().await).await, r#"{"err_code":1}"#);
        assert_eq!((setting.counts(), elsewhere.seen().len()), ((1, 0), 1));

        // By a redirect of its own, which is followed as by any client.
        let (elsewhere, setting) = (Api::start().await, Setting::new(place, TO_LOGIN).await);
        setting.api.script([to(&format!("{}/x", elsewhere.origin))]);
        elsewhere.script([to("/login")]);
        assert_eq!(text(setting.get().await).await, r#"{"err_code":"0"}"#);
        assert_eq!(elsewhere.paths(), ["/x", "/login"]);
        assert_eq!(setting.counts(), (1, 0));
    }
}

#[tokio::test]
async fn a_client_of_other_origins_follows_redirects_to_their_login_pages() {
    for place in reqwests() {
        let (elsewhere, setting) = (Api::start().await, Setting::new(place, TO_LOGIN).await);
        elsewhere.script([to("/login")]);
        assert_eq!(text(setting.client.get(&elsewhere.url()).await).await, r#"{"err_code":"0"}"#);
        assert_eq!(elsewhere.paths(), ["/api/thing", "/login"]);
    }
}

#[tokio::test]
async fn a_header_of_the_apis_own_does_not_leave_its_origin() {
    for place in reqwests() {
        // With a redirect that is a refusal, and without.
        let with = BY_BODY.replace("}]", "}, { redirect = \"/login\" }]");
        for section in [with, BY_BODY.to_owned()] {
            let (elsewhere, setting) = (Api::start().await, Setting::new(place, &section).await);
            setting.api.script([to("/moved"), to(&format!("{}/x", elsewhere.origin))]);
            assert_eq!(setting.get().await.status(), 302);
            assert_eq!(setting.api.paths(), ["/api/thing", "/moved"]);
            assert!(elsewhere.seen().is_empty());
        }
    }
}
