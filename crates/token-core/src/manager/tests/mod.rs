//! The manager over a refresher and a store that tests hold by the hand.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::{Clock, ManualClock};
use crate::manager::{TokenManager, TokenManagerBuilder};
use crate::refresher::{RefreshError, Refresher, Spends};
use crate::store::{
    Capabilities, Cursor, Durability, Expect, Liveness, MemoryStore, Page, Provenance, Stamp,
    StoreError, StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};
use crate::token::TokenSet;

mod after_login;
mod by_hand;
mod every_order;
mod faulty;
mod lifetimes;
pub(crate) mod or_login;
mod regressions;
pub(crate) mod rules;
mod sharing;
mod stood_still;
mod store_outage;
mod store_regressions;
mod tiers;
pub(crate) mod turns;

/// Runs a test on one thread, so that a guard switched off there is off for all of it.
pub(super) fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
}

/// Lets every task on this thread go on until all of them wait.
pub(super) async fn settle() {
    for _ in 0..16 {
        tokio::task::yield_now().await;
    }
}

/// A rotating server in a few lines: refresh token `n` is answered with access token and refresh token `n + 1`, unless a
/// failure was scripted. Each answer may have to wait for a permit.
#[derive(Clone)]
pub(super) struct Script {
    shared: Arc<Shared>,
}

struct Shared {
    spends: Spends,
    calls: AtomicUsize,
    presented: Mutex<Vec<String>>,
    failures: Mutex<VecDeque<RefreshError>>,
    lifetime: Mutex<Option<Duration>>,
    panics: AtomicUsize,
    gate: Option<Arc<Semaphore>>,
}

impl Script {
    pub(super) fn new(spends: Spends) -> Self {
        Self::with_gate(spends, None)
    }

    /// Answers only as often as the gate has permits.
    pub(super) fn with_gate(spends: Spends, gate: Option<Arc<Semaphore>>) -> Self {
        let shared = Shared {
            spends,
            calls: AtomicUsize::new(0),
            presented: Mutex::default(),
            failures: Mutex::default(),
            lifetime: Mutex::new(Some(Duration::from_secs(3600))),
            panics: AtomicUsize::new(0),
            gate,
        };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn calls(&self) -> usize {
        self.shared.calls.load(Ordering::SeqCst)
    }

    pub(super) fn presented(&self) -> Vec<String> {
        self.shared.presented.lock().unwrap().clone()
    }

    pub(super) fn fail(&self, failures: impl IntoIterator<Item = RefreshError>) {
        self.shared.failures.lock().unwrap().extend(failures);
    }

    pub(super) fn panic_next(&self) {
        self.shared.panics.store(1, Ordering::SeqCst);
    }

    pub(super) fn set_lifetime(&self, lifetime: Option<Duration>) {
        *self.shared.lifetime.lock().unwrap() = lifetime;
    }
}

impl Refresher for Script {
    async fn refresh(&self, current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let shared = &self.shared;
        let call = shared.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let presented =
            current.and_then(TokenSet::refresh_token).map_or("", |token| token.expose_secret());
        shared.presented.lock().unwrap().push(presented.to_owned());
        if let Some(gate) = &shared.gate {
            gate.acquire().await.unwrap().forget();
        }
        if shared.panics.swap(0, Ordering::SeqCst) == 1 {
            panic!("scripted");
        }
        if let Some(failure) = shared.failures.lock().unwrap().pop_front() {
            return Err(failure);
        }
        let mut tokens =
            TokenSet::new(format!("at-{call}")).with_refresh_token(format!("rt-{call}"));
        if let Some(lifetime) = *shared.lifetime.lock().unwrap() {
            tokens = tokens.with_expires_in(lifetime);
        }
        Ok(tokens)
    }

    fn spends(&self, _: Option<&TokenSet>) -> Spends {
        self.shared.spends
    }
}

/// A manager over a script, on a clock that stands still, with a seed.
pub(super) fn builder(script: &Script, clock: &ManualClock) -> TokenManagerBuilder {
    TokenManager::builder(script.clone())
        .clock(clock.clone())
        .seed(TokenSet::from_refresh_token("rt-0"))
}

/// A store that does each operation only when there is a permit, and fails as often as told.
#[derive(Clone, Default)]
pub(super) struct TestStore {
    pub(super) memory: MemoryStore,
    pub(super) gate: Option<Arc<Semaphore>>,
    pub(super) failing: Arc<AtomicUsize>,
    /// The clock of its timeouts; the machine's if there is none.
    pub(super) clock: Option<ManualClock>,
    /// What it says of the holders of attempts; nothing, until somebody tells it.
    liveness: Arc<Mutex<Option<Liveness>>>,
    pub(super) late: Arc<Mutex<Option<Late>>>,
}

/// A write that is carried out only after its caller has given up waiting.
#[derive(Clone)]
pub(super) enum Late {
    /// The next write is the one.
    Armed,
    Held(Expect, Versioned),
    /// It was carried out, and somebody wrote this after it.
    Passed(Stamp),
}

impl TestStore {
    pub(super) fn set_liveness(&self, liveness: Liveness) {
        *self.liveness.lock().unwrap() = Some(liveness);
    }

    async fn pass(&self) -> Result<(), StoreError> {
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        let fail = |left: usize| left.checked_sub(1);
        match self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fail) {
            Ok(_) => Err(StoreError::new(StoreErrorKind::Refused, "scripted")),
            Err(_) => Ok(()),
        }
    }
}

impl TokenStore for TestStore {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.memory.capabilities();
        capabilities.tells_dead_holder = true;
        capabilities
    }

    async fn holder(&self, _: &StoreKey, _: Stamp) -> Liveness {
        self.liveness.lock().unwrap().unwrap_or(Liveness::Unknown)
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        self.pass().await?;
        self.memory.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        self.pass().await?;
        let late = self.late.lock().unwrap().clone();
        match late {
            Some(Late::Armed) => {
                *self.late.lock().unwrap() = Some(Late::Held(expect, new.clone()));
                return Err(StoreError::new(StoreErrorKind::Indeterminate, "scripted"));
            }
            Some(Late::Held(held, late)) => {
                self.memory.compare_and_swap(key, held, &late, durability).await?;
                let next = Versioned::new(Stamp::random(), late.bytes().clone());
                let expect = Expect::Is(late.stamp());
                self.memory.compare_and_swap(key, expect, &next, durability).await?;
                *self.late.lock().unwrap() = Some(Late::Passed(next.stamp()));
            }
            Some(Late::Passed(_)) | None => {}
        }
        self.memory.compare_and_swap(key, expect, new, durability).await
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let Some(clock) = &self.clock else {
            return self.memory.changed(key, since, timeout).await;
        };
        let change = self.memory.changed(key, since, Duration::from_secs(3600));
        crate::manager::first(change, clock.sleep(timeout)).await.unwrap_or(Ok(()))
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.memory.list(after).await
    }
}
