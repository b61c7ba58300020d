use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, SystemClock};
use crate::config_error::ConfigError;
use crate::event::EventSender;
use crate::freshness::Freshness;
use crate::key::TokenKey;
use crate::protocol::{
    Backoff, BackoffPolicy, GraceWindow, Policy, Replica, Seed, TokenBucket, UnknownOutcome,
};
use crate::refresher::ErasedRefresher;
use crate::store::{MemoryStore, SharedStore, TokenStore, erase};
use crate::token::TokenSet;

use super::TokenManager;
use super::inner::{Inner, Settings, State};
use super::published::Published;

const DEFAULT_EXCHANGE_DEADLINE: Duration = Duration::from_secs(10);
const DEFAULT_STORE_DEADLINE: Duration = Duration::from_secs(5);
const DEFAULT_SEND_GATE: Duration = Duration::from_secs(1);
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);
const DEFAULT_REFUSAL_BURST: u32 = 3;
const DEFAULT_REFUSAL_INTERVAL: Duration = Duration::from_secs(10);
const DEFAULT_NAME: &str = "default";

/// Builds a [`TokenManager`]. Only the refresher has no default.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use token_core::endpoint::{ClientAuth, TokenEndpoint};
/// use token_core::store::MemoryStore;
/// use token_core::{TokenKey, TokenManager, TokenSet};
/// # use token_core::RefreshError;
/// # use token_core::endpoint::HttpEndpoint;
/// # struct Http;
/// # impl HttpEndpoint for Http {
/// #     async fn send(&self, _: http::Request<bytes::Bytes>) -> Result<http::Response<bytes::Bytes>, RefreshError> {
/// #         Err(RefreshError::not_sent("no network in this example"))
/// #     }
/// # }
///
/// # fn main() -> Result<(), token_core::ConfigError> {
/// let url = "https://auth.example.com/token";
/// let endpoint = TokenEndpoint::refresh_token(Http, url, ClientAuth::basic("id", "secret"));
/// let tokens = TokenManager::builder(endpoint)
///     .store(MemoryStore::new())
///     .key(TokenKey::new("billing-api")?)
///     .seed(TokenSet::from_refresh_token("the refresh token of the first login"))
///     .exchange_deadline(Duration::from_secs(5))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing before `build`"]
pub struct TokenManagerBuilder {
    refresher: Box<dyn ErasedRefresher>,
    store: Option<SharedStore>,
    key: Option<TokenKey>,
    seed: Option<TokenSet>,
    clock: Arc<dyn Clock>,
    freshness: Freshness,
    unknown_outcome: UnknownOutcome,
    grace: Option<GraceWindow>,
    exchange_deadline: Duration,
    store_deadline: Duration,
    drain: Duration,
    backoff: BackoffPolicy,
    refusal_burst: u32,
    refusal_interval: Duration,
    one_shot: bool,
    warn_before: Option<Duration>,
}

impl TokenManagerBuilder {
    pub(super) fn new(refresher: Box<dyn ErasedRefresher>) -> Self {
        Self {
            refresher,
            store: None,
            key: None,
            seed: None,
            clock: Arc::new(SystemClock::new()),
            freshness: Freshness::default(),
            unknown_outcome: UnknownOutcome::default(),
            grace: None,
            exchange_deadline: DEFAULT_EXCHANGE_DEADLINE,
            store_deadline: DEFAULT_STORE_DEADLINE,
            drain: DEFAULT_DRAIN,
            backoff: BackoffPolicy::default(),
            refusal_burst: DEFAULT_REFUSAL_BURST,
            refusal_interval: DEFAULT_REFUSAL_INTERVAL,
            one_shot: false,
            warn_before: None,
        }
    }

    /// Sets where the record lives. Default: this process's memory.
    pub fn store(mut self, store: impl TokenStore) -> Self {
        self.store = Some(erase(store));
        self
    }

