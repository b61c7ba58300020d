//! What all handles of one manager share, and how its state is reached.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use crate::event::EventSender;
use crate::flight::Flight;
use crate::key::{StoreKey, TokenKey};
use crate::protocol::{
    Backoff, BackoffPolicy, Context, Replica, TokenBucket, Warned, cannot_refresh,
};
use crate::refresher::ErasedRefresher;
use crate::store::{SharedStore, Stamp};
use crate::token::TokenSet;
use crate::version::Version;

use super::published::{self, Published};

pub(super) struct Inner {
    pub(super) key: TokenKey,
    pub(super) store_key: StoreKey,
    pub(super) store: SharedStore,
    pub(super) refresher: Box<dyn ErasedRefresher>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: Settings,
    pub(super) published: Published,
    pub(super) events: EventSender,
    pub(super) state: Mutex<State>,
    pub(super) driving: AtomicBool,
    /// Wakes the driver: something changed that its plan depends on, or the last handle is gone.
    pub(super) wake: Arc<Notify>,
}

/// What the builder fixed for the life of the manager.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) exchange_deadline: Duration,
    pub(super) store_deadline: Duration,
    pub(super) backoff: BackoffPolicy,
    pub(super) one_shot: bool,
    pub(super) warn_before: Option<Duration>,
}

/// What changes. The lock is never held over an await.
pub(super) struct State {
    pub(super) replica: Replica,
    pub(super) backoff: Backoff,
    pub(super) refusals: TokenBucket,
    pub(super) flight: Option<Arc<Flight>>,
    pub(super) last_error: Option<Error>,
    /// The last access token cannot be put in a header; why.
    pub(super) unusable: Option<Error>,
    /// An exchange of the flight under way succeeded.
    pub(super) refreshed: bool,
    /// The flight under way has drawn on `refusals` and not asked for a token yet.
    pub(super) drawn: bool,
    pub(super) shut_down: bool,
    /// The last refusal came too soon after others for a refresh, and whether that is still to be reported.
    pub(super) throttled: bool,
    pub(super) throttling_unreported: bool,
    /// The login epoch for which `NeedsLogin` was reported; 0 stands for "no record".
    pub(super) alarmed: Option<u64>,
    /// The last warning that tokens end soon.
    pub(super) warned: Option<Warned>,
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A panic below the lock would be a bug of this crate; the state is then no worse than after a crash, which the
        // protocol survives.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a step of the protocol under the lock, and makes public what it learned.
    pub(super) fn with_replica<T>(&self, step: impl FnOnce(&mut Replica, &Context<'_>) -> T) -> T {
        let spends = |tokens: Option<&TokenSet>| self.refresher.spends(tokens);
        let ctx = Context { now: self.clock.now(), fresh: Stamp::random(), spends: &spends };
        let mut state = self.state();
        let result = step(&mut state.replica, &ctx);
        self.publish(&mut state);
        result
    }

    /// Makes the newest tokens known the ones that requests use, if they are news.
    pub(super) fn publish(&self, state: &mut State) {
        // What a new seed is about to replace is not to be used.
        let Some(known) = state.replica.known().filter(|_| !state.replica.awaits_seed()) else {
            if self.published.version().is_some() {
                self.published.set(None);
            }
            return;
        };
        let version = known.record.version;
        let expired = known.deadlines.expired;
        let Some(access) = known.record.tokens.access_token() else {
            if self.published.version().is_some() {
                self.published.set(None);
            }
            return;
        };
        if self.published.is(access, version, expired) {
            return;
        }
        match self.usable(access, &known.record.tokens, version) {
            Ok(token) => {
                state.unusable = None;
                self.published.set(Some(published::Current { token, expired }));
            }
            Err(error) => {
                state.unusable = Some(error);
                self.published.set(None);
            }
        }
    }

    pub(super) fn interrupted(&self) -> Error {
        Error::new(
            &self.key,
            ErrorKind::Interrupted,
            "the refresh was cut short: its runtime went away; ask again",
        )
    }

    pub(super) fn shut_down(&self) -> Error {
        Error::new(&self.key, ErrorKind::ShutDown, "the token manager was shut down")
    }

    pub(super) fn no_runtime(&self) -> Error {
        Error::new(
            &self.key,
            ErrorKind::Interrupted,
            "a refresh needs a tokio runtime, and there is none here; call from within one",
        )
    }

    /// This moment's place within a jitter, from 0 to 1.
    pub(super) fn dice(&self) -> f64 {
        fastrand::f64()
    }

    pub(super) fn known_version(&self) -> Option<Version> {
        self.state().replica.known().map(|known| known.record.version)
    }

    /// Whether these tokens came from a login or a seed, and not from a refresh.
    pub(super) fn is_brought(&self, version: Version) -> bool {
        self.state().replica.known().is_some_and(|known| {
            known.record.version == version && known.record.refreshed_at.is_none()
        })
    }

    /// Whether it is time for the next token, and there is a way to get it.
    pub(super) fn is_stale(&self) -> bool {
        let now = self.clock.now();
        self.state().replica.known().is_some_and(|known| {
            known.deadlines.is_stale(now)
                && !cannot_refresh(&known.record, &|tokens| self.refresher.spends(tokens))
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.wake.notify_one();
    }
}
