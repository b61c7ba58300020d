//! Stores that fail in a way of their own.

use crate::store::{
    Capabilities, Cursor, Durability, Expect, MemoryStore, Page, Provenance, Stamp, StoreError,
    StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A store whose faults are told apart by operation.
#[derive(Clone, Default)]
pub(super) struct Faulty {
    pub(super) memory: MemoryStore,
    pub(super) loads: Arc<AtomicUsize>,
    pub(super) swaps: Arc<AtomicUsize>,
    /// Nothing is answered.
    pub(super) down: Arc<AtomicBool>,
    /// Swaps are refused.
    pub(super) read_only: Arc<AtomicBool>,
    /// So many swaps are made and their answer is lost.
    pub(super) lost_answers: Arc<AtomicUsize>,
    /// Swaps to let through before `lost_answers` counts.
    pub(super) skip: Arc<AtomicUsize>,
    /// Loads wait here.
    pub(super) gate: Arc<std::sync::Mutex<Option<Arc<Semaphore>>>>,
    pub(super) blind: bool,
    /// Swaps are lost to the very record that they expect.
    pub(super) stubborn: Arc<AtomicBool>,
}

impl Faulty {
    fn reach(&self) -> Result<(), StoreError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::new(StoreErrorKind::Refused, "away")),
            false => Ok(()),
        }
    }
}

impl TokenStore for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }
    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        tokio::task::yield_now().await;
        self.reach()?;
        self.memory.load(key).await
    }
    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        d: Durability,
    ) -> Result<Swap, StoreError> {
        self.swaps.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.reach()?;
        if self.read_only.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Refused, "read only"));
        }
        if self.stubborn.load(Ordering::SeqCst) {
            let current = self.memory.load(key).await?;
            return Ok(Swap::Lost(current.map(|(current, _)| current)));
        }
        let done = self.memory.compare_and_swap(key, expect, new, d).await;
        let dec = |n: usize| n.checked_sub(1);
        if self.skip.fetch_update(Ordering::SeqCst, Ordering::SeqCst, dec).is_err()
            && self.lost_answers.fetch_update(Ordering::SeqCst, Ordering::SeqCst, dec).is_ok()
        {
            return Err(StoreError::new(StoreErrorKind::Indeterminate, "no answer"));
        }
        done
    }
    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        self.reach()?;
        if self.blind {
            tokio::task::yield_now().await;
            return Ok(());
        }
        self.memory.changed(key, since, timeout).await
    }
    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.memory.list(after).await
    }
}

/// A store whose reads lag behind its writes.
#[derive(Clone, Default)]
pub(super) struct Lagging {
    pub(super) memory: MemoryStore,
    pub(super) shown: Arc<std::sync::Mutex<Option<Versioned>>>,
    pub(super) loads: Arc<AtomicUsize>,
}

impl TokenStore for Lagging {
    fn capabilities(&self) -> Capabilities {
        self.memory.capabilities()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let shown = self.shown.lock().unwrap().clone();
        match shown {
            Some(shown) => Ok(Some((shown, Provenance::default()))),
            None => self.memory.load(key).await,
        }
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        d: Durability,
    ) -> Result<Swap, StoreError> {
        tokio::task::yield_now().await;
        self.memory.compare_and_swap(key, expect, new, d).await
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let shown = self.shown.lock().unwrap().clone();
        if shown.is_some_and(|shown| Some(shown.stamp()) != since) {
            tokio::task::yield_now().await;
            return Ok(());
        }
        self.memory.changed(key, since, timeout).await
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.memory.list(after).await
    }
}
