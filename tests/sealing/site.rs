//! A directory of sealed records, a server, and managers that use both.

use std::fs;
use std::path::PathBuf;

use integration_tests::Kit;
use tempfile::TempDir;
use token_core::store::sealed::{KeyRing, SealedStore, SealingKey};
use token_core::store::{StoreErrorKind, TokenStore};
use token_core::{Error, ErrorKind, TokenKey, TokenManager, TokenManagerBuilder};
use token_store_file::FileStore;

pub(crate) struct Site {
    pub(crate) kit: Kit,
    directory: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self { kit: Kit::start(), directory: tempfile::tempdir().unwrap() }
    }

    /// The store without seals.
    pub(crate) fn files(&self) -> FileStore {
        FileStore::open(self.directory.path().join("tokens")).unwrap()
    }

    pub(crate) fn sealed(&self, keys: KeyRing) -> SealedStore<FileStore> {
        SealedStore::new(self.files(), keys)
    }

    /// A manager of this tenant's grant, with the seed that all have. It does nothing by itself.
    pub(crate) fn manager(&self, tenant: &str, store: impl TokenStore) -> TokenManager {
        self.builder(tenant, store).one_shot().build().unwrap()
    }

    pub(crate) fn builder(&self, tenant: &str, store: impl TokenStore) -> TokenManagerBuilder {
        let key = TokenKey::new("billing-api").unwrap().with_tenant(tenant).unwrap();
        self.kit.manager().key(key).store(store)
    }

    /// The one file that holds this tenant's record.
    pub(crate) fn record(&self, tenant: &str) -> PathBuf {
        let key = format!("\"key\": \"billing-api/tenant={tenant}\"");
        let mut records = self.paths(".json");
        records.retain(|path| fs::read_to_string(path).unwrap().contains(&key));
        assert_eq!(records.len(), 1, "{records:?}");
        records.remove(0)
    }

    pub(crate) fn text(&self, tenant: &str) -> String {
        fs::read_to_string(self.record(tenant)).unwrap()
    }

    pub(crate) fn paths(&self, part: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("tokens")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths.filter(|path| path.to_string_lossy().contains(part)).collect()
    }

    /// Everything that is in the directory.
    pub(crate) fn everything(&self) -> String {
        self.paths("").iter().map(|path| fs::read_to_string(path).unwrap()).collect()
    }
}

pub(crate) fn ring(id: &str, byte: u8) -> KeyRing {
    KeyRing::new(key(id, byte))
}

pub(crate) fn key(id: &str, byte: u8) -> SealingKey {
    SealingKey::new(id, &[byte; 32]).unwrap()
}

/// Whether an operator who sees this error knows what happened, to which grant and what to do.
pub(crate) fn tells(error: &Error, kind: StoreErrorKind, says: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert_eq!(error.store_error().unwrap().kind(), kind, "{error}");
    assert!(!error.needs_login(), "{error}");
    let text = error.to_string();
    for part in says.iter().chain(&["billing-api/tenant=", "token_core::failures#store"]) {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}
