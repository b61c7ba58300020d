//! The boxed twin of [`TokenStore`], so that a manager is one nameable type. The box is paid on the slow path only.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::{
    Capabilities, Durability, Expect, Liveness, Provenance, Stamp, StoreError, StoreKey, Swap,
    TokenStore, Versioned,
};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(crate) type SharedStore = Arc<dyn ErasedStore>;

pub(crate) fn erase(store: impl TokenStore) -> SharedStore {
    Arc::new(store)
}

pub(crate) trait ErasedStore: Send + Sync + 'static {
    fn capabilities(&self) -> Capabilities;

    fn load<'a>(
        &'a self,
        key: &'a StoreKey,
    ) -> BoxFuture<'a, Result<Option<(Versioned, Provenance)>, StoreError>>;

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoreKey,
        expect: Expect,
        new: &'a Versioned,
        durability: Durability,
    ) -> BoxFuture<'a, Result<Swap, StoreError>>;

    fn set_aside<'a>(
        &'a self,
        key: &'a StoreKey,
        unreadable: Option<Stamp>,
        new: &'a Versioned,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>>;

    fn changed<'a>(
        &'a self,
        key: &'a StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    fn holder<'a>(&'a self, key: &'a StoreKey, attempt: Stamp) -> BoxFuture<'a, Liveness>;
}

impl<S: TokenStore> ErasedStore for S {
    fn capabilities(&self) -> Capabilities {
        TokenStore::capabilities(self)
    }

    fn load<'a>(
        &'a self,
        key: &'a StoreKey,
    ) -> BoxFuture<'a, Result<Option<(Versioned, Provenance)>, StoreError>> {
        Box::pin(TokenStore::load(self, key))
    }

    fn compare_and_swap<'a>(
        &'a self,
        key: &'a StoreKey,
        expect: Expect,
        new: &'a Versioned,
        durability: Durability,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(TokenStore::compare_and_swap(self, key, expect, new, durability))
    }

    fn set_aside<'a>(
        &'a self,
        key: &'a StoreKey,
        unreadable: Option<Stamp>,
        new: &'a Versioned,
    ) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(TokenStore::set_aside(self, key, unreadable, new))
    }

    fn changed<'a>(
        &'a self,
        key: &'a StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(TokenStore::changed(self, key, since, timeout))
    }

    fn holder<'a>(&'a self, key: &'a StoreKey, attempt: Stamp) -> BoxFuture<'a, Liveness> {
        Box::pin(TokenStore::holder(self, key, attempt))
    }
}
