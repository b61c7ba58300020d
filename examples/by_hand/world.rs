//! What each scenario is played in: a server of its own, a directory of its own, and the measure of what came of it.

use std::time::{Duration, Instant, SystemTime};

use examples::BoxError;
use reqwest_middleware::ClientWithMiddleware;
use serde::Serialize;
use tempfile::TempDir;
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID};
use tokio::time::sleep;

use crate::contender::{Contender, Setup};
use crate::load::{Call, Calls};

/// How long it is tried, once all faults are gone, whether the client gets a token again.
const PROBE: Duration = Duration::from_secs(5);

/// A token that ends later than this is not waited for.
const SOON: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);

/// How the token of the login stands at the beginning.
#[derive(Clone, Copy)]
pub(crate) enum First {
    Ended,
    /// Good for an hour.
    Good,
    /// Good for so long, and to be replaced so long before its end.
    Short(Duration, Duration),
}

pub(crate) struct World {
    pub(crate) server: AuthorizationServer,
    pub(crate) setup: Setup,
    contender: Contender,
    /// When the callers came; the servers and processes were there before.
    began: Instant,
    /// Removed with this.
    _directory: TempDir,
}

/// What came of a scenario; the names are those of the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) token_requests: u64,
    /// How many requests brought a token to a server that is not its own.
    pub(crate) tokens_elsewhere: u64,
    /// Whether the client gets tokens once all faults are gone, and without a login.
    pub(crate) lives: bool,
    pub(crate) elapsed_ms: u128,
    pub(crate) first_failure: Option<String>,
}

impl World {
    /// A server that rotates and detects reuse, and a login.
    pub(crate) fn new(contender: Contender, first: First) -> Result<Self, BoxError> {
        let server = AuthorizationServer::start()?;
        let login = server.sign_in(DEFAULT_CLIENT_ID);
        let directory = tempfile::tempdir()?;
        let now = SystemTime::now();
        let (expires_at, margin) = match first {
            First::Ended => (now - HOUR, Duration::from_secs(60)),
            First::Good => (now + HOUR, Duration::from_secs(60)),
            First::Short(life, margin) => (now + life, margin),
        };
        let setup = Setup {
            token_url: server.token_url(),
            origin: server.origin().to_owned(),
            api_url: server.api_url(),
            directory: directory.path().to_owned(),
            access_token: login.access_token().to_owned(),
            refresh_token: login.refresh_token().to_owned(),
            expires_at,
            margin,
            timeout: Duration::from_secs(1),
        };
        Ok(Self { server, setup, contender, began: Instant::now(), _directory: directory })
    }

    /// The contender's client, in this process.
    pub(crate) fn open(&self) -> Result<ClientWithMiddleware, BoxError> {
        self.contender.open(&self.setup)
    }

    /// The time counts from now on.
    pub(crate) fn begin(&mut self) {
        self.began = Instant::now();
    }

    /// So many requests to the API at once.
    pub(crate) async fn at_once(&self, client: &ClientWithMiddleware, count: usize) -> Calls {
        Calls::at_once(client, &self.setup.api_url, Call::Get, count).await
    }

    /// One after the other.
    pub(crate) async fn in_turn(&self, client: &ClientWithMiddleware, count: usize) -> Calls {
        Calls::in_turn(client, &self.setup.api_url, Call::Get, count).await
    }

    /// Takes the measure, ends the faults, and sees whether the client goes on.
    pub(crate) async fn end(self, client: &ClientWithMiddleware, calls: Calls) -> Measured {
        let elapsed_ms = self.began.elapsed().as_millis();
        let token_requests = self.server.counters().token_requests;
        self.server.always(None);
        self.server.api_always(None);
        Measured {
            requests: calls.requests,
            failed: calls.failed,
            token_requests,
            tokens_elsewhere: 0,
            lives: self.lives(client).await,
            elapsed_ms,
            first_failure: calls.failure,
        }
    }

    /// Asks behind the end of the first token, which would hide what became of the grant.
    async fn lives(&self, client: &ClientWithMiddleware) -> bool {
        let left = self.setup.expires_at.duration_since(SystemTime::now()).unwrap_or_default();
        if left < SOON {
            sleep(left).await;
        }
        let end = Instant::now() + PROBE;
        while Instant::now() < end && self.server.counters().families_revoked == 0 {
            if self.in_turn(client, 1).await.all_succeeded() {
                return true;
            }
            sleep(Duration::from_millis(100)).await;
        }
        false
    }
}
