//! Records sealed at rest, in any store. Feature `sealing`.
//!
//! [`SealedStore`] stands between a manager and a store: what it writes is encrypted with XChaCha20-Poly1305, and bound to
//! the grant, with its tenant, to the version and to the write. Whoever reads the store, its disk or its backups has no
//! tokens, and whoever writes to it cannot make any.
//!
//! # Example
//!
//! ```
//! use token_core::store::MemoryStore;
//! use token_core::store::sealed::{KeyRing, SealedStore};
//! use token_core::{TokenManager, TokenSet};
//! # use token_core::{RefreshError, Refresher, Spends};
//! # struct Endpoint;
//! # impl Refresher for Endpoint {
//! #     async fn refresh(&self, _: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
//! #         Ok(TokenSet::new("at-2").with_refresh_token("rt-2"))
//! #     }
//! #     fn spends(&self, _: Option<&TokenSet>) -> Spends {
//! #         Spends::RefreshToken
//! #     }
//! # }
//! # fn write(path: &std::path::Path) -> std::io::Result<()> {
//! #     let mut options = std::fs::OpenOptions::new();
//! #     options.write(true).create_new(true);
//! #     #[cfg(unix)]
//! #     std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
//! #     let text = b"2026-11:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
//! #     std::io::Write::write_all(&mut options.open(path)?, text)
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("keys");
//! # write(&path)?;
//!
//! let keys = KeyRing::from_file(&path)?; // one line: 2026-11:… with 32 bytes of `openssl rand -base64 32`
//! let store = SealedStore::new(MemoryStore::new(), keys);
//! let seed = TokenSet::from_refresh_token("the first one");
//! let tokens = TokenManager::builder(Endpoint).store(store).seed(seed).build()?;
//! tokens.token().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Keys
//!
//! A [`KeyRing`] has one primary, which seals, and any number of readers, which only open; it comes from
//! [the environment](KeyRing::from_env), [a file](KeyRing::from_file) or the program. [`SealingKeys`] is the trait for keys
//! that a service has. Every process that shares the store needs the keys, and stores that hold grants of the same names,
//! such as those of a test system, need keys of their own: a record of one fits the other.
//!
//! To replace a key:
//!
//! 1. Give every process the new key as a reader.
//! 2. Then make it every process's primary, with the old one as a reader. Each refresh seals with it.
//! 3. Have a process call [`SealedStore::reseal_all`], which does that for the grants that nobody refreshes, until its report
//!    [is complete](Resealed::is_complete). A grant whose refresh was given up half way is [left alone](Reseal::LeftAlone) until
//!    somebody refreshes it or logs it out through a manager: without that, the report is never complete.
//! 4. Take the old key away, once the store cannot fall back, nor a backup be put back, to a time before. What a login has set
//!    aside is not sealed anew.
//!
//! # What cannot be opened is an error
//!
//! It is never "no token": a seed in its place would be a refresh token that was used before.
//!
//! | what is there | kind | a login |
//! |---|---|---|
//! | sealed with a key that this process does not have, or that has another key's id here | [`Sealed`] | changes nothing: others can open it |
//! | sealed in a newer format | [`Sealed`] | changes nothing |
//! | sealed, and the keys cannot be asked now | [`Refused`] | changes nothing |
//! | changed, or another grant's, or of another write | [`Corrupt`]; where the change looks like another key or format, [`Sealed`] | sets it aside, or changes nothing |
//! | in the clear | [`Insecure`] | changes nothing |
//!
//! A process that has read the record before it was changed writes over it with its next refresh, which needs nothing of what is
//! there now. A manager without a `SealedStore` that meets a sealed record has an error of the kind [`Sealed`], and changes nothing.
//!
//! # A store that has records already
//!
//! They are refused, unless [`reading_clear_records`](SealedStore::reading_clear_records) says otherwise. Processes without a
//! `SealedStore` cannot go on beside those that have one: stop them first, or let them serve the tokens they have while
//! the others are replaced, within the life of one token. There is no way back but a login. What a login has set aside, the
//! store's own log and its backups keep the tokens in the clear.
//!
//! # What it does not protect
//!
//! - An *old* record of the same grant, put back whole with its stamp, opens: it is what was written then. A process that
//!   knows a newer one repairs that. With none alive, the old refresh token is presented, which costs the login, or a logout is
//!   undone; that tells nobody a token. Nor is a record protected from being removed, after which a seed is presented as the first time.
//! - The grants' names with their tenants, the versions, the keys' ids, the sizes and the times of writes can be seen.
//! - The keys and the tokens are in the memory of every process. Whoever reads that has both.
//!
//! [`Sealed`]: StoreErrorKind::Sealed
//! [`Refused`]: StoreErrorKind::Refused
//! [`Corrupt`]: StoreErrorKind::Corrupt
//! [`Insecure`]: StoreErrorKind::Insecure

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::envelope::{Envelope, Nonce, NotSealed};
use super::{
    Capabilities, Cursor, Durability, Expect, Liveness, Page, Provenance, Stamp, StoreError,
    StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};

mod envelope;
mod failure;
mod key;
mod key_file;
mod key_ring;
mod keys;
mod reseal;
#[cfg(test)]
mod tests;

pub use self::key::SealingKey;
pub use self::key_ring::KeyRing;
pub use self::keys::{KeyError, SealingKeys};
pub use self::reseal::{Reseal, Resealed};

