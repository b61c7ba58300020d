//! The same against a server of the kit: refresh tokens and service tokens die, and passwords are refused.

use std::time::Duration;

use examples::{BoxError, claim, kit_profile, say, state_of, write_secret};
use http::StatusCode;
use token_core::ErrorKind;
use token_testkit::{AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect, Fault};

use crate::{Nocturna, how_long};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(crate) async fn play() -> Result<(), BoxError> {
    let server = AuthorizationServer::builder().dialect(Dialect::Nocturna).start()?;
    user(&server).await?;
    bot(&server).await
}

async fn user(server: &AuthorizationServer) -> Result<(), BoxError> {
    let directory = tempfile::tempdir()?;
    let secrets = [("NOCTURNA_USERNAME", DEFAULT_USER), ("NOCTURNA_PASSWORD", DEFAULT_PASSWORD)];
    let url = server.api_url();
    let profile = kit_profile("nocturna", &url, directory.path(), &secrets)?;
    let mut nocturna = Nocturna::new(profile, &url)?;

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
    let mut nocturna = Nocturna::new(profile, &url)?;
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
