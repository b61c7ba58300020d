use std::error::Error as StdError;
use std::future::Future;
use std::sync::Arc;

use super::key::SealingKey;

/// Where the keys come from. [`KeyRing`](super::KeyRing) is one; a key service is another.
///
/// It is asked at each read and write of a record, which is some times per refresh and never per request; of a record that cannot
/// be opened about once a second, also for an id that is no key's. One that asks over a network should keep what it was told: a
/// refresh that has not begun a second after its intent is called off, and the time for a key is part of that second.
///
/// What [`primary`](Self::primary) returns, [`find`](Self::find) has to find by its id, in every process and before: otherwise
/// records are sealed that others cannot open. Once a refresh token is spent the key is needed to store its successor, so a
/// primary that was had once should be had again without asking anybody.
///
/// # Example
///
/// ```
/// use token_core::store::sealed::{KeyError, SealingKey, SealingKeys};
///
/// /// Unwraps data keys, and keeps them.
/// struct Kms {
///     unwrapped: Vec<SealingKey>,
/// }
///
/// impl SealingKeys for Kms {
///     async fn primary(&self) -> Result<SealingKey, KeyError> {
///         self.unwrapped.last().cloned().ok_or_else(|| KeyError::new("the key service has no key yet"))
///     }
///
///     async fn find(&self, id: &str) -> Result<Option<SealingKey>, KeyError> {
///         Ok(self.unwrapped.iter().find(|key| key.id() == id).cloned())
///     }
/// }
/// ```
///
/// # Cancel safety
///
/// Its futures are dropped when the manager stops waiting for the store.
pub trait SealingKeys: Send + Sync + 'static {
    /// The key that records are sealed with from now on.
    ///
    /// # Errors
    ///
    /// It cannot be had now. Nothing is written then, and the manager tries again.
    fn primary(&self) -> impl Future<Output = Result<SealingKey, KeyError>> + Send;

    /// The key of this id; `None`: there is none. The id is what stands in a record, which somebody else may have written.
    ///
    /// # Errors
    ///
    /// It cannot be had now. The record is left alone, and never taken for none.
    fn find(&self, id: &str) -> impl Future<Output = Result<Option<SealingKey>, KeyError>> + Send;
}

/// A key that cannot be had now.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct KeyError {
    message: Arc<str>,
    #[source]
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl KeyError {
    /// An error that says what happened and what to do; it must not contain key material.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: Arc::from(message.into()), source: None }
    }

    /// Adds the error below this one.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}
