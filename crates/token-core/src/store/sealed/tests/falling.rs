//! A store below that is not as reliable as a memory.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::store::{Capabilities, Cursor, Liveness, Page, Provenance, Swap};

/// A store that falls back between the load and the write, and one that does not say that a write lasts.
#[derive(Clone)]
pub(super) struct Falling {
    pub(super) memory: MemoryStore,
    /// What the next loads and the next writes say, the last for ever.
    pub(super) loads: Provenance,
    pub(super) swaps: Arc<Mutex<Vec<(bool, Provenance)>>>,
    /// The next write is made, and its answer is lost.
    pub(super) loses_answer: Arc<AtomicBool>,
}

impl TokenStore for Falling {
    fn capabilities(&self) -> Capabilities {
        Capabilities { may_regress: true, ..Capabilities::default() }
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        let found = self.memory.load(key).await?;
        Ok(found.map(|(found, _)| (found, self.loads.clone())))
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        let swap = self.memory.compare_and_swap(key, expect, new, durability).await?;
        if self.loses_answer.swap(false, Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Indeterminate, "no answer"));
        }
        let mut swaps = self.swaps.lock().expect("no panic");
        let (durable, replaced) = swaps.pop().unwrap_or((true, Provenance::default()));
        Ok(match swap {
            Swap::Won { .. } => Swap::Won { durable, replaced },
            lost => lost,
        })
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        self.memory.changed(key, since, timeout).await
    }

    /// As if it could tell.
    async fn holder(&self, _: &StoreKey, _: Stamp) -> Liveness {
        Liveness::Dead
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.memory.list(after).await
    }
}

pub(super) fn broken() -> Provenance {
    Provenance::new(Arc::from("before"), Arc::from("after"))
}
