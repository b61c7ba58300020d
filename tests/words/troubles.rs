//! What they say when something is wrong, and what is said here: the text is in the error, or in a cause below it.

use std::error::Error as StdError;

use integration_tests::{BoxError, soon};
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::{ErrorKind, TokenManager, TokenSet};
use token_testkit::{DEFAULT_USER, Fault};

use crate::api::Api;
use crate::document::{Row, table};

#[tokio::test]
async fn each_trouble_is_told_in_these_words() -> Result<(), BoxError> {
    for row in table("What it says when something is wrong") {
        let said = soon(provoke(row)).await.map_err(|error| format!("{row:?}: {error}"))?;
        assert!(said.contains(row.span(0)), "{row:?}: {said}");
    }
    Ok(())
}

async fn provoke(row: Row) -> Result<String, BoxError> {
    let api = Api::named(row.api);
    let tokens = api.ended().build()?;
    match row.theirs {
        "`❌ Cannot refresh token: no password stored in configuration`" => {
            // The e-mail is asked for first, and is no secret.
            let (_, text) = token_core::endpoint::profile::SHIPPED
                .iter()
                .find(|(name, _)| *name == "pos-connector")
                .ok_or("no profile")?;
            let profile: Profile = text.replace("{ env = \"POS_EMAIL\" }", "\"a@b.c\"").parse()?;
            let profile = profile.with_base_url(api.server.origin())?;
            let built =
                ProfileEndpoint::new(integration_tests::Kit::http(), profile).manager().build();
            Ok(built.err().ok_or("it was built")?.to_string())
        }
        "`❌ Token refresh failed`" => {
            api.set_secret("POS_PASSWORD", "wrong");
            let said = failure(&tokens, ErrorKind::Configuration).await;
            api.set_secret("POS_PASSWORD", token_testkit::DEFAULT_PASSWORD);
            tokens.token().await.expect_err("left alone");
            assert_eq!(api.token_requests(), 1);
            tokens.refresh_now().await?;
            said
        }
        "`❌ Cannot make API request: failed to obtain valid authentication token`" => {
            api.server.script([Fault::wrong_password()]);
            let error = api.client(&tokens).get(api.server.api_url()).send().await;
            let said = chain(&error.err().ok_or("it was sent")?);
            assert!(said.contains("the login was refused"), "{said}");
            assert_eq!(api.server.counters().api_requests, 0);
            Ok(said)
        }
        "check that the Laravel backend is running" | "`Network error`" => {
            api.server.refuse_connections()?;
            failure(&tokens, ErrorKind::Unavailable).await
        }
        "verify the API's URL" => {
            api.server.script([Fault::redirect(302, "/login")]);
            failure(&tokens, ErrorKind::Configuration).await
        }
        "if the automatic refresh fails, call `refresh_tokens`" => {
            api.server.script([Fault::status(500)]);
            failure(&tokens, ErrorKind::OutcomeUnknown).await
        }
        "if the refresh token is invalid, call `update_tokens`" => {
            api.server.revoke_family_of(api.login.refresh_token());
            let said = failure(&tokens, ErrorKind::Unavailable).await;
            let other = api.server.sign_in(DEFAULT_USER);
            let tokens_of = |login: &token_testkit::Login| {
                TokenSet::new(login.access_token()).with_refresh_token(login.refresh_token())
            };
            tokens.update(tokens_of(&other)).await?;
            tokens.refresh_now().await?;
            said
        }
        "a token refresh requires a valid refresh token to be present" => {
            let tokens = api.endpoint().manager().build()?;
            tokens.login(TokenSet::new(api.login.access_token())).await?;
            tokens.expire_locally();
            failure(&tokens, ErrorKind::NeedsLogin).await
        }
        "`No refresh token available`" => {
            failure(&api.endpoint().manager().build()?, ErrorKind::NeedsLogin).await
        }
        "`Token refresh failed: 401`" | "`Token refresh failed`, and a redirect to the login" => {
            api.server.revoke_family_of(api.login.access_token());
            failure(&tokens, ErrorKind::NeedsLogin).await
        }
        "the same, where the client is wrong" => {
            api.set_secret("GHL_CLIENT_SECRET", "wrong");
            let said = failure(&tokens, ErrorKind::Configuration).await;
            api.set_secret("GHL_CLIENT_SECRET", token_testkit::DEFAULT_CLIENT_SECRET);
            tokens.refresh_now().await?;
            said
        }
        "the same, once the request was sent" => {
            api.server.script([Fault::reset_before()]);
            failure(&tokens, ErrorKind::OutcomeUnknown).await
        }
        "the user is not active" => {
            api.server.set_user_active(DEFAULT_USER, false);
            let said = failure(&tokens, ErrorKind::Configuration).await;
            api.server.set_user_active(DEFAULT_USER, true);
            tokens.refresh_now().await?;
            said
        }
        "`Service token expired or invalid`" => {
            let api = Api::service();
            api.set_secret("NOCTURNA_SERVICE_TOKEN", "of yesterday");
            let tokens = api.endpoint().manager().build()?;
            let said = failure(&tokens, ErrorKind::Configuration).await;
            api.set_secret("NOCTURNA_SERVICE_TOKEN", &api.server.service_token(DEFAULT_USER, None));
            tokens.refresh_now().await?;
            said
        }
        "`Token refresh failed: …` around whatever happened" => {
            api.server.script([Fault::reset_before()]);
            failure(&tokens, ErrorKind::OutcomeUnknown).await
        }
        "the login after 7 days is refused" => {
            api.server.revoke_family_of(api.login.refresh_token());
            api.set_secret("NOCTURNA_PASSWORD", "wrong");
            let said = failure(&tokens, ErrorKind::Configuration).await;
            api.set_secret("NOCTURNA_PASSWORD", token_testkit::DEFAULT_PASSWORD);
            tokens.refresh_now().await?;
            said
        }
        other => panic!("nobody tests what is said in place of {other}"),
    }
}

/// The next error, and all its causes.
async fn failure(tokens: &TokenManager, kind: ErrorKind) -> Result<String, BoxError> {
    let error = tokens.token().await.err().ok_or("there is a token")?;
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.needs_login(), kind == ErrorKind::NeedsLogin);
    Ok(chain(&error))
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let (mut said, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}
