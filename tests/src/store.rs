//! A store whose writes can be held back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use token_core::store::{
    Capabilities, Cursor, Durability, Expect, MemoryStore, Page, Provenance, Stamp, StoreError,
    StoreKey, Swap, TokenStore, Versioned,
};

use crate::Gate;

/// A [`MemoryStore`] whose n-th write, and every later one, waits at a gate, or its answer does.
#[derive(Clone, Debug)]
pub struct GatedStore {
    store: MemoryStore,
    gate: Gate,
    free: Arc<AtomicUsize>,
    answers: bool,
}

impl GatedStore {
    /// So many writes go straight through.
    pub fn new(store: &MemoryStore, gate: &Gate, free: usize) -> Self {
        let free = Arc::new(AtomicUsize::new(free));
        Self { store: store.clone(), gate: gate.clone(), free, answers: false }
    }

    /// So many answers go straight through; the writes all do.
    pub fn answers(store: &MemoryStore, gate: &Gate, free: usize) -> Self {
        Self { answers: true, ..Self::new(store, gate, free) }
    }
}

impl TokenStore for GatedStore {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        self.store.load(key).await
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        let left = |free: usize| free.checked_sub(1);
        let held = self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_err();
        if held && !self.answers {
            self.gate.pass().await;
        }
        let swap = self.store.compare_and_swap(key, expect, new, durability).await;
        if held && self.answers {
            self.gate.pass().await;
        }
        swap
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        self.store.changed(key, since, timeout).await
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.store.list(after).await
    }
}
