//! The same against a server of the kit, which ends tokens at the worst moments and refuses logins.

use std::fs;
use std::time::Duration;

use examples::{BoxError, claim, kit_profile, say, state_of};
use token_core::ErrorKind;
use token_testkit::{
    ApiFault, AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect, Fault,
};

use crate::connector::{PosConnector, in_short};
use crate::invoice;

/// Neither the server's zone nor ours is UTC: read in UTC, its tokens would end hours too late or too early.
const ZONE: &str = "Asia/Kolkata";

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

pub(crate) async fn play() -> Result<(), BoxError> {
    let server =
        AuthorizationServer::builder().dialect(Dialect::PosConnector).time_zone(ZONE).start()?;
    let directory = tempfile::tempdir()?;
    let secrets = [("POS_EMAIL", DEFAULT_USER), ("POS_PASSWORD", DEFAULT_PASSWORD)];
    let profile = kit_profile("pos-connector", server.origin(), directory.path(), &secrets)?
        .with_zone(ZONE)?;
    let pos = PosConnector::new(profile.clone(), server.origin())?;

    say!("the API takes the token: {}", pos.is_valid().await?);
    say!("{}", state_of(&pos.tokens.status()));
    let status = pos.tokens.status();
    let lasts_a_day = !status.expires_within(DAY - MINUTE) && status.expires_within(DAY + MINUTE);
    claim!(lasts_a_day, "a token for a day ends at another time: is the zone right?");

    say!(
        "\nThe token is revoked while the invoice is on its way, and then the API sends to its login page.\n"
    );
    let pdf = invoice(&pos, |step| match step {
        "created" => server.revoke_access_tokens(),
        "submitted" => server.api_script([ApiFault::redirect(302, "/login")]),
        _ => {}
    });
    claim!(pdf.await?.starts_with(b"%PDF"), "what was downloaded is no PDF");
    let logins = server.counters().token_requests;
    say!("{logins} logins: one at the start, one for each of the two");
    claim!(logins == 3, "{logins} logins where 3 were needed");

    say!("\nWhat can go wrong, told apart.\n");
    server.script([Fault::wrong_password()]);
    let error = refused(&PosConnector::new(profile.clone(), server.origin())?).await?;
    claim!(error == ErrorKind::Configuration, "a wrong password counts as {error:?}");

    server.refuse_connections()?;
    let error = refused(&PosConnector::new(profile.clone(), server.origin())?).await?;
    claim!(error == ErrorKind::Unavailable, "a server that is down counts as {error:?}");

    fs::remove_file(directory.path().join("POS_PASSWORD"))?;
    match PosConnector::new(profile, server.origin()) {
        Ok(_) => return Err("a connector without a password was built".into()),
        Err(error) => say!("no password: {error}"),
    }
    Ok(())
}

async fn refused(pos: &PosConnector) -> Result<ErrorKind, BoxError> {
    match pos.tokens.token().await {
        Ok(_) => Err("there is a token where none can be had".into()),
        Err(error) => {
            say!("{}: {error}\n", in_short(&error));
            Ok(error.kind())
        }
    }
}
