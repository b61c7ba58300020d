//! The places where records are kept. Each grant is in one of them: that of its number, in turn.

use std::sync::Arc;
use std::time::Duration;

use token_core::store::{StoreError, TokenStore};
use token_store_file::FileStore;
use token_store_redis::RedisStore;
use tokio::time::sleep;

/// In proportion to the store deadline of [`time`](crate::time).
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_secs(1);
const REPLICAS: Duration = Duration::from_millis(300);

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

/// The addresses of all places.
#[derive(Clone)]
pub(crate) struct Stores {
    addresses: Arc<[String]>,
}

impl Stores {
    pub(crate) fn new(addresses: Vec<String>) -> Self {
        Self { addresses: addresses.into() }
    }

    pub(crate) fn places(&self) -> usize {
        self.addresses.len()
    }

    pub(crate) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(crate) fn place_of(&self, grant: u32) -> usize {
        grant as usize % self.places()
    }

    /// Opens a place, as soon as that works.
    pub(crate) async fn open<S: Open>(&self, place: usize) -> S {
        loop {
            match S::open(&self.addresses[place]).await {
                Ok(store) => return store,
                // Something is being done to its servers.
                Err(_) => sleep(PAUSE).await,
            }
        }
    }
}
