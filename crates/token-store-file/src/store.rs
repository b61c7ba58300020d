use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use token_core::store::{
    Capabilities, Cursor, Durability, Expect, Liveness, Page, Provenance, Stamp, StoreError,
    StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};
use tokio::time::Instant;

use crate::directory::Records;
use crate::failure;
use crate::platform::Directory;

/// The pauses between two looks: short at first, for those who wait for a refresh that is under way. A look takes less than
/// 0.1 ms; notification by the kernel is another on each system, loses events, and would need looks behind it.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Records as files of one directory, for the processes of one machine and one user.
///
/// Each write is a compare-and-swap under a lock of the kernel, and on the disk before it is acknowledged. See the [crate
/// docs](crate) for what is in the directory, who may use it, and what happens when something goes wrong.
///
/// Clones share everything. When the last one is dropped, attempts that were made through it count as those of a dead
/// process; a `TokenManager` keeps its store until its last exchange is over.
///
/// # Example
///
/// ```
/// use token_core::endpoint::{ClientAuth, TokenEndpoint};
/// use token_core::{TokenManager, TokenSet};
/// use token_store_file::FileStore;
/// # use bytes::Bytes;
/// # struct Http;
/// # impl token_core::endpoint::HttpEndpoint for Http {
/// #     async fn send(&self, _: http::Request<Bytes>) -> Result<http::Response<Bytes>, token_core::RefreshError> {
/// #         let answer = r#"{"access_token":"at-2","token_type":"Bearer","expires_in":3600,"refresh_token":"rt-2"}"#;
/// #         Ok(http::Response::new(Bytes::from_static(answer.as_bytes())))
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("tokens");
/// # let endpoint = || TokenEndpoint::refresh_token(Http, "https://auth.example.com/token", ClientAuth::basic("id", "secret"));
///
/// let seed = TokenSet::from_refresh_token("the first one");
/// let tokens = TokenManager::builder(endpoint()).store(FileStore::open(&path)?).seed(seed).build()?;
/// let token = tokens.token().await?;
///
/// // Another process, or this one after a restart, has the same token without a request.
/// let later = TokenManager::builder(endpoint()).store(FileStore::open(&path)?).build()?;
/// assert_eq!(later.token().await?.version(), token.version());
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
///
/// Every operation is carried out on a thread of tokio's for blocking work. A write whose future is dropped goes on to
/// its end there.
#[derive(Clone, Debug)]
pub struct FileStore {
    records: Arc<Records>,
}

/// Settings of a [`FileStore`].
#[derive(Clone, Debug)]
pub struct Builder {
    path: PathBuf,
    allow_network: bool,
}

impl FileStore {
    /// Opens the store in this directory. If there is none it is created, with those above it that are missing, all readable
    /// by this user alone.
    ///
    /// It reads the directory and may wait for the disk, so open it before the runtime is busy.
    ///
    /// # Errors
    ///
    /// The directory cannot be created or read; it belongs to another user or others may write to it; it is on a network
    /// file system.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::builder(directory).open()
    }

    /// Settings for the store in this directory.
    pub fn builder(directory: impl AsRef<Path>) -> Builder {
        Builder { path: directory.as_ref().to_owned(), allow_network: false }
    }

    /// Does what may block where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Records) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let records = Arc::clone(&self.records);
        let task = tokio::task::spawn_blocking(move || work(&records));
        task.await.unwrap_or_else(|error| {
            let (kind, what) = if error.is_cancelled() {
                // It was never begun.
                (StoreErrorKind::Refused, "the runtime is shutting down")
            } else {
                (
                    StoreErrorKind::Indeterminate,
                    "an operation of the file store panicked; please report this",
                )
            };
            Err(StoreError::new(kind, what).with_source(error))
        })
    }

    #[cfg(all(test, unix))]
    pub(crate) fn records(&self) -> &Records {
        &self.records
    }
}

impl Builder {
    /// Allows directories on network file systems, which are refused by default.
    ///
    /// Locks there are leases that a server may give to somebody else, and one that can be taken proves nothing: two
    /// machines may both win, and [`holder`](TokenStore::holder) never knows. Right only where a single machine uses the
    /// directory, such as a FUSE mount of a local disk.
    #[must_use]
    pub const fn allow_network_file_systems(mut self) -> Self {
        self.allow_network = true;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// As for [`FileStore::open`].
    pub fn open(self) -> Result<FileStore, StoreError> {
        let refused = |trouble| failure::directory(&self.path, StoreErrorKind::Refused, trouble);
        let directory = Directory::open(&self.path, self.allow_network).map_err(refused)?;
        let records = Records::new(directory).map_err(refused)?;
        Ok(FileStore { records: Arc::new(records) })
    }
}

impl TokenStore for FileStore {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.tells_dead_holder = !self.records.on_network();
        capabilities.outlives_process = true;
        capabilities
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        let key = key.clone();
        let record = self.blocking(move |records| records.load(&key)).await?;
        Ok(record.map(|record| (record, Provenance::default())))
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        durability: Durability,
    ) -> Result<Swap, StoreError> {
        let (key, new) = (key.clone(), new.clone());
        self.blocking(move |records| records.swap(&key, expect, &new, durability)).await
    }

    async fn set_aside(
        &self,
        key: &StoreKey,
        unreadable: Option<Stamp>,
        new: &Versioned,
    ) -> Result<Option<String>, StoreError> {
        let (key, new) = (key.clone(), new.clone());
        self.blocking(move |records| records.set_aside(&key, unreadable, &new)).await
    }

    /// Looks at the record after 5 ms, then at intervals that grow to a second.
    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let left = timeout.saturating_sub(start.elapsed());
            let key = key.clone();
            let look = self.blocking(move |records| records.load(&key));
            // A disk that hangs does not prolong the wait.
            let Ok(current) = tokio::time::timeout(left, look).await else { return Ok(()) };
            if current?.map(|record| record.stamp()) != since {
                return Ok(());
            }
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            // Apart from each other, many who began together.
            tokio::time::sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0).min(left)).await;
            pause = (pause * 6 / 5).min(LONGEST_PAUSE);
        }
    }

    async fn holder(&self, key: &StoreKey, attempt: Stamp) -> Liveness {
        let key = key.clone();
        let asked = self.blocking(move |records| Ok(records.holder(&key, attempt))).await;
        asked.unwrap_or(Liveness::Unknown)
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        self.blocking(move |records| records.list(after.as_ref())).await
    }
}
