//! The suite for stores, with processes that are killed.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

use std::process::Command;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use token_core::store::sealed::{KeyRing, SealedStore, SealingKey};
use token_core::store::{StoreErrorKind, StoreKey};
use token_store_file::FileStore;
use token_testkit::conformance::{self, Storm, Subject};

token_testkit::conformance_tests!(Files::new());

const PLACE: &str = "TOKEN_STORE_FILE_TEST_DIRECTORY";

/// The other process: this binary, told to run this test alone.
#[test]
fn process() {
    if conformance::started_by_the_suite() {
        let store = FileStore::open(std::env::var_os(PLACE).unwrap()).unwrap();
        if std::env::var_os(SEALED).is_some() {
            conformance::write_until_killed(&sealed(store));
        } else {
            conformance::write_until_killed(&store);
        }
    }
}

/// Nothing torn, nothing lost, no two winners; and what the dead leave behind does not pile up.
#[test]
fn hundreds_of_kills_lose_nothing() {
    let files = Files::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let start = std::time::Instant::now();
    let weathered = runtime.block_on(Storm::new(300).run(&files)).unwrap();
    println!("{weathered:?} in {:?}", start.elapsed());
    assert!(weathered.won >= 300, "{weathered:?}");
    drop(files.open());
    drop(files.open());
    let left = std::fs::read_dir(files.place()).unwrap().count();
    assert!(left < 10, "{left} files are left");
}

struct Files {
    directory: TempDir,
}

impl Files {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn place(&self) -> std::path::PathBuf {
        self.directory.path().join("tokens")
    }

    fn aside(&self) -> std::path::PathBuf {
        self.directory.path().join("moved")
    }

    fn open(&self) -> FileStore {
        FileStore::open(self.place()).unwrap()
    }

    /// Changes the file of a grant, if there is one.
    fn rewrite(&self, key: &StoreKey, change: impl Fn(&str) -> String) -> bool {
        for entry in std::fs::read_dir(self.place()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "json") {
                let text = std::fs::read_to_string(&path).unwrap();
                if text.contains(&format!("\"key\": \"{key}\"")) {
                    std::fs::write(&path, change(&text)).unwrap();
                    return true;
                }
            }
        }
        false
    }
}

impl Subject for Files {
    type Store = FileStore;

    async fn client(&self) -> FileStore {
        self.open()
    }

    fn process(&self) -> Option<Command> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process", "--nocapture"]).env(PLACE, self.place());
        Some(command)
    }

    /// The directory is gone. What is indeterminate takes a disk that fails half way: see the crate's own tests.
    fn fail(&self, kind: StoreErrorKind) -> bool {
        kind == StoreErrorKind::Refused && std::fs::rename(self.place(), self.aside()).is_ok()
    }

    fn recover(&self) {
        std::fs::rename(self.aside(), self.place()).unwrap();
    }

    fn damage(&self, key: &StoreKey) -> bool {
        self.rewrite(key, |text| text[..text.len() - 9].to_owned())
    }

    /// A file's times are the only ones that a file system shows.
    fn jump_clock(&self, seconds: i64) -> bool {
        let now = SystemTime::now();
        let by = Duration::from_secs(seconds.unsigned_abs());
        let then = if seconds < 0 { now - by } else { now + by };
        for entry in std::fs::read_dir(self.place()).unwrap() {
            let file = std::fs::File::options().append(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(then).unwrap();
        }
        true
    }
}

mod with_seals {
    use super::*;

    token_testkit::conformance_tests!(Sealed::new());
}

/// Tells the other process to seal too.
const SEALED: &str = "TOKEN_STORE_FILE_TEST_SEALED";

fn sealed(store: FileStore) -> SealedStore<FileStore> {
    SealedStore::new(store, KeyRing::new(SealingKey::new("k", &[7; 32]).unwrap()))
}

/// The same files with sealed records.
struct Sealed {
    files: Files,
    /// Records are damaged under the seal, and the file store reads them.
    under_the_seal: bool,
}

impl Sealed {
    fn new() -> Self {
        Self { files: Files::new(), under_the_seal: false }
    }
}

/// Not the other check of damage: whoever knows the stamp may write over what was damaged without a write.
#[test]
fn what_is_damaged_under_the_seal_is_set_aside_once_and_tells_nothing() {
    let new = || Sealed { files: Files::new(), under_the_seal: true };
    let whole = Ok(conformance::Checked::Whole);
    let aside = conformance::c19_only_what_cannot_be_read_is_set_aside;
    assert_eq!(conformance::check(&new(), aside), whole);
    assert_eq!(conformance::check(&new(), conformance::c17_no_secret_is_told), whole);
}

impl Subject for Sealed {
    type Store = SealedStore<FileStore>;

    async fn client(&self) -> SealedStore<FileStore> {
        sealed(self.files.open())
    }

    fn process(&self) -> Option<Command> {
        let mut command = self.files.process()?;
        command.env(SEALED, "1");
        Some(command)
    }

    fn fail(&self, kind: StoreErrorKind) -> bool {
        self.files.fail(kind)
    }

    fn recover(&self) {
        self.files.recover();
    }

    fn damage(&self, key: &StoreKey) -> bool {
        if !self.under_the_seal {
            return self.files.damage(key);
        }
        self.files.rewrite(key, |text| {
            let (before, ciphertext) = text.split_once("\"ciphertext\":\"").unwrap();
            let other = if ciphertext.starts_with('A') { "B" } else { "A" };
            format!("{before}\"ciphertext\":\"{other}{}", &ciphertext[1..])
        })
    }

    fn jump_clock(&self, seconds: i64) -> bool {
        self.files.jump_clock(seconds)
    }
}
