use std::time::Duration;

use super::super::{Profile, ProfileEndpoint};
use super::shipped::{shipped, write_secret};
use super::{Script, profile};
use crate::clock::ManualClock;
use crate::error::ErrorKind;
use crate::manager::{TokenManager, TokenManagerBuilder};
use crate::refresher::{Outcome, RefreshError, Refresher, Spends};
use crate::token::TokenSet;

fn manager(http: &Script, profile: Profile) -> TokenManagerBuilder {
    ProfileEndpoint::new(http.clone(), profile).manager().clock(ManualClock::new())
}

fn first() -> TokenSet {
    TokenSet::from_refresh_token("r1")
}

async fn token(tokens: &TokenManager) -> String {
    tokens.token().await.unwrap().expose_secret().to_owned()
}

fn nocturna(directory: &std::path::Path) -> Profile {
    shipped("nocturna", directory).with_base_url("https://n.example/api").unwrap()
}

const REFRESH: &str = "POST https://n.example/api/auth/refresh?refresh_token=";
const LOGIN: &str = "POST https://n.example/api/auth/login";

#[tokio::test]
async fn a_grant_without_tokens_logs_in_and_refreshes_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let http = Script::answering([
        (200, r#"{"access_token":"a1","refresh_token":"r1"}"#),
        (200, r#"{"access_token":"a2","refresh_token":"r2"}"#),
    ]);
    let tokens = manager(&http, nocturna(directory.path())).build().unwrap();
    assert_eq!(token(&tokens).await, "a1");
    assert_eq!(tokens.refresh_now().await.unwrap().expose_secret(), "a2");
    let asked = http.asked();
    assert!(
        asked[0].starts_with(LOGIN) && asked[1].starts_with(&format!("{REFRESH}r1\n")),
        "{asked:?}"
    );
}

#[tokio::test]
async fn a_refresh_token_that_has_died_is_followed_by_a_login() {
    let directory = tempfile::tempdir().unwrap();
    let http =
        Script::answering([(401, ""), (200, r#"{"access_token":"a1","refresh_token":"r2"}"#)]);
    let tokens = manager(&http, nocturna(directory.path())).seed(first()).build().unwrap();
    assert_eq!(token(&tokens).await, "a1");
    let asked = http.asked();
    assert!(
        asked[0].starts_with(&format!("{REFRESH}r1\n")) && asked[1].starts_with(LOGIN),
        "{asked:?}"
    );
    // The new refresh token is used as the old one was.
    http.then(Ok(super::answer(200, &[], r#"{"access_token":"a2","refresh_token":"r3"}"#)));
    assert_eq!(tokens.refresh_now().await.unwrap().expose_secret(), "a2");
    assert!(http.asked()[2].starts_with(&format!("{REFRESH}r2\n")));
}

#[tokio::test]
async fn a_dead_refresh_token_is_not_presented_again_when_the_login_fails() {
    let directory = tempfile::tempdir().unwrap();
    let http = Script::answering([(401, ""), (502, "")]);
    let clock = ManualClock::new();
    let endpoint = ProfileEndpoint::new(http.clone(), nocturna(directory.path()));
    let tokens = endpoint.manager().clock(clock.clone()).seed(first()).build().unwrap();
    // The login's outcome is not the refresh token's: it is tried again after the backoff.
    assert!(tokens.token().await.unwrap_err().is_transient());
    clock.advance(Duration::from_secs(60));
    http.then(Ok(super::answer(401, &[], "")));
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("wrong name or password"), "{error}");
    // Nor is a login with a wrong password tried in a loop.
    clock.advance(Duration::from_secs(3_600));
    assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Configuration);
    let asked = http.asked();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with(REFRESH)).count(), 1, "{asked:?}");
    assert_eq!(asked.iter().filter(|asked| asked.starts_with(LOGIN)).count(), 2, "{asked:?}");
    // A rotated password is read when it is next used.
    write_secret(&directory.path().join("NOCTURNA_PASSWORD"), "rotated");
    http.then(Ok(super::answer(200, &[], r#"{"access_token":"a","refresh_token":"r"}"#)));
    assert_eq!(tokens.refresh_now().await.unwrap().expose_secret(), "a");
    assert!(http.asked()[3].contains("password=rotated"));
}

/// A secret's file on a disk that hangs, here every thread that may read one taken.
#[test]
fn a_refresh_token_that_waits_for_a_secret_was_not_presented() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        let (free, taken) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || taken.recv());
        let directory = tempfile::tempdir().unwrap();
        let http = Script::answering([(200, r#"{"access_token":"a1","refresh_token":"r2"}"#)]);
        let clock = ManualClock::new();
        let endpoint = ProfileEndpoint::new(http.clone(), nocturna(directory.path()));
        let tokens = endpoint.manager().clock(clock.clone()).seed(first()).build().unwrap();
        let asking = tokio::spawn({
            let tokens = tokens.clone();
            async move { tokens.token().await }
        });
        while !asking.is_finished() {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(1));
        }
        let error = asking.await.unwrap().unwrap_err();
        assert_eq!(error.refresh_error().map(RefreshError::outcome), Some(Outcome::NotSent));
        assert!(error.to_string().contains("nothing was sent"), "{error}");
        free.send(()).unwrap();
        clock.advance(Duration::from_secs(60));
        assert_eq!(token(&tokens).await, "a1");
        assert_eq!(http.asked().len(), 1);
    });
}

#[tokio::test]
async fn without_a_login_a_refused_token_needs_one() {
    let jwt = Profile::shipped("jwt-refresh").unwrap().with_base_url("https://a.example").unwrap();
    let http = Script::answering([(200, r#"{"access_token":"j2","expires_in":1800}"#), (401, "")]);
    let tokens = manager(&http, jwt.clone()).seed(TokenSet::new("j1")).build().unwrap();
    assert_eq!(tokens.refresh_now().await.unwrap().expose_secret(), "j2");
    assert!(tokens.refresh_now().await.unwrap_err().needs_login());
    assert!(
        http.asked()[0].contains(r#"{"token":"j1"}"#)
            && http.asked()[1].contains(r#"{"token":"j2"}"#)
    );

    let tokens = manager(&Script::default(), jwt).build().unwrap();
    assert!(tokens.token().await.unwrap_err().needs_login());
    let akuvox = Profile::shipped("akuvox").unwrap();
    let tokens = manager(&Script::default(), akuvox).seed(TokenSet::new("a")).build().unwrap();
    let error = tokens.refresh_now().await.unwrap_err();
    assert!(error.needs_login() && error.to_string().contains("no refresh token"), "{error}");
}

#[test]
fn what_an_exchange_uses_up_follows_from_what_it_presents() {
    let directory = tempfile::tempdir().unwrap();
    let spends = |profile: Profile, current: Option<&TokenSet>| {
        ProfileEndpoint::new(Script::default(), profile).spends(current)
    };
    let both = TokenSet::new("a").with_refresh_token("r");
    let access = TokenSet::new("a");
    let nocturna = nocturna(directory.path());
    assert_eq!(spends(nocturna.clone(), Some(&both)), Spends::RefreshToken);
    assert_eq!(spends(nocturna.clone(), Some(&access)), Spends::Nothing);
    assert_eq!(spends(nocturna, None), Spends::Nothing);
    assert_eq!(spends(Profile::shipped("akuvox").unwrap(), None), Spends::RefreshToken);
    assert_eq!(spends(Profile::shipped("jwt-refresh").unwrap(), Some(&access)), Spends::Reusable);
    assert_eq!(spends(Profile::shipped("pos-connector").unwrap(), Some(&both)), Spends::Nothing);
    let reusable = profile(
        "name = \"x\"\nrefresh_token.reusable = true\n[refresh]\nurl = \"/r\"\nquery.t = { from = \"refresh_token\" }",
    );
    assert_eq!(spends(reusable, Some(&both)), Spends::Reusable);
}

#[tokio::test]
async fn within_a_grace_window_a_lost_answer_is_asked_for_again() {
    let text = "name = \"x\"\n[refresh]\nurl = \"https://a.example/r\"\nquery.t = { from = \"refresh_token\" }\n\
                [refresh_token.grace_window]\nkind = \"new-pair\"\nlength = \"60s\"";
    let http =
        Script::answering([(502, ""), (200, r#"{"access_token":"a1","refresh_token":"r2"}"#)]);
    let tokens = manager(&http, profile(text)).seed(first()).build().unwrap();
    assert_eq!(token(&tokens).await, "a1");
    assert_eq!(http.asked().len(), 2);
}

#[tokio::test]
async fn a_secret_that_is_missing_is_said_at_build_and_waited_for_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let service = shipped("nocturna-service", directory.path())
        .with_base_url("https://n.example/api")
        .unwrap();
    let path = directory.path().join("NOCTURNA_SERVICE_TOKEN");
    let http = Script::answering([(200, r#"{"access_token":"a"}"#)]);
    let endpoint = ProfileEndpoint::new(http.clone(), service.clone());
    let clock = ManualClock::new();
    let tokens = endpoint.manager().clock(clock.clone()).build().unwrap();
    std::fs::remove_file(&path).unwrap();
    let error = manager(&http, service).build().unwrap_err().to_string();
    assert!(
        error.contains("profile `nocturna-service`: there is no `bearer` to present"),
        "{error}"
    );
    // Nothing was sent, so it is tried again by itself.
    let error = tokens.token().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("cannot be read"), "{error}");
    assert!(http.asked().is_empty());
    write_secret(&path, "s2\n");
    clock.advance(Duration::from_secs(60));
    assert_eq!(token(&tokens).await, "a");
    assert!(http.asked()[0].contains("Bearer s2 (sensitive)"));
}

#[test]
fn a_profile_without_a_host_is_refused_at_build() {
    let jwt = Profile::shipped("jwt-refresh").unwrap();
    let error = manager(&Script::default(), jwt).build().unwrap_err().to_string();
    assert!(
        error.contains("`/api/auth/refresh` and no host") && error.contains("with_base_url"),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let http = Script::default();
    http.then(Err(RefreshError::not_sent("the token endpoint could not be reached")));
    let tokens = manager(&http, nocturna(directory.path())).seed(first()).build().unwrap();
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.refresh_error().unwrap().outcome(), Outcome::NotSent);
    assert_eq!(http.asked().len(), 1);
}

#[tokio::test]
async fn no_error_and_no_debug_shows_a_secret_not_even_one_of_the_query() {
    let directory = tempfile::tempdir().unwrap();
    let nocturna = nocturna(directory.path());
    for variable in ["NOCTURNA_USERNAME", "NOCTURNA_PASSWORD"] {
        write_secret(&directory.path().join(variable), "CANARY");
    }
    for status in [200, 302, 400, 401, 403, 429, 500, 503] {
        let http = Script::answering([(status, "CANARY"), (status, "CANARY")]);
        let seed = TokenSet::new("CANARY").with_refresh_token("CANARY");
        let endpoint = ProfileEndpoint::new(http, nocturna.clone());
        let mut shown = format!("{endpoint:?} {nocturna:?}");
        let tokens = endpoint.manager().seed(seed).build().unwrap();
        let error = tokens.refresh_now().await.unwrap_err();
        shown += &format!("{error} {error:?} {:?} {tokens:?}", tokens.status());
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            shown += &format!("{error} {error:?}");
            cause = error.source();
        }
        assert!(
            !shown.contains("CANARY") && !shown.contains("refresh_token="),
            "{status}: {shown}"
        );
    }
}
