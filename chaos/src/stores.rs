//! The places where records are kept, each of them sealed. Each grant is in one of them: that of its number, in turn.

use std::sync::Arc;
use std::time::Duration;

use token_core::ConfigError;
use token_core::store::sealed::{KeyRing, SealedStore, SealingKey};
use token_core::store::{StoreError, TokenStore};
use token_store_file::FileStore;
use token_store_redis::RedisStore;
use tokio::time::sleep;

/// In proportion to the store deadline of [`time`](crate::time).
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(1);
const REPLICAS: Duration = Duration::from_millis(300);

/// Nobody's secret: all processes of a run have it.
const SEALING_KEY: &[u8; 32] = b"the sealing key of the chaos run";

const PAUSE: Duration = Duration::from_millis(50);

/// A kind of store.
pub(crate) trait Open: TokenStore + Clone {
    /// Opens the one of this address.
    fn open(address: &str) -> impl Future<Output = Result<Self, StoreError>> + Send;
}

impl Open for FileStore {
    async fn open(address: &str) -> Result<Self, StoreError> {
        Self::open(address)
    }
}

impl Open for RedisStore {
    async fn open(address: &str) -> Result<Self, StoreError> {
        let builder = Self::builder(address).connect_timeout(CONNECT).answer_timeout(ANSWER);
        builder.replica_timeout(REPLICAS).open().await
    }
}

/// The place of a grant, of so many.
pub(crate) const fn place_of(grant: u32, places: u32) -> u32 {
    // Without servers there is one.
    if places == 0 { 0 } else { grant % places }
}

/// The addresses of all places.
#[derive(Clone)]
pub(crate) struct Stores {
    addresses: Arc<[String]>,
    keys: KeyRing,
}

impl Stores {
    pub(crate) fn new(addresses: Vec<String>) -> Result<Self, ConfigError> {
        let keys = KeyRing::new(SealingKey::new("chaos", SEALING_KEY)?);
        Ok(Self { addresses: addresses.into(), keys })
    }

    pub(crate) fn places(&self) -> u32 {
        u32::try_from(self.addresses.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Opens a place, as soon as that works.
    pub(crate) async fn open<S: Open>(&self, place: u32) -> SealedStore<S> {
        loop {
            match S::open(&self.addresses[place as usize]).await {
                Ok(store) => return SealedStore::new(store, self.keys.clone()),
                // Something is being done to its servers.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grants_are_in_the_places_in_turn() {
        assert_eq!([0, 1, 2, 3, 4].map(|grant| place_of(grant, 3)), [0, 1, 2, 0, 1]);
        assert_eq!(place_of(7, 0), 0, "files are one place");
    }
}
