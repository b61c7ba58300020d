//! How each grant ends, what the operator is told, and what mends it.

use integration_tests::until;
use token_core::{Error, ErrorKind, TokenManager};
use token_testkit::DEFAULT_USER;

use crate::adapter::Adapter;
use crate::api::{self, Api, User};

/// Somebody whose tokens were taken, and whose API takes none of them any more.
async fn served(api: Api, adapter: Adapter) -> (User, TokenManager) {
    let user = User::new(api, adapter);
    let tokens = user.starting().build().expect("a manager");
    user.call(&user.client(&tokens)).await;
    (user, tokens)
}

/// The next refresh fails: its error, which the status has too, and which no later request turns into another try.
async fn dies(user: &User, tokens: &TokenManager, kind: ErrorKind) -> Error {
    let error = tokens.refresh_now().await.expect_err("it dies");
    assert_eq!(error.kind(), kind, "{user}: {error}");
    let told = tokens.status().last_error().expect("it is told").to_string();
    assert_eq!(told, error.to_string(), "{user}");
    user.server.revoke_access_tokens();
    let asked = user.token_requests();
    let answer = user.client(tokens).send(user.request("x")).await;
    assert!(!answer.is_ok_and(|answer| answer.status() == 200 && api::is_taken(&answer)), "{user}");
    assert_eq!(user.token_requests(), asked, "{user}: it is not asked in a loop");
    error
}

/// After a mend by hand.
async fn lives(user: &User, tokens: &TokenManager) {
    tokens.refresh_now().await.expect("it is mended");
    user.call(&user.client(tokens)).await;
}

#[tokio::test]
async fn a_changed_password_is_told_and_mended_by_the_new_one() {
    for adapter in Adapter::ALL {
        let (user, tokens) = served(api::POS_CONNECTOR, adapter).await;
        user.set_secret("POS_PASSWORD", "changed");
        let error = dies(&user, &tokens, ErrorKind::Configuration).await.to_string();
        assert!(error.contains("wrong e-mail or password; correct POS_EMAIL"), "{error}");
        user.set_secret("POS_PASSWORD", token_testkit::DEFAULT_PASSWORD);
        lives(&user, &tokens).await;
    }
}

#[tokio::test]
async fn a_hub_that_refuses_says_so_in_a_200_and_is_mended_by_tokens_by_hand() {
    for adapter in Adapter::ALL {
        let (user, tokens) = served(api::AKUVOX, adapter).await;
        user.server.revoke_family_of(tokens.token().await.unwrap().expose_secret());
        let error = tokens.refresh_now().await.unwrap_err();
        let told = error.to_string();
        assert!(told.contains("/err_code -1") && told.contains("`login`"), "{user}: {told}");
        // Which codes mean that the refresh token is dead nobody has written down: it is kept, and tried again.
        assert!(error.is_transient(), "{user}: {told}");
        tokens.login(user.first_tokens().unwrap()).await.unwrap();
        lives(&user, &tokens).await;
    }
}

#[tokio::test]
async fn a_location_whose_refresh_token_is_refused_has_to_be_connected_again() {
    for adapter in Adapter::ALL {
        let (user, tokens) = served(api::HIGH_LEVEL, adapter).await;
        user.server.revoke_family_of(tokens.token().await.unwrap().expose_secret());
        let error = dies(&user, &tokens, ErrorKind::NeedsLogin).await.to_string();
        assert!(error.contains("has to be connected again"), "{error}");
        tokens.login(user.first_tokens().unwrap()).await.unwrap();
        lives(&user, &tokens).await;
    }
}

#[tokio::test]
async fn a_disabled_user_is_told_apart_from_a_dead_token() {
    for (api, adapter) in
        [api::JWT_REFRESH, api::NOCTURNA].into_iter().flat_map(|api| Adapter::ALL.map(|a| (api, a)))
    {
        let (user, tokens) = served(api, adapter).await;
        user.server.set_user_active(DEFAULT_USER, false);
        let error = dies(&user, &tokens, ErrorKind::Configuration).await.to_string();
        assert!(error.contains("the user is disabled; have the user enabled"), "{error}");
        user.server.set_user_active(DEFAULT_USER, true);
        lives(&user, &tokens).await;
    }
}

#[tokio::test]
async fn an_expired_jwt_that_is_refused_needs_a_login() {
    for adapter in Adapter::ALL {
        let (user, tokens) = served(api::JWT_REFRESH, adapter).await;
        user.server.revoke_family_of(tokens.token().await.unwrap().expose_secret());
        let error = dies(&user, &tokens, ErrorKind::NeedsLogin).await.to_string();
        assert!(error.contains("the expired token was refused; log in again"), "{error}");
        tokens.login(user.first_tokens().unwrap()).await.unwrap();
        lives(&user, &tokens).await;
    }
}

#[tokio::test]
async fn a_dead_refresh_token_is_followed_by_a_login_that_nobody_notices() {
    for adapter in Adapter::ALL {
        let (user, tokens) = served(api::NOCTURNA, adapter).await;
        user.server.revoke_family_of(tokens.token().await.unwrap().expose_secret());
        user.call(&user.client(&tokens)).await;
        // The login of the beginning, the refused refresh, the login.
        until(|| user.token_requests() == 3).await;
        assert!(tokens.status().last_error().is_none(), "{user}");
    }
}

#[tokio::test]
async fn a_service_token_that_has_ended_has_an_error_of_its_own() {
    for adapter in Adapter::ALL {
        let (user, tokens) = served(api::NOCTURNA_SERVICE, adapter).await;
        user.set_secret("NOCTURNA_SERVICE_TOKEN", "another");
        let error = dies(&user, &tokens, ErrorKind::Configuration).await.to_string();
        assert!(error.contains("the service token expired or is invalid"), "{error}");
        let made = user.server.service_token(DEFAULT_USER, None);
        user.set_secret("NOCTURNA_SERVICE_TOKEN", &made);
        lives(&user, &tokens).await;
    }
}
