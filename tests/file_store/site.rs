//! A directory with tokens, a server, and services that use both.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use integration_tests::{Kit, event};
use tempfile::TempDir;
use token_core::clock::ManualClock;
use token_core::event::{Event, Events};
use token_core::store::StoreErrorKind;
use token_core::{Error, ErrorKind, TokenKey, TokenManager, TokenManagerBuilder};
use token_store_file::FileStore;

/// The grant of all services here.
pub(crate) const GRANT: &str = "billing-api";

pub(crate) struct Site {
    pub(crate) kit: Kit,
    pub(crate) clock: ManualClock,
    /// Where the records are.
    pub(crate) directory: PathBuf,
    above: TempDir,
}

impl Site {
    pub(crate) fn new() -> Self {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("tokens");
        Self { kit: Kit::start(), clock: ManualClock::new(), directory, above }
    }

    /// A place beside the directory.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.above.path().join(name)
    }

    /// A service that starts now, with the seed that all have.
    pub(crate) fn service(&self) -> TokenManagerBuilder {
        let store = FileStore::open(&self.directory).unwrap();
        self.kit.manager().key(TokenKey::new(GRANT).unwrap()).store(store)
    }

    pub(crate) fn start(&self) -> TokenManager {
        self.service().build().unwrap()
    }

    /// One whose time stands still.
    pub(crate) fn start_timed(&self) -> TokenManager {
        self.service().clock(self.clock.clone()).build().unwrap()
    }

    /// The one file of the directory that ends like this.
    pub(crate) fn file(&self, end: &str) -> PathBuf {
        let mut files = self.files(end);
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }

    pub(crate) fn files(&self, part: &str) -> Vec<PathBuf> {
        let paths = fs::read_dir(&self.directory).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = paths.filter(|path| name(path).contains(part)).collect();
        files.sort_unstable();
        files
    }

    /// The record's file.
    pub(crate) fn record(&self) -> PathBuf {
        self.file(".json")
    }

    /// Lets so much time pass that a token of an hour is to be replaced, and is still good.
    pub(crate) fn until_stale(&self) {
        self.clock.advance(Duration::from_secs(3600 - 180));
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The error of a refresh that the manager tried by itself.
pub(crate) async fn failure(events: &mut Events) -> Error {
    match event(events, |event| matches!(event, Event::RefreshFailed { .. })).await {
        Event::RefreshFailed { error, .. } => error,
        _ => unreachable!("just asked for"),
    }
}

/// The next refresh that the manager makes by itself.
pub(crate) async fn refreshed(events: &mut Events) {
    event(events, |event| matches!(event, Event::Refreshed { .. })).await;
}

/// Whether an operator who sees this error knows what happened, to which grant and what to do.
pub(crate) fn tells(error: &Error, kind: StoreErrorKind, says: &[&str]) {
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert_eq!(error.store_error().unwrap().kind(), kind, "{error}");
    assert_eq!(error.grant(), GRANT);
    assert!(error.is_transient() && !error.needs_login(), "{error}");
    let text = error.to_string();
    for part in says.iter().chain(&["grant `billing-api`", "token_core::failures#store"]) {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}
