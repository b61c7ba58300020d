//! What happens to the replicas, and when: always after something that they told, never after a time.

use std::io::{self, Write};
use std::time::Duration;

use examples::{BoxError, Store};
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, Fault};

use crate::cast::{Cast, Life};
use crate::outcome::Outcome;
use crate::words::{Settings, Told};

/// So that much happens in little time.
const ACCESS_LIFETIME: Duration = Duration::from_secs(3);

/// How long the server takes for an answer that somebody waits for who leaves.
const SLOW: Duration = Duration::from_millis(800);

pub(crate) async fn play(json: bool, store: Option<Store>) -> Result<(), BoxError> {
    let server = AuthorizationServer::builder().access_lifetime(ACCESS_LIFETIME).start()?;
    let directory = tempfile::tempdir()?;
    let store = store.unwrap_or_else(|| Store::File(directory.path().to_owned()));
    store.check_shared().await?;
    let settings = Settings {
        store,
        token_url: server.token_url(),
        api_url: server.api_url(),
        origin: server.origin().to_owned(),
        refresh_token: server.sign_in(DEFAULT_CLIENT_ID).refresh_token().to_owned(),
    };
    let mut cast = Cast::new(settings, json);
    let end = tell(&mut cast, &server).await;
    let outcome = Outcome::new(cast.lives(), &server);
    let printed = if json {
        writeln!(io::stdout(), "{}", outcome.json())
    } else {
        write!(io::stdout(), "\n{outcome}")
    };
    end?;
    outcome.check()?;
    Ok(printed?)
}

async fn tell(cast: &mut Cast, server: &AuthorizationServer) -> io::Result<()> {
    cast.head("One login, a refresh token that works once, and access tokens that live 3 s.")?;
    cast.join().await?;
    cast.refreshed().await?;
    cast.join().await?;
    cast.join().await?;
    cast.caught_up().await?;
    cast.refreshed().await?;

    cast.head("One leaves in the middle of its refresh: it waits for the answer.")?;
    let leaver = asking(cast, server, Fault::delay_before(SLOW)).await?;
    cast.leave(leaver).await?;
    cast.join().await?;
    cast.caught_up().await?;

    cast.head(
        "One is killed in the middle of its refresh: nobody knows what became of the token.",
    )?;
    let victim = asking(cast, server, Fault::hang()).await?;
    cast.kill(victim).await?;
    taken_over(cast).await?;

    cast.head("One is killed while it only calls.")?;
    cast.join().await?;
    cast.caught_up().await?;
    let bystander = cast.present().into_iter().next_back();
    cast.kill(bystander.unwrap_or('?')).await?;
    cast.refreshed().await?;

    cast.head("All are killed, one of them in the middle of its refresh, and another begins.")?;
    asking(cast, server, Fault::hang()).await?;
    for name in cast.present() {
        cast.kill(name).await?;
    }
    cast.join().await?;
    taken_over(cast).await?;

    cast.head("All leave.")?;
    for name in cast.present() {
        cast.leave(name).await?;
    }
    Ok(())
}

/// Waits until the server has the next token request, which meets this fault, and says whose it is.
async fn asking(cast: &mut Cast, server: &AuthorizationServer, fault: Fault) -> io::Result<char> {
    let next = server.counters().token_requests + 1;
    server.script([fault]);
    let asked = |lives: &[Life]| lives.iter().map(|life| life.asked).sum::<u64>();
    let who = cast.until(|lives, _, _| asked(lives) == next).await?;
    server.token_requests_seen(next).await;
    Ok(who)
}

/// Waits until somebody has taken the refresh of a dead process over, and made it.
async fn taken_over(cast: &mut Cast) -> io::Result<()> {
    cast.until(|_, _, told| matches!(told, Told::TookOver)).await?;
    cast.refreshed().await
}
