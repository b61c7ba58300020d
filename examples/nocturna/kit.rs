//! The same against a server of the kit: refresh tokens and service tokens die, and passwords are refused.

use std::time::Duration;

use examples::{BoxError, claim, kit_profile, say, state_of, write_secret};
use http::StatusCode;
use token_core::ErrorKind;
use token_core::clock::ManualClock;
use token_core::event::Event;
use token_testkit::{AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect, Fault};
use tokio::time::timeout;

use crate::tiers::{self, Profiles};
use crate::{Nocturna, how_long, tokens};

const PASSWORD: &[(&str, &str)] =
    &[("NOCTURNA_USERNAME", DEFAULT_USER), ("NOCTURNA_PASSWORD", DEFAULT_PASSWORD)];

/// What takes longer than this never happens.
const PATIENCE: Duration = Duration::from_secs(30);

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn play() -> Result<(), BoxError> {
    let server = AuthorizationServer::builder().dialect(Dialect::Nocturna).start()?;
    user(&server).await?;
    bot(&server).await?;
    two_tiers(&server).await
}

async fn user(server: &AuthorizationServer) -> Result<(), BoxError> {
    let directory = tempfile::tempdir()?;
    let url = server.api_url();
    let profile = kit_profile("nocturna", &url, directory.path(), PASSWORD)?;
    let mut nocturna = Nocturna::new(tokens(profile)?, &url)?;

    say!("A user logs in with the first request, and refreshes twice.\n");
    ask(&mut nocturna).await?;
    nocturna.tokens.refresh_now().await?;
    nocturna.tokens.refresh_now().await?;
    ask(&mut nocturna).await?;

    say!("\nThe refresh token dies, and the access token with it: the login is made again.\n");
    server.revoke_family_of(nocturna.tokens.token().await?.expose_secret());
    ask(&mut nocturna).await?;
    let asked = asked(server, 0);
    say!("what was asked: {}", asked.join(", "));
    let expected = ["password", "refresh_token", "refresh_token", "refresh_token", "password"];
    claim!(asked == expected, "where {} was expected", expected.join(", "));

    say!(
        "\nIt dies again, and the password was changed: one login is tried, for a loop would lock the account.\n"
    );
    server.revoke_family_of(nocturna.tokens.token().await?.expose_secret());
    server.always(Some(Fault::wrong_password()));
    let before = server.history().len();
    for _ in 0..3 {
        let refused = nocturna.get("").await;
        claim!(!refused.is_ok_and(|answer| answer.status().is_success()), "it was served");
    }
    let error = nocturna.tokens.status().last_error().cloned().ok_or("no error is told")?;
    say!("{error}");
    claim!(error.kind() == ErrorKind::Configuration, "a wrong password counts as {error:?}");
    let tried = self::asked(server, before);
    claim!(tried.iter().filter(|kind| *kind == "password").count() == 1, "{tried:?}");
    server.always(None);
    nocturna.tokens.refresh_now().await?;
    ask(&mut nocturna).await
}

async fn bot(server: &AuthorizationServer) -> Result<(), BoxError> {
    say!(
        "\nA bot has a service token, and the server does not say how long the access token lasts.\n"
    );
    let service_token = server.service_token(DEFAULT_USER, Some(90 * DAY));
    say!("{}", how_long(&service_token));
    let directory = tempfile::tempdir()?;
    let url = server.api_url();
    let secrets = [("NOCTURNA_SERVICE_TOKEN", service_token.as_str())];
    let profile = kit_profile("nocturna-service", &url, directory.path(), &secrets)?;
    let mut nocturna = Nocturna::new(tokens(profile)?, &url)?;
    server.script([Fault::without_expires_in()]);
    ask(&mut nocturna).await?;
    let status = nocturna.tokens.status();
    let usual = !status.expires_within(14 * MINUTE) && status.expires_within(15 * MINUTE);
    claim!(usual, "an access token of unknown end does not count as one of 15 minutes");

    say!("\nThe service token is revoked, and a new one is put where the old one was.\n");
    server.revoke_family_of(&service_token);
    server.revoke_access_tokens();
    let refused = nocturna.tokens.refresh_now().await.err().ok_or("it was taken")?;
    say!("{refused}");
    claim!(
        refused.kind() == ErrorKind::Configuration,
        "a dead service token counts as {refused:?}"
    );
    let next = server.service_token(DEFAULT_USER, Some(3 * DAY));
    say!("{}", how_long(&next));
    write_secret(&directory.path().join("NOCTURNA_SERVICE_TOKEN"), &next)?;
    nocturna.tokens.refresh_now().await?;
    ask(&mut nocturna).await
}

async fn two_tiers(server: &AuthorizationServer) -> Result<(), BoxError> {
    say!("\nA bot has no service token: an administrator's login makes one for 90 days.\n");
    let directory = tempfile::tempdir()?;
    let url = server.api_url();
    let admin = kit_profile("nocturna", &url, directory.path(), PASSWORD)?;
    let profiles = Profiles { admin, ..Profiles::shipped(&url)? };
    let clock = ManualClock::new();
    let kept = directory.path().join("tokens");
    let service = tiers::service(&profiles, &kept)?.clock(clock.clone()).build()?;
    let access = tiers::access(&profiles, &service)?.clock(clock.clone()).build()?;
    let before = server.history().len();
    let mut nocturna = Nocturna::new(access, &url)?;
    ask(&mut nocturna).await?;
    say!("{}", state_of(&service.status()));

    say!("\n85 days pass: the service token is replaced before its end.\n");
    let mut events = service.events();
    clock.advance(85 * DAY);
    let replaced = async {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Refreshed { .. }) {
                return Ok(());
            }
        }
        Err::<(), BoxError>("the manager is gone".into())
    };
    timeout(PATIENCE, replaced).await.map_err(|_| "the service token is not replaced")??;
    say!("{}", state_of(&service.status()));
    ask(&mut nocturna).await?;
    let asked = asked(server, before);
    say!("what was asked: {}", asked.join(", "));
    let new = asked.iter().filter(|kind| *kind == "new_service_token").count();
    claim!(new == 2, "{new} service tokens were made where 2 were needed");

    say!("\nThe service token is revoked: the next request has another made.\n");
    server.revoke_family_of(service.token().await?.expose_secret());
    server.revoke_access_tokens();
    ask(&mut nocturna).await?;
    say!("{}", state_of(&service.status()));
    Ok(())
}

async fn ask(nocturna: &mut Nocturna) -> Result<(), BoxError> {
    let status = nocturna.get("/charts").await?.status();
    say!("{status}; {}", state_of(&nocturna.tokens.status()));
    claim!(status == StatusCode::OK, "the API answered {status}");
    Ok(())
}

/// What the token endpoints were asked for, from this request on.
fn asked(server: &AuthorizationServer, from: usize) -> Vec<String> {
    let kind = |request: token_testkit::Presentation| request.grant_type.unwrap_or_default();
    server.history().into_iter().skip(from).map(kind).collect()
}
