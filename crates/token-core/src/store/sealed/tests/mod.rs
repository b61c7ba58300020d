//! Sealed records, byte by byte; what is found in their place; and the keys.

mod damage;
mod falling;
mod found;
mod keys;
mod reseal;

use bytes::Bytes;

use super::{KeyRing, SealedStore, SealingKey};
use crate::key::{StoreKey, TokenKey};
use crate::record::Record;
use crate::store::{
    Durability, Expect, MemoryStore, Stamp, StoreError, StoreErrorKind, TokenStore, Versioned,
};
use crate::token::TokenSet;
use crate::version::Version;
use std::time::Duration;

const SECRET: &str = "canary-5ecret";

fn grant() -> StoreKey {
    tenant("acme")
}

fn tenant(name: &str) -> StoreKey {
    let key = TokenKey::new("billing-api").expect("a name");
    key.with_tenant(name).expect("a tenant").to_store_key()
}

fn key(id: &str, byte: u8) -> SealingKey {
    SealingKey::new(id, &[byte; 32]).expect("a key")
}

fn ring(id: &str, byte: u8) -> KeyRing {
    KeyRing::new(key(id, byte))
}

/// A record of tokens that nobody must see.
fn record() -> Record {
    let tokens = TokenSet::new(SECRET).with_refresh_token(SECRET);
    Record::brought(Version::new(3, 4), tokens, Duration::from_secs(1_767_225_600))
}

fn clear(record: &Record) -> Versioned {
    Versioned::new(Stamp::random(), record.encode(&grant()))
}

/// Writes what is not sealed, or sealed by somebody else.
async fn put(store: &MemoryStore, grant: &StoreKey, record: &Versioned) {
    let current = store.load(grant).await.expect("an answer");
    let expect = current.map_or(Expect::Absent, |(current, _)| Expect::Is(current.stamp()));
    let swap = store.compare_and_swap(grant, expect, record, Durability::Durable).await;
    assert!(matches!(swap, Ok(crate::store::Swap::Won { .. })), "{swap:?}");
}

async fn found(store: &impl TokenStore, grant: &StoreKey) -> Versioned {
    store.load(grant).await.expect("an answer").expect("a record").0
}

/// What a store with these keys makes of a record that stands in the store below it.
async fn load(keys: KeyRing, grant: &StoreKey, record: &Versioned) -> Result<Bytes, StoreError> {
    let memory = MemoryStore::new();
    put(&memory, grant, record).await;
    let loaded = SealedStore::new(memory, keys).load(grant).await?;
    Ok(loaded.expect("never taken for none").0.bytes().clone())
}

/// A sealed record, as the store below has it.
async fn sealed(keys: KeyRing, record: &Versioned) -> Versioned {
    let memory = MemoryStore::new();
    let store = SealedStore::new(memory.clone(), keys);
    let swap = store.compare_and_swap(&grant(), Expect::Absent, record, Durability::Durable).await;
    assert!(swap.is_ok(), "{swap:?}");
    found(&memory, &grant()).await
}

fn text(record: &Versioned) -> String {
    String::from_utf8(record.bytes().to_vec()).expect("text")
}

fn with_text(record: &Versioned, text: String) -> Versioned {
    Versioned::new(record.stamp(), Bytes::from(text))
}

fn kind<T>(result: Result<T, StoreError>) -> StoreErrorKind {
    result.map(|_| ()).expect_err("it was opened").kind()
}