/// A store whose records are sealed. See the [module docs](self).
///
/// It keeps what the store below promises, and adds nothing to wait for but the keys. Clones share the keys.
///
/// # Cancel safety
///
/// That of the store below: a record is sealed before it is written and opened after it was read.
pub struct SealedStore<S, K = KeyRing> {
    store: S,
    keys: Arc<K>,
    reads_clear: bool,
}

impl<S: TokenStore, K: SealingKeys> SealedStore<S, K> {
    /// Seals what goes into this store with these keys.
    pub fn new(store: S, keys: K) -> Self {
        Self { store, keys: Arc::new(keys), reads_clear: false }
    }

    /// Takes over records that are in the clear, as a store has them that was used without sealing. The next write of each
    /// seals it; [`reseal_all`](Self::reseal_all) does it for all.
    ///
    /// For that time only. As long as it is set, whoever can write to the store can put a record of their own making in the
    /// place of a sealed one, with any tokens: the service's requests then go out under another's account, and a refresh token
    /// of theirs goes to the token endpoint with the client's credentials. What they cannot do is read one.
    #[must_use]
    pub fn reading_clear_records(mut self) -> Self {
        self.reads_clear = true;
        self
    }

    async fn primary(&self, grant: &StoreKey) -> Result<SealingKey, StoreError> {
        self.keys.primary().await.map_err(|error| failure::keys(grant, error))
    }

    async fn seal(&self, grant: &StoreKey, record: &Versioned) -> Result<Versioned, StoreError> {
        let key = self.primary(grant).await?;
        seal(&key, grant, record)
    }

    async fn open(&self, grant: &StoreKey, found: &Versioned) -> Result<Versioned, StoreError> {
        let envelope = match Envelope::decode(found.bytes()) {
            Ok(envelope) => envelope,
            Err(NotSealed::Clear) if self.reads_clear => return Ok(found.clone()),
            Err(why) => return Err(failure::not_sealed(grant, &why)),
        };
        let id = &envelope.key_id;
        let key = self.keys.find(id).await.map_err(|error| failure::keys(grant, error))?;
        let key = key.ok_or_else(|| failure::no_key(grant, id))?;
        if key.check() != envelope.key_check {
            return Err(failure::other_key(grant, id));
        }
        let opened = envelope.open(&key, grant, found.stamp());
        Ok(Versioned::new(found.stamp(), opened.ok_or_else(|| failure::damaged(grant))?))
    }
}

impl<S: Clone, K> Clone for SealedStore<S, K> {
    fn clone(&self) -> Self {
        let Self { store, keys, reads_clear } = self;
        Self { store: store.clone(), keys: Arc::clone(keys), reads_clear: *reads_clear }
    }
}

impl<S: fmt::Debug, K> fmt::Debug for SealedStore<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedStore").field("store", &self.store).finish_non_exhaustive()
    }
}

fn seal(key: &SealingKey, grant: &StoreKey, record: &Versioned) -> Result<Versioned, StoreError> {
    let mut nonce = Nonce::default();
    getrandom::fill(&mut nonce).map_err(|error| {
        failure::not_made(grant, &format!("the operating system gave no random bytes: {error}"))
    })?;
    let envelope = Envelope::seal(key, nonce, grant, record.stamp(), record.bytes())
        .ok_or_else(|| failure::not_made(grant, "it is too large"))?;
    Ok(Versioned::new(record.stamp(), envelope.encode()))
}

impl<S: TokenStore, K: SealingKeys> TokenStore for SealedStore<S, K> {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    /// # Errors
    ///
    /// Also if the record cannot be opened: see the [module docs](self).
    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        match self.store.load(key).await? {
            None => Ok(None),
            Some((found, provenance)) => Ok(Some((self.open(key, &found).await?, provenance))),
        }
    }

    /// # Errors
    ///
    /// Also if the primary key cannot be had, or if the swap was lost to a record that cannot be opened. Nothing was
    /// written then.
    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        let sealed = self.seal(key, new).await?;
        match self.store.compare_and_swap(key, expect, &sealed, durability).await? {
            Swap::Lost(Some(current)) => Ok(Swap::Lost(Some(self.open(key, &current).await?))),
            swap => Ok(swap),
        }
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        self.store.changed(key, since, timeout).await
    }

    /// Sets aside what the store below cannot read, and what was damaged under its seal. Never what others can open.
    async fn set_aside(
        &self,
        key: &StoreKey,
        unreadable: Option<Stamp>,
        new: &Versioned,
    ) -> Result<Option<String>, StoreError> {
        let unreadable = match unreadable {
            // It was opened, and means nothing to the caller.
            Some(stamp) => Some(stamp),
            None => self.damaged(key).await?,
        };
        let sealed = self.seal(key, new).await?;
        self.store.set_aside(key, unreadable, &sealed).await
    }

    async fn holder(&self, key: &StoreKey, attempt: Stamp) -> Liveness {
        self.store.holder(key, attempt).await
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.store.list(after).await
    }
}

impl<S: TokenStore, K: SealingKeys> SealedStore<S, K> {
    /// The stamp of a record that the store below can read and that is damaged under its seal. `None` where it is for the
    /// store below to say what there is.
    async fn damaged(&self, key: &StoreKey) -> Result<Option<Stamp>, StoreError> {
        let found = match self.store.load(key).await {
            Ok(Some((found, _))) => found,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => return Ok(None),
            Err(error) => return Err(error),
        };
        match self.open(key, &found).await {
            Ok(_) => Ok(None),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(Some(found.stamp())),
            Err(error) => Err(error),
        }
    }
}
