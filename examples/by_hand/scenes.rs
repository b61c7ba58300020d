//! How each scenario goes: the same for both.

use std::time::Duration;

use examples::BoxError;
use token_testkit::{ApiFault, AuthorizationServer, Fault, Stage};

use crate::contender::Contender;
use crate::load::{Call, Calls};
use crate::process::Process;
use crate::world::{First, Measured, World};

const CALLERS: usize = 1_000;

/// A token of which both want the next one after two seconds, and calls that end long before it does.
const SHORT: First = First::Short(Duration::from_secs(8), Duration::from_secs(6));
const WHILE_IT_SERVES: Duration = Duration::from_secs(4);

pub(crate) async fn ended(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Ended)?;
    let client = world.open()?;
    world.begin();
    let calls = world.at_once(&client, CALLERS).await;
    Ok(world.end(&client, calls).await)
}

pub(crate) async fn refused_at_once(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Good)?;
    let client = world.open()?;
    world.server.revoke_access_tokens();
    world.begin();
    let calls = world.at_once(&client, CALLERS).await;
    Ok(world.end(&client, calls).await)
}

pub(crate) async fn restarted(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Ended)?;
    world.begin();
    let mut calls = world.in_turn(&world.open()?, 10).await;
    let client = world.open()?;
    calls += world.in_turn(&client, 10).await;
    Ok(world.end(&client, calls).await)
}

/// As a server drops the handler of a client that hung up, or a timeout what it is around. That caller is not counted.
pub(crate) async fn left_by_its_caller(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Ended)?;
    let client = world.open()?;
    let carried_out = world.server.hold(Stage::CarriedOut);
    let caller = tokio::spawn({
        let (client, url) = (client.clone(), world.setup.api_url.clone());
        async move { Calls::in_turn(&client, &url, Call::Get, 1).await }
    });
    let held = carried_out.await;
    caller.abort();
    let _ = caller.await;
    drop(held);
    world.begin();
    let calls = world.in_turn(&client, 100).await;
    Ok(world.end(&client, calls).await)
}

pub(crate) async fn answer_lost(contender: Contender) -> Result<Measured, BoxError> {
    calls_under(contender, SHORT, |server| server.script([Fault::reset_after()])).await
}

pub(crate) async fn html(contender: Contender) -> Result<Measured, BoxError> {
    calls_under(contender, SHORT, |server| server.always(Some(Fault::html()))).await
}

/// The one in which trying again at once is right, which nobody on this side can know.
pub(crate) async fn request_lost(contender: Contender) -> Result<Measured, BoxError> {
    calls_under(contender, First::Ended, |server| server.script([Fault::reset_before()])).await
}

async fn calls_under(
    contender: Contender,
    first: First,
    fault: impl FnOnce(&AuthorizationServer),
) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, first)?;
    fault(&world.server);
    let client = world.open()?;
    world.begin();
    let pause = Duration::from_millis(100);
    let calls = Calls::every(&client, &world.setup.api_url, pause, WHILE_IT_SERVES).await;
    Ok(world.end(&client, calls).await)
}

/// After the server has rotated and before anything is stored. The calls are those of the process that comes after.
pub(crate) async fn killed(contender: Contender) -> Result<Measured, BoxError> {
    let first = First::Short(Duration::from_secs(12), Duration::from_secs(20));
    let mut world = World::new(contender, first)?;
    let pause = Duration::from_millis(50);
    let carried_out = world.server.hold(Stage::CarriedOut);
    let mut process = Process::start(contender, &world.setup).await?;
    process.every(pause, Duration::from_secs(60)).await?;
    let mut held = carried_out.await.ok_or("there is no server")?;
    process.kill().await?;
    held.sender_left().await;
    drop(held);

    let mut process = Process::start(contender, &world.setup).await?;
    world.begin();
    process.every(pause, Duration::from_secs(4)).await?;
    let calls = process.calls().await?;
    process.kill().await?;
    let client = world.open()?;
    Ok(world.end(&client, calls).await)
}

/// Both begin with a token that has ended; then all are revoked.
pub(crate) async fn two_processes(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Ended)?;
    let mut one = Process::start(contender, &world.setup).await?;
    let mut other = Process::start(contender, &world.setup).await?;
    world.begin();
    let mut calls = Calls::default();
    for round in 0..2 {
        if round > 0 {
            world.server.revoke_access_tokens();
        }
        one.at_once(100).await?;
        other.at_once(100).await?;
        calls += one.calls().await?;
        calls += other.calls().await?;
    }
    one.kill().await?;
    other.kill().await?;
    let client = world.open()?;
    Ok(world.end(&client, calls).await)
}

pub(crate) async fn no_tokens(contender: Contender, fault: &str) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Ended)?;
    world.server.always(Some(fault.parse()?));
    let client = world.open()?;
    world.begin();
    let calls = world.at_once(&client, CALLERS).await;
    Ok(world.end(&client, calls).await)
}

pub(crate) async fn error_in_200(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Ended)?;
    world.server.revoke_family_of(&world.setup.refresh_token);
    world.server.always(Some("error=invalid_grant status=200".parse()?));
    let client = world.open()?;
    world.begin();
    let calls = world.at_once(&client, CALLERS).await;
    Ok(world.end(&client, calls).await)
}

/// As where the account has no access, and the API says so with a 401.
pub(crate) async fn refuses_everything(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Good)?;
    world.server.api_always(Some(ApiFault::refused()));
    let client = world.open()?;
    world.begin();
    let calls = world.in_turn(&client, 100).await;
    Ok(world.end(&client, calls).await)
}

pub(crate) async fn stream(contender: Contender) -> Result<Measured, BoxError> {
    let mut world = World::new(contender, First::Good)?;
    let client = world.open()?;
    world.server.revoke_access_tokens();
    world.begin();
    let calls = Calls::at_once(&client, &world.setup.api_url, Call::Stream, 10).await;
    Ok(world.end(&client, calls).await)
}

/// An address in an answer, such as that of the next page or of a file.
pub(crate) async fn another_server(contender: Contender) -> Result<Measured, BoxError> {
    let other = AuthorizationServer::start()?;
    let url = other.api_url();
    elsewhere(contender, &other, |_| url).await
}

pub(crate) async fn redirected(contender: Contender) -> Result<Measured, BoxError> {
    let other = AuthorizationServer::start()?;
    let redirect = ApiFault::redirect(307, &other.api_url());
    elsewhere(contender, &other, |world| {
        world.server.api_always(Some(redirect));
        world.setup.api_url.clone()
    })
    .await
}

async fn elsewhere(
    contender: Contender,
    other: &AuthorizationServer,
    url: impl FnOnce(&World) -> String,
) -> Result<Measured, BoxError> {
    other.record_api();
    let mut world = World::new(contender, First::Good)?;
    let url = url(&world);
    let client = world.open()?;
    world.begin();
    let calls = Calls::in_turn(&client, &url, Call::Foreign, 10).await;
    let shown =
        |request: &&token_testkit::ApiRequest| request.headers.contains_key("authorization");
    let tokens_elsewhere = other.api_history().iter().filter(shown).count() as u64;
    Ok(Measured { tokens_elsewhere, ..world.end(&client, calls).await })
}
