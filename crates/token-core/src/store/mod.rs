//! Where records live: a versioned register with compare-and-swap.
//!
//! A store knows nothing of tokens or of the refresh protocol. It keeps opaque bytes under a random [`Stamp`] per write
//! and swaps them if the stamp is the expected one; everything that decides stands above it, once for all stores.
//!
//! # Example: two writers, one wins
//!
//! ```
//! use bytes::Bytes;
//! use token_core::TokenKey;
//! use token_core::store::{Durability, Expect, MemoryStore, Stamp, StoreKey, Swap, TokenStore, Versioned};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = MemoryStore::new();
//! let key = StoreKey::from(&TokenKey::new("billing-api")?);
//! let first = Versioned::new(Stamp::random(), Bytes::from_static(b"first"));
//! let second = Versioned::new(Stamp::random(), Bytes::from_static(b"second"));
//!
//! let swap = store.compare_and_swap(&key, Expect::Absent, &first, Durability::Durable).await?;
//! assert!(matches!(swap, Swap::Won { .. }));
//! let swap = store.compare_and_swap(&key, Expect::Absent, &second, Durability::Durable).await?;
//! assert!(matches!(swap, Swap::Lost(Some(current)) if current.stamp() == first.stamp()));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

mod erased;
mod memory;
#[cfg(feature = "sealing")]
pub mod sealed;

pub(crate) use self::erased::{SharedStore, erase};
pub use self::memory::MemoryStore;
pub use crate::key::StoreKey;

/// A versioned register with compare-and-swap, one for each grant.
///
/// `token-testkit` has a suite that holds a store of yours against all that is said here, with its feature `conformance`.
///
/// # Cancel safety
///
/// Dropping any of its futures at any await must leave the old or the new state, never a mixture.
pub trait TokenStore: Send + Sync + 'static {
    /// What this store can promise.
    fn capabilities(&self) -> Capabilities;

    /// Reads the current record; `None` is an answer, not a failure: there is no record.
    ///
    /// # Errors
    ///
    /// The store could not answer, or what it holds is not to be trusted. Never returned for "no record".
    fn load(
        &self,
        key: &StoreKey,
    ) -> impl Future<Output = Result<Option<(Versioned, Provenance)>, StoreError>> + Send;

    /// Writes `new` if the current record is the expected one. To lose is an answer, not a failure.
    ///
    /// # Errors
    ///
    /// [`Refused`](StoreErrorKind::Refused) means that nothing was written; after
    /// [`Indeterminate`](StoreErrorKind::Indeterminate) the caller reads the record and looks for its own stamp.
    fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> impl Future<Output = Result<Swap, StoreError>> + Send;

    /// Ends when the record's stamp may be another than `since` (`None`: no record), and at the latest after `timeout`.
    ///
    /// A hint, never truth: it may end early, and the caller loads. It must not miss a write that happened between the
    /// caller's load and this call.
    ///
    /// # Errors
    ///
    /// The store cannot watch now; the caller polls.
    fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Writes `new` over a record that cannot be read, keeps what was there under another name, and returns that name for
    /// people. `None`: what is there now can be read, or is another record, or none; nothing was done.
    ///
    /// Only a login does this: it needs nothing of what was there. `unreadable` is the stamp of a record whose bytes mean
    /// nothing to the caller; without one it is a record that the store itself cannot read
    /// ([`Corrupt`](StoreErrorKind::Corrupt)). It is one step, as a swap is: nobody finds "no record" in between. What a newer
    /// version of the store wrote is an error as before. By default a store cannot do it.
    ///
    /// # Errors
    ///
    /// As for [`compare_and_swap`](Self::compare_and_swap).
    fn set_aside(
        &self,
        key: &StoreKey,
        unreadable: Option<Stamp>,
        new: &Versioned,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + Send {
        let _ = (key, unreadable, new);
        async {
            let what =
                "this store sets nothing aside: move the record away by hand, and log in again";
            Err(StoreError::new(StoreErrorKind::Refused, what))
        }
    }

    /// Whether the process that made this attempt is still there. Only a store that knows answers
    /// [`Dead`](Liveness::Dead).
    fn holder(&self, key: &StoreKey, attempt: Stamp) -> impl Future<Output = Liveness> + Send {
        let _ = (key, attempt);
        async { Liveness::Unknown }
    }

    /// One page of the keys that have a record, in an order of the store's own, after the cursor of the page before.
    ///
    /// # Errors
    ///
    /// The store could not answer.
    fn list(&self, after: Option<Cursor>) -> impl Future<Output = Result<Page, StoreError>> + Send;
}

