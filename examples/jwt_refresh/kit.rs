//! The same against a server of the kit: a JWT ends, all are revoked, the user is disabled, and the JWT gets too old.

use std::time::{Duration, SystemTime};

use examples::{BoxError, claim, say, state_of};
use futures_util::future::try_join_all;
use http::StatusCode;
use reqwest_middleware::ClientWithMiddleware;
use token_core::endpoint::jwt_expires_at;
use token_core::{ErrorKind, TokenSet};
use token_testkit::{AuthorizationServer, DEFAULT_USER, Dialect, Fingerprint};

use crate::{api_client, get};

const CALLERS: usize = 100;

pub(crate) async fn play() -> Result<(), BoxError> {
    let second = Duration::from_secs(1);
    let server = AuthorizationServer::builder()
        .dialect(Dialect::JwtRefresh)
        .access_lifetime(second)
        .start()?;
    let login = server.sign_in(DEFAULT_USER);
    server.set_access_lifetime(1800 * second);
    let jwt = login.access_token();
    let end = jwt_expires_at(jwt).ok_or("the JWT states no end")?;
    tokio::time::sleep(end.duration_since(SystemTime::now()).unwrap_or_default()).await;
    let directory = tempfile::tempdir()?;
    let (client, tokens) = api_client(server.origin(), directory.path(), Some(TokenSet::new(jwt)))?;

    say!("{CALLERS} callers have a JWT that has ended.\n");
    ask_all(&client, &server).await?;
    say!("{}", state_of(&tokens.status()));
    let history = server.history();
    let presented = history.first().and_then(|request| request.presented);
    claim!(presented == Some(Fingerprint::of(jwt)), "it was not the ended JWT that was presented");
    claim!(history.len() == 1, "{} refreshes where one was needed", history.len());

    say!("\nEvery JWT is revoked.\n");
    server.revoke_access_tokens();
    ask_all(&client, &server).await?;
    say!("{}", state_of(&tokens.status()));
    claim!(
        server.history().len() == 2,
        "{} refreshes where two were needed",
        server.history().len()
    );

    say!("\nThe user is disabled, and enabled again.\n");
    server.set_user_active(DEFAULT_USER, false);
    let disabled = tokens.refresh_now().await.err().ok_or("a disabled user got a token")?;
    say!("{disabled}");
    claim!(disabled.kind() == ErrorKind::Configuration, "a disabled user counts as {disabled:?}");
    let served = ask(&client, &server).await?;
    claim!(served == StatusCode::OK, "the JWT that is still good got {served}");
    server.set_user_active(DEFAULT_USER, true);
    tokens.refresh_now().await?;
    say!("{}", state_of(&tokens.status()));

    say!("\nThe backend takes the JWT no more: only a login helps.\n");
    server.revoke_family_of(tokens.token().await?.expose_secret());
    let status = ask(&client, &server).await?;
    claim!(status == StatusCode::UNAUTHORIZED, "a dead JWT got {status}");
    let error = tokens.status().last_error().cloned().ok_or("no error is told")?;
    say!("{error}");
    claim!(error.needs_login(), "a dead JWT counts as {error:?}");
    let told = get(&client, &tokens, server.api_url()).await.err().ok_or("a dead JWT is taken")?;
    claim!(
        told.to_string().contains("log in again"),
        "the refusal is told without its reason: {told}"
    );
    tokens.login(TokenSet::new(server.sign_in(DEFAULT_USER).access_token())).await?;
    ask_all(&client, &server).await?;
    say!("{}", state_of(&tokens.status()));
    Ok(())
}

async fn ask_all(
    client: &ClientWithMiddleware,
    server: &AuthorizationServer,
) -> Result<(), BoxError> {
    let answers = try_join_all((0..CALLERS).map(|_| ask(client, server))).await?;
    let served = answers.iter().filter(|status| status.is_success()).count();
    say!(
        "{served} of {CALLERS} callers were served, with {} refreshes so far",
        server.history().len()
    );
    claim!(served == CALLERS, "{} callers were refused", CALLERS - served);
    Ok(())
}

async fn ask(
    client: &ClientWithMiddleware,
    server: &AuthorizationServer,
) -> Result<StatusCode, BoxError> {
    Ok(client.get(server.api_url()).send().await?.status())
}
