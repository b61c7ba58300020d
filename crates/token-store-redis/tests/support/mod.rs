//! What the tests share.

#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

pub(crate) mod proxy;

use bytes::Bytes;
use token_core::TokenKey;
use token_core::store::{Stamp, StoreKey, Versioned};

pub(crate) use redis_servers::{Server, free_port, url};

pub(crate) mod cluster {
    pub(crate) use redis_servers::Cluster;
}

pub(crate) fn grant(name: &str) -> StoreKey {
    StoreKey::from(&TokenKey::new(name).unwrap())
}

/// A new record.
pub(crate) fn fresh() -> Versioned {
    let stamp = Stamp::random();
    Versioned::new(stamp, Bytes::from(format!("{{\"made\":\"{stamp}\"}}")))
}
