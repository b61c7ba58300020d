//! What they log, and what is logged here, at which level.

use std::cell::RefCell;
use std::fmt::Debug;
use std::rc::Rc;
use std::time::Duration;

use integration_tests::{BoxError, Kit, soon, until};
use token_core::clock::ManualClock;
use token_core::endpoint::AfterLogin;
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::store::MemoryStore;
use token_core::{NoRefresh, TokenManager, TokenSet};
use token_testkit::{ApiFault, DEFAULT_USER, Fault};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::api::Api;
use crate::document::{Row, table};

// One thread, whose log has what the row does and nothing else.
#[tokio::test]
async fn each_message_is_logged_at_its_level() -> Result<(), BoxError> {
    // For the whole process: what threads without a subscriber ask for would else be remembered for all.
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(ToThread))?;
    for row in table("What it logs") {
        let log = Log::of_this_thread();
        log.clear();
        soon(provoke(row, &log)).await.map_err(|error| format!("{row:?}: {error}"))?;
        if row.is_dash() {
            // Whoever has the level `INFO` sees the end of a refresh, and nothing of its beginning.
            let seen: Vec<_> =
                log.lines().into_iter().filter(|line| line.0 <= Level::INFO).collect();
            assert_eq!(seen, [(Level::INFO, "access token refreshed".to_owned())], "{row:?}");
        } else {
            let line = (row.span(0).parse::<Level>()?, row.span(1).to_owned());
            assert!(log.lines().contains(&line), "{row:?}: {:?}", log.lines());
        }
    }
    Ok(())
}

async fn provoke(row: Row, log: &Log) -> Result<(), BoxError> {
    let api = Api::named(row.api);
    let tokens = api.ended().build()?;
    match row.theirs {
        "`INFO`: successful operations"
        | "`✅ Tokens refreshed successfully`"
        | "`[INFO] ✅ GHL token refreshed successfully. New token expires in 86400 seconds.`" => {
            tokens.token().await?;
        }
        theirs if row.is_dash() => {
            // The seed would have a line of its own.
            let tokens = api.manager().build()?;
            tokens.ready().await?;
            until(|| log.has("seed taken over")).await;
            log.clear();
            tokens.refresh_now().await?;
            assert!(theirs.starts_with('`'));
        }
        "`WARNING`: token validation failures" => {
            api.server.api_always(Some(ApiFault::refused()));
            let (client, url) = (api.client(&tokens), api.server.api_url());
            for _ in 0..8 {
                assert_eq!(client.get(&url).send().await?.status(), 401);
            }
            // The login, and three at once.
            assert_eq!(api.token_requests(), 4);
        }
        "`ERROR`: authentication failures" => {
            api.set_secret("POS_PASSWORD", "wrong");
            assert!(tokens.token().await.is_err());
            assert!(tokens.token().await.is_err());
            assert_eq!((api.token_requests(), log.count("refresh failed")), (1, 1));
        }
        "an error for each failed refresh" | "an error in the log, and the worker goes on" => {
            api.server.script([Fault::status(429)]);
            assert!(tokens.token().await.is_err());
            assert!(!log.has("login needed"));
        }
        "`✅ Refresh token captured and stored from SMS login`"
        | "`✅ Refresh token captured and stored from servers_list`" => {
            tokens.login(api.tokens()).await?;
        }
        "`⚠️ No refresh token received from SMS login response`" => {
            let tokens = api.endpoint().manager().build()?;
            tokens.login(TokenSet::new(api.login.access_token())).await?;
            assert!(tokens.refresh_now().await.is_err());
        }
        "the same when the refresh token is dead" => {
            let (clock, seed) =
                (ManualClock::new(), TokenSet::from_refresh_token(api.login.refresh_token()));
            let tokens = api.endpoint().manager().seed(seed).clock(clock.clone()).build()?;
            api.server.revoke_family_of(api.login.refresh_token());
            for _ in 0..3 {
                assert!(tokens.token().await.is_err());
                clock.advance(Duration::from_secs(20 * 3600));
            }
            assert_eq!((api.token_requests(), log.count("login needed")), (1, 1));
        }
        "a log of each refused token, for security monitoring" => {
            api.server.revoke_family_of(api.login.access_token());
            assert!(tokens.token().await.is_err());
        }
        "`Token expires in {days_left} days`" => {
            let seed = TokenSet::new("a service token");
            let seed = seed.with_expires_in(Duration::from_secs(90 * 24 * 3600));
            let clock = ManualClock::new();
            let tokens =
                TokenManager::builder(NoRefresh).seed(seed).clock(clock.clone()).build()?;
            tokens.ready().await?;
            assert!(!log.has(row.span(1)));
            clock.advance(Duration::from_secs(84 * 24 * 3600));
            until(|| log.has(row.span(1))).await;
            assert_eq!(tokens.status().days_left(), Some(6));
        }
        "`Token expires in {days_left} days, creating new one...`" => {
            let new = Profile::shipped("nocturna-new-service-token")?;
            let new = new.with_base_url(api.server.api_url())?;
            let http = AfterLogin::new(Kit::http(), api.endpoint());
            let old = TokenSet::new(api.server.service_token(DEFAULT_USER, None));
            let old = old.with_expires_in(Duration::from_secs(6 * 24 * 3600));
            let tokens = ProfileEndpoint::new(http, new).manager().seed(old).build()?;
            tokens.ready().await?;
            tokens.refresh_now().await?;
        }
        "nothing when another worker has refreshed" => {
            let store = MemoryStore::new();
            let valid = || api.manager().store(store.clone());
            let (one, other) = (valid().build()?, valid().build()?);
            one.ready().await?;
            other.ready().await?;
            one.refresh_now().await?;
            until(|| log.has(row.span(1))).await;
            assert_eq!(other.status().version(), one.status().version());
            assert_eq!(api.token_requests(), 1);
        }
        "nothing when the refresh token had ended and the login brought new ones" => {
            api.server.revoke_family_of(api.login.refresh_token());
            tokens.token().await?;
            assert!(!log.has("login needed"));
        }
        other => panic!("nobody tests what is logged for {other}"),
    }
    Ok(())
}

thread_local! {
    static LINES: Log = Log::default();
}

/// The lines of token-core: level and message.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<(Level, String)>>>);

impl Log {
    fn of_this_thread() -> Self {
        LINES.with(Self::clone)
    }

    fn lines(&self) -> Vec<(Level, String)> {
        self.0.borrow().clone()
    }

    fn count(&self, message: &str) -> usize {
        self.0.borrow().iter().filter(|(_, line)| line == message).count()
    }

    fn has(&self, message: &str) -> bool {
        self.count(message) > 0
    }

    fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

/// Gives each thread its own lines.
struct ToThread;

impl<S: Subscriber> Layer<S> for ToThread {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "token_core::event" {
            let mut message = Message(String::new());
            event.record(&mut message);
            let line = (*event.metadata().level(), message.0);
            LINES.with(|lines| lines.0.borrow_mut().push(line));
        }
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
