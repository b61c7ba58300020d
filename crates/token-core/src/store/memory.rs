use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    Capabilities, Cursor, Durability, Expect, Page, Provenance, Stamp, StoreError, StoreKey, Swap,
    TokenStore, Versioned,
};

const PAGE: usize = 256;

/// Records in this process's memory: the reference for every other store. Clones share the records.
///
/// Managers that share one coordinate as processes do over a shared store. Nothing survives the process: after a
/// restart the seed is presented again, so with a server that rotates, use it for tests and for tokens that a login can
/// replace.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<BTreeMap<StoreKey, Versioned>>,
    written: Notify,
}

impl MemoryStore {
    /// A store without records.
    pub fn new() -> Self {
        Self::default()
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<StoreKey, Versioned>> {
        // The map is whole whenever the lock is free: nothing in between can panic.
        self.shared.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same records in a store of their own, for explorers that go on from one state in several ways.
    #[cfg(test)]
    pub(crate) fn fork(&self) -> Self {
        let records = Mutex::new(self.records().clone());
        Self { shared: Arc::new(Shared { records, written: Notify::new() }) }
    }
}

impl TokenStore for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        Ok(self.records().get(key).map(|record| (record.clone(), Provenance::default())))
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        _durability: Durability,
    ) -> Result<Swap, StoreError> {
        {
            let mut records = self.records();
            let current = records.get(key);
            let met = match expect {
                Expect::Absent => current.is_none(),
                Expect::Is(stamp) => current.is_some_and(|record| record.stamp() == stamp),
            };
            if !met {
                return Ok(Swap::Lost(current.cloned()));
            }
            records.insert(key.clone(), new.clone());
        }
        self.shared.written.notify_waiters();
        Ok(Swap::Won { durable: true, replaced: Provenance::default() })
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let change = async {
            loop {
                // Registered before the look, or a write in between would be missed.
                let mut written = std::pin::pin!(self.shared.written.notified());
                written.as_mut().enable();
                if self.records().get(key).map(Versioned::stamp) != since {
                    return;
                }
                written.await;
            }
        };
        // A timeout is an ordinary end: the caller loads either way.
        let _ = tokio::time::timeout(timeout, change).await;
        Ok(())
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        let records = self.records();
        let keys: Vec<StoreKey> = match &after {
            None => records.keys().take(PAGE).cloned().collect(),
            Some(cursor) => records
                .range::<str, _>((Bound::Excluded(cursor.as_str()), Bound::Unbounded))
                .take(PAGE)
                .map(|(key, _)| key.clone())
                .collect(),
        };
        let next = (keys.len() == PAGE)
            .then(|| keys.last().map(|key| Cursor::new(key.as_str())))
            .flatten();
        Ok(Page::new(keys, next))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::key::TokenKey;

    fn key(name: &str) -> StoreKey {
        TokenKey::new(name).unwrap().to_store_key()
    }

    fn write(text: &'static str) -> Versioned {
        Versioned::new(Stamp::random(), Bytes::from_static(text.as_bytes()))
    }

    #[tokio::test]
    async fn changed_does_not_miss_a_write_between_load_and_watch() {
        let store = MemoryStore::new();
        let first = write("1");
        store
            .compare_and_swap(&key("k"), Expect::Absent, &first, Durability::Durable)
            .await
            .unwrap();
        store.changed(&key("k"), None, Duration::from_secs(3600)).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn changed_ends_at_its_timeout() {
        let store = MemoryStore::new();
        let start = tokio::time::Instant::now();
        store.changed(&key("k"), None, Duration::from_secs(5)).await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn list_names_every_key_once_over_several_pages() {
        let store = MemoryStore::new();
        for n in 0..(PAGE * 2 + 1) {
            let key = key(&format!("k{n:04}"));
            store
                .compare_and_swap(&key, Expect::Absent, &write("x"), Durability::Visible)
                .await
                .unwrap();
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(after).await.unwrap();
            seen.extend(page.keys().to_vec());
            after = page.next().cloned();
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), PAGE * 2 + 1);
        assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
