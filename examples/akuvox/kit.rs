//! The same against a server of the kit, by a clock on which six days pass at once.

use std::time::Duration;

use bytes::Bytes;
use examples::{BoxError, claim, connector, say, state_of};
use http::{Request, header};
use token_core::clock::ManualClock;
use token_core::endpoint::HttpEndpoint;
use token_core::endpoint::profile::Profile;
use token_core::event::{Event, Events};
use token_core::{Health, TokenSet};
use token_testkit::{AuthorizationServer, DEFAULT_PASSWORD, DEFAULT_USER, Dialect};
use tokio::time::timeout;
use tower_token_refresh::HyperEndpoint;

use crate::hub::{self, Hub, USER_AGENT};
use crate::login;

const HOUR: Duration = Duration::from_secs(3600);

/// What takes longer than this never happens.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn play() -> Result<(), BoxError> {
    let server = AuthorizationServer::builder().dialect(Dialect::Akuvox).start()?;
    let directory = tempfile::tempdir()?;
    let profile = Profile::shipped("akuvox")?.with_base_url(server.origin())?;
    let clock = ManualClock::new();
    let manager =
        || Ok::<_, BoxError>(hub::manager(&profile, directory.path())?.clock(clock.clone()));

    let tokens = manager()?.build()?;
    let first = profile.read(&sms_login(server.origin()).await?)?;
    login(&tokens, first.clone()).await?;
    say!("{}", state_of(&tokens.status()));
    let mut hub = Hub::new(&profile, server.origin(), tokens.clone())?;
    say!("the hub answers: {}", hub.get("/api/doors").await?);

    say!("\nNobody asks for anything for six days.\n");
    let mut events = tokens.events();
    clock.advance(6 * 24 * HOUR - HOUR);
    claim!(tokens.status().health() == Health::Valid, "it is due before its time");
    clock.advance(HOUR);
    refreshed(&mut events).await?;
    say!("{}", state_of(&tokens.status()));

    say!("\nThe hub refuses the token, in a 200 with an err_code.\n");
    server.revoke_access_tokens();
    say!("the hub answers: {}", hub.get("/api/doors").await?);
    say!("{}", state_of(&tokens.status()));

    say!("\nSomebody refreshes by hand, brings other tokens, and refreshes those.\n");
    tokens.refresh_now().await?;
    say!("{}", state_of(&tokens.status()));
    let other = server.sign_in(DEFAULT_USER);
    let other = TokenSet::new(other.access_token()).with_refresh_token(other.refresh_token());
    tokens.update(other).await?;
    say!("{}", state_of(&tokens.status()));
    hub.get("api/doors").await?;
    tokens.refresh_now().await?;
    say!("{}", state_of(&tokens.status()));

    say!("\nThe program ends, and starts again with the login that it had at first.\n");
    let (before, requests) = (tokens.status(), server.counters().token_requests);
    say!("{:?}", tokens.shutdown(PATIENCE).await);
    drop((hub, tokens));
    let tokens = manager()?.seed(first).build()?;
    tokens.ready().await?;
    let after = tokens.status();
    say!("{}", state_of(&after));
    claim!(after.version() == before.version(), "other tokens after the restart");
    claim!(
        after.last_refreshed_at() == before.last_refreshed_at(),
        "another time after the restart"
    );
    claim!(server.counters().token_requests == requests, "the restart asked for tokens");
    Hub::new(&profile, server.origin(), tokens)?.get("/api/doors").await?;

    let counters = server.counters();
    say!(
        "{} token requests: the login, one by the schedule, one for the refusal, two by hand; refresh tokens used twice: {}",
        counters.token_requests,
        counters.reuse_detected
    );
    claim!(counters.token_requests == 5, "5 token requests were needed");
    claim!(counters.reuse_detected == 0, "a refresh token was used twice");
    Ok(())
}

/// What the app does when somebody types the code of an SMS: the answer of the login.
async fn sms_login(url: &str) -> Result<Bytes, BoxError> {
    let url = format!("{url}/sms_login?phone={DEFAULT_USER}&code={DEFAULT_PASSWORD}");
    let request = Request::get(url).header(header::USER_AGENT, USER_AGENT).body(Bytes::new())?;
    Ok(HyperEndpoint::new(connector()).send(request).await?.into_body())
}

async fn refreshed(events: &mut Events) -> Result<(), BoxError> {
    let refreshed = async {
        while let Some(event) = events.next().await {
            if let Event::Refreshed { version } = event {
                say!("refreshed: version {version}");
                return Ok(());
            }
        }
        Err("the manager is gone".into())
    };
    timeout(PATIENCE, refreshed).await.map_err(|_| "no refresh came")?
}
