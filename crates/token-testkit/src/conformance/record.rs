//! Keys and records of the suite, and the questions that it asks everywhere.

use bytes::Bytes;
use token_core::TokenKey;
use token_core::store::{
    Durability, Expect, Stamp, StoreError, StoreKey, Swap, TokenStore, Versioned,
};

use super::Violation;

pub(super) fn key(name: &str) -> StoreKey {
    tenant_key(name, None)
}

pub(super) fn tenant_key(name: &str, tenant: Option<&str>) -> StoreKey {
    #[expect(clippy::expect_used, reason = "the suite's own names are plain and short")]
    let key = TokenKey::new(name).expect("a plain name");
    let with_tenant = tenant.and_then(|tenant| key.clone().with_tenant(tenant).ok());
    StoreKey::from(&with_tenant.unwrap_or(key))
}

/// A new record whose bytes follow from its stamp, so that whoever reads it can tell whether it is whole.
pub(super) fn fresh() -> Versioned {
    let stamp = Stamp::random();
    Versioned::new(stamp, content(stamp))
}

pub(super) fn is_whole(record: &Versioned) -> bool {
    *record.bytes() == content(record.stamp())
}

/// JSON such as the core writes, of 60 bytes to 8 KiB.
fn content(stamp: Stamp) -> Bytes {
    let [first, second, ..] = stamp.to_bytes();
    let repeat = 1 + usize::from(u16::from_be_bytes([first, second]) % 256);
    let filling = stamp.to_string().repeat(repeat);
    Bytes::from(format!("{{\n  \"format\": 1,\n  \"filling\": \"{filling}\"\n}}"))
}

pub(super) async fn swap(
    store: &impl TokenStore,
    key: &StoreKey,
    expect: Expect,
    new: &Versioned,
) -> Result<Swap, Violation> {
    store
        .compare_and_swap(key, expect, new, Durability::Durable)
        .await
        .map_err(|error| failed("compare_and_swap", key, &error))
}

/// A swap that has nobody to lose to.
pub(super) async fn win(
    store: &impl TokenStore,
    key: &StoreKey,
    expect: Expect,
    new: &Versioned,
) -> Result<(), Violation> {
    match swap(store, key, expect, new).await? {
        Swap::Won { .. } => Ok(()),
        Swap::Lost(current) => Err(Violation::new(format!(
            "a swap of {key} that expected {expect:?} lost against nobody; it was told that {current:?} is there"
        ))),
    }
}

pub(super) async fn load(
    store: &impl TokenStore,
    key: &StoreKey,
) -> Result<Option<Versioned>, Violation> {
    let loaded = store.load(key).await.map_err(|error| failed("load", key, &error))?;
    Ok(loaded.map(|(record, _)| record))
}

pub(super) fn expect(current: Option<&Versioned>) -> Expect {
    current.map_or(Expect::Absent, |record| Expect::Is(record.stamp()))
}

pub(super) fn failed(what: &str, key: &StoreKey, error: &StoreError) -> Violation {
    Violation::new(format!("{what} of {key} failed ({:?}): {error}", error.kind()))
}