    /// Sets which grant it is. Default: the name `default`, which is enough for a store with one grant.
    pub fn key(mut self, key: TokenKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets the tokens to start with where the store has no record of this grant.
    ///
    /// A restart with the same seed does not undo the rotation: the record remembers the seeds it has taken over. A seed
    /// that it has not seen means that somebody logged in again, and starts a new epoch.
    pub fn seed(mut self, tokens: TokenSet) -> Self {
        self.seed = Some(tokens);
        self
    }

    /// Sets when tokens are refreshed and when they are not sent any more. Default: see [`Freshness`].
    pub fn freshness(mut self, freshness: Freshness) -> Self {
        self.freshness = freshness;
        self
    }

    /// Sets what is done after a refresh whose outcome nobody knows. Default: [`UnknownOutcome::PresentAgain`].
    pub fn unknown_outcome(mut self, rule: UnknownOutcome) -> Self {
        self.unknown_outcome = rule;
        self
    }

    /// Sets the server's grace window: within it a refresh token whose outcome is unknown is presented again, whatever
    /// [`unknown_outcome`](Self::unknown_outcome) says. Default: none, as RFC 9700 §4.14.2 has it.
    pub fn grace_window(mut self, window: GraceWindow) -> Self {
        self.grace = Some(window);
        self
    }

    /// Sets the longest an exchange with the authorization server may take. Default: 10 seconds.
    pub fn exchange_deadline(mut self, deadline: Duration) -> Self {
        self.exchange_deadline = deadline;
        self
    }

    /// Sets the longest that the server may go on with a request after its sender has given up. Default: 10 seconds.
    ///
    /// An unknown outcome is left alone for this and a tenth more. So is the refresh of a process that the store knows to be
    /// dead. One that is stopped, or of which the store knows nothing, holds up the others, once they have no valid token,
    /// for (1 s + [`exchange_deadline`](Self::exchange_deadline) + this) × 1.1: by default 23.1 seconds.
    pub fn server_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Sets the longest a store operation may take. Default: 5 seconds.
    pub fn store_deadline(mut self, deadline: Duration) -> Self {
        self.store_deadline = deadline;
        self
    }

    /// Sets the wait after the first failure, which doubles with each further one, and the longest wait. Each is spread
    /// between half and the whole. Default: 1 second and 60 seconds.
    pub fn backoff(mut self, first: Duration, longest: Duration) -> Self {
        self.backoff = BackoffPolicy { first, longest };
        self
    }

    /// Sets how many refreshes refused requests may cause at once, and after how long there may be one more. Default: 3,
    /// and one per 10 seconds.
    pub fn refusals(mut self, burst: u32, interval: Duration) -> Self {
        self.refusal_burst = burst;
        self.refusal_interval = interval;
        self
    }

    /// Sets how long before its end the first [`EndsSoon`](crate::event::Event::EndsSoon) tells of tokens that nothing but new ones
    /// from outside can follow. Default: 7 days, or a fifth of their life if that is less; the life of a JWT begins with its `iat`. Zero means no
    /// warning.
    pub fn warn_before(mut self, before: Duration) -> Self {
        self.warn_before = Some(before);
        self
    }

    /// Starts no task behind the calls: for command-line programs. Each call that returns has its refresh finished and
    /// stored; a stale token is refreshed by the call that finds it.
    pub fn one_shot(mut self) -> Self {
        self.one_shot = true;
        self
    }

    /// Sets the clock, for tests. Default: [`SystemClock`].
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Builds the manager. Works outside a runtime too: the refreshing ahead of time then starts with the first call
    /// within one. The runtime must be tokio's with time enabled, as `#[tokio::main]` and `#[tokio::test]` make it.
    ///
    /// # Errors
    ///
    /// A setting cannot work; the error names it.
    pub fn build(self) -> Result<TokenManager, ConfigError> {
        self.refresher.check()?;
        self.freshness.validate()?;
        self.backoff.validate()?;
        for (what, deadline) in
            [("exchange deadline", self.exchange_deadline), ("store deadline", self.store_deadline)]
        {
            if deadline.is_zero() || deadline > Duration::from_secs(3600) {
                return Err(ConfigError::new(format!(
                    "the {what} is {deadline:?}; it must be above zero and at most an hour"
                )));
            }
        }
        if self.drain > Duration::from_secs(3600) {
            return Err(ConfigError::new(format!(
                "the server drain is {:?}; it must be at most an hour",
                self.drain
            )));
        }
        if self.refusal_burst == 0 || self.refusal_interval.is_zero() {
            return Err(ConfigError::new("the refusal burst and interval must be above zero"));
        }
        let key = match self.key {
            Some(key) => key,
            None => TokenKey::new(DEFAULT_NAME)?,
        };
        if let Some(tokens) = &self.seed {
            tokens
                .check_brought()
                .map_err(|error| ConfigError::new(format!("the seed cannot be used: {error}")))?;
        }
        let seed = self.seed.map(|tokens| Seed::new(tokens, self.clock.now())).transpose()?;
        let store = self.store.unwrap_or_else(|| erase(MemoryStore::new()));
        let capabilities = store.capabilities();
        let policy = Policy {
            freshness: self.freshness,
            exchange_deadline: self.exchange_deadline,
            send_gate: DEFAULT_SEND_GATE,
            drain: self.drain,
            unknown_outcome: self.unknown_outcome,
            grace: self.grace,
            tells_dead_holder: capabilities.tells_dead_holder,
            may_regress: capabilities.may_regress,
            dice: fastrand::f64(),
        };
        policy.validate()?;
        let inner = Arc::new(Inner {
            store_key: key.to_store_key(),
            events: EventSender::new(key.to_string()),
            key,
            store,
            refresher: self.refresher,
            clock: self.clock,
            settings: Settings {
                exchange_deadline: self.exchange_deadline,
                store_deadline: self.store_deadline,
                backoff: self.backoff,
                one_shot: self.one_shot,
                warn_before: self.warn_before,
            },
            published: Published::new(),
            state: Mutex::new(State {
                replica: Replica::new(policy, seed),
                backoff: Backoff::default(),
                refusals: TokenBucket::new(self.refusal_burst, self.refusal_interval),
                flight: None,
                last_error: None,
                store_error: None,
                unusable: None,
                throttled: false,
                throttling_unreported: false,
                refreshed: false,
                drawn: false,
                shut_down: false,
                alarmed: None,
                warned: None,
            }),
            driving: AtomicBool::new(false),
            wake: Arc::new(Notify::new()),
        });
        inner.start_driver();
        Ok(TokenManager { inner })
    }
}

impl std::fmt::Debug for TokenManagerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenManagerBuilder").field("key", &self.key).finish_non_exhaustive()
    }
}