/// 16 random bytes that name one write. A write whose answer was lost is resolved by them: a current record with my
/// stamp says that I won.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp([u8; 16]);

impl Stamp {
    /// A new stamp from the operating system's random source.
    ///
    /// # Panics
    ///
    /// The operating system has no randomness to give, which no program can go on without.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        #[expect(
            clippy::expect_used,
            reason = "a stamp that is not random could take another's write for its own"
        )]
        getrandom::fill(&mut bytes).expect("the operating system's random source works");
        Self(bytes)
    }

    /// A stamp that a store kept.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The stamp's bytes.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stamp({self})")
    }
}

impl FromStr for Stamp {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes()))
    }
}

/// A record as a store sees it: bytes that only the core understands, and the stamp of the write that put them there.
#[derive(Clone, PartialEq, Eq)]
pub struct Versioned {
    stamp: Stamp,
    bytes: Bytes,
}

impl Versioned {
    /// Puts a stamp on bytes.
    pub const fn new(stamp: Stamp, bytes: Bytes) -> Self {
        Self { stamp, bytes }
    }

    /// The stamp of the write.
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The record's bytes; they hold secrets.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Versioned")
            .field("stamp", &self.stamp)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// What must be there for a swap to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a store must handle every case")]
pub enum Expect {
    /// No record.
    Absent,
    /// The record of this write.
    Is(Stamp),
}

/// How a swap ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a swap is won or lost")]
pub enum Swap {
    /// The new record is in.
    Won {
        /// Whether it has the durability that was asked for.
        durable: bool,
        /// Where the record that it replaced came from: a store that fell back between the caller's load and this swap
        /// is noticed by that. The default for stores that do not fall back.
        replaced: Provenance,
    },
    /// Another record, or none, was there: this one. Nothing was written.
    Lost(Option<Versioned>),
}

/// How lasting a write has to be before the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Seen by every reader.
    Visible,
    /// As lasting as this store can make it: on disk, on a replica.
    Durable,
}

/// What a store can promise. The default promises nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// It may fall back to an earlier state by itself, as after a failover to a replica.
    pub may_regress: bool,
    /// [`holder`](TokenStore::holder) can answer [`Liveness::Dead`].
    pub tells_dead_holder: bool,
    /// Processes on several hosts can share it.
    pub crosses_hosts: bool,
    /// Records outlive the process that wrote them.
    pub outlives_process: bool,
}

/// Where a record that was read comes from, for stores that may regress: the history under which it was written, and
/// the one that the store has now. They differ after a failover.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Provenance {
    /// The store's history when the record was written.
    pub written_in: Option<Arc<str>>,
    /// The store's history now.
    pub read_in: Option<Arc<str>>,
}

impl Provenance {
    /// A record that was written under one history and is read under another, or the same.
    pub const fn new(written_in: Arc<str>, read_in: Arc<str>) -> Self {
        Self { written_in: Some(written_in), read_in: Some(read_in) }
    }

    /// Whether the store has another history now than when the record was written: newer writes may be gone.
    pub fn is_broken(&self) -> bool {
        self.written_in.is_some() && self.written_in != self.read_in
    }
}

/// Whether the process behind an attempt is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Liveness {
    /// It is.
    Alive,
    /// It is gone, and the store is sure of it.
    Dead,
    /// The store cannot tell.
    Unknown,
}

/// Where a listing goes on. Opaque; only the store that made it understands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Makes a cursor of the store's own text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The store's own text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    keys: Vec<StoreKey>,
    next: Option<Cursor>,
}

impl Page {
    /// A page of these keys; `next` is `None` on the last one.
    pub const fn new(keys: Vec<StoreKey>, next: Option<Cursor>) -> Self {
        Self { keys, next }
    }

    /// The page's keys.
    pub fn keys(&self) -> &[StoreKey] {
        &self.keys
    }

    /// Where the next page begins; `None` on the last one.
    pub const fn next(&self) -> Option<&Cursor> {
        self.next.as_ref()
    }
}

/// A store that could not answer, or holds what is not to be trusted.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    message: Arc<str>,
    #[source]
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What a failed store operation means for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Nothing was written.
    Refused,
    /// The write may have happened, or may still happen.
    Indeterminate,
    /// What is stored cannot be read as a record.
    Corrupt,
    /// The record could be read or written by somebody else.
    Insecure,
    /// The record is sealed, and this process has not the key, or does not look for seals: others can open it. Nothing was
    /// written.
    Sealed,
}

impl StoreError {
    /// An error that says what happened and what to do; it must not contain what is stored.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: Arc::from(message.into()), source: None }
    }

    /// Adds the error below this one.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What it means for the record.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}
