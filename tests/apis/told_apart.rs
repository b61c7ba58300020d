//! The ways in which a token endpoint fails are told apart, each with what to do, by every API's profile.

use token_core::{ErrorKind, TokenSet};
use token_testkit::Fault;

use crate::adapter::Adapter;
use crate::api::{self, Api, User};

/// What the first request is told, with this fault on every token request.
async fn told(api: Api, adapter: Adapter, fault: &Fault) -> (ErrorKind, String) {
    let user = User::new(api, adapter);
    user.server.always(Some(fault.clone()));
    let tokens = user.starting().build().expect("a manager");
    let error = tokens.token().await.expect_err("the fault is always there");
    (error.kind(), error.to_string())
}

async fn everywhere(apis: &[Api], fault: Fault, kind: ErrorKind, says: &str) {
    for api in apis {
        for adapter in Adapter::ALL {
            let (found, text) = told(*api, adapter, &fault).await;
            assert_eq!(found, kind, "{} over {adapter:?}: {text}", api.profile);
            assert!(text.contains(says), "{} over {adapter:?}: {text}", api.profile);
        }
    }
}

#[tokio::test]
async fn a_wrong_password() {
    let (kind, fault) = (ErrorKind::Configuration, Fault::wrong_password);
    everywhere(&[api::POS_CONNECTOR], fault(), kind, "wrong e-mail or password; correct").await;
    everywhere(&[api::NOCTURNA], fault(), kind, "wrong name or password; correct").await;
}

#[tokio::test]
async fn a_disabled_user() {
    let apis = [api::POS_CONNECTOR, api::JWT_REFRESH, api::NOCTURNA];
    let kind = ErrorKind::Configuration;
    everywhere(&apis, Fault::disabled_user(), kind, "the user is disabled; have the user").await;
}

#[tokio::test]
async fn a_page_in_place_of_json() {
    let says = "a page of HTML instead of JSON; check its URL";
    for api in api::ALL {
        everywhere(&[api], Fault::html(), ErrorKind::OutcomeUnknown, says).await;
    }
}

#[tokio::test]
async fn a_redirect_to_a_login_page() {
    for api in api::ALL {
        let fault = Fault::redirect(302, "/login");
        everywhere(&[api], fault, ErrorKind::Configuration, "redirect").await;
    }
}

#[tokio::test]
async fn an_endpoint_that_is_down() {
    for api in api::ALL {
        for adapter in Adapter::ALL {
            let user = User::new(api, adapter);
            let tokens = user.starting().build().unwrap();
            user.server.refuse_connections().unwrap();
            let error = tokens.token().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{user}: {error}");
            assert!(error.to_string().contains("could not be reached"), "{user}: {error}");
            assert!(error.is_transient(), "{user}: it is tried again");
            user.server.accept_connections().unwrap();
        }
    }
}

#[tokio::test]
async fn no_refresh_token() {
    for api in [api::AKUVOX, api::HIGH_LEVEL] {
        for adapter in Adapter::ALL {
            let user = User::new(api, adapter);
            let alone = TokenSet::new("a token alone");
            let tokens = user.manager().seed(alone).build().unwrap();
            let error = tokens.refresh_now().await.unwrap_err();
            assert!(error.needs_login(), "{user}: {error}");
            assert!(error.to_string().contains("no refresh token"), "{user}: {error}");
            assert_eq!(user.token_requests(), 0, "{user}: nothing is asked");
        }
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_refused() {
    let fault = Fault::oauth_error("invalid_grant");
    let says = "refused the newest refresh token";
    everywhere(&[api::HIGH_LEVEL], fault, ErrorKind::NeedsLogin, says).await;
}

#[tokio::test]
async fn the_update_of_an_access_token_alone_keeps_the_refresh_token() {
    for adapter in Adapter::ALL {
        let user = User::new(api::AKUVOX, adapter);
        let tokens = user.starting().build().unwrap();
        user.call(&user.client(&tokens)).await;
        let current = tokens.token().await.unwrap();
        tokens.update(TokenSet::new(current.expose_secret())).await.unwrap();
        user.call(&user.client(&tokens)).await;
        user.server.revoke_access_tokens();
        user.call(&user.client(&tokens)).await;
        assert_eq!(user.token_requests(), 2, "{user}");
    }
}
