//! What the tests share.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

pub(crate) mod proxy;

use std::time::Duration;

use bytes::Bytes;
use token_core::TokenKey;
use token_core::store::{Stamp, StoreKey, Versioned};
use token_store_redis::{Builder, RedisStore};

pub(crate) use redis_servers::{Server, free_port, url};

pub(crate) mod cluster {
    pub(crate) use redis_servers::Cluster;
}

pub(crate) fn grant(name: &str) -> StoreKey {
    StoreKey::from(&TokenKey::new(name).unwrap())
}

/// A store that waits for a server on a machine that stands still for a while, as its own limits do not.
pub(crate) fn patient(url: impl AsRef<str>) -> Builder {
    let time = Duration::from_secs(60);
    RedisStore::builder(url).connect_timeout(time).answer_timeout(time)
}

/// A new record.
pub(crate) fn fresh() -> Versioned {
    let stamp = Stamp::random();
    Versioned::new(stamp, Bytes::from(format!("{{\"made\":\"{stamp}\"}}")))
}
