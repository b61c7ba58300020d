//! The simplest store that processes can share, with one flaw: one file for all, and one lock.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use token_core::store::{
    Capabilities, Cursor, Durability, Expect, Liveness, Page, Provenance, Stamp, StoreError,
    StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};
use token_testkit::conformance::{self, Subject};

const PLACE: &str = "TOKEN_TESTKIT_TEST_DIRECTORY";
const FLAW: &str = "TOKEN_TESTKIT_TEST_FLAW";
const FLAWS: [DiskFlaw; 6] = [
    DiskFlaw::None,
    DiskFlaw::InPlace,
    DiskFlaw::AnswersEarly,
    DiskFlaw::NoLock,
    DiskFlaw::OthersAreDead,
    DiskFlaw::ClaimsToTell,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskFlaw {
    None,
    InPlace,
    AnswersEarly,
    NoLock,
    OthersAreDead,
    ClaimsToTell,
}

/// What this process wrote.
static OWN: Mutex<BTreeSet<Stamp>> = Mutex::new(BTreeSet::new());

pub(crate) struct OnDisk {
    directory: PathBuf,
    flaw: DiskFlaw,
}

pub(crate) struct Client {
    directory: PathBuf,
    flaw: DiskFlaw,
}

impl OnDisk {
    pub(crate) fn new(flaw: DiskFlaw) -> Self {
        let directory = std::env::temp_dir().join(format!("token-testkit-{}", Stamp::random()));
        fs::create_dir(&directory).unwrap();
        Self { directory, flaw }
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Subject for OnDisk {
    type Store = Client;

    async fn client(&self) -> Client {
        Client { directory: self.directory.clone(), flaw: self.flaw }
    }

    fn process(&self) -> Option<Command> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "process", "--nocapture"])
            .env(PLACE, &self.directory)
            .env(FLAW, format!("{:?}", self.flaw));
        Some(command)
    }
}

pub(crate) fn write_if_told() {
    if conformance::started_by_the_suite() {
        let flaw = std::env::var(FLAW).unwrap();
        let flaw = FLAWS.into_iter().find(|one| format!("{one:?}") == flaw).unwrap();
        let directory = std::env::var_os(PLACE).unwrap().into();
        conformance::write_until_killed(&Client { directory, flaw });
    }
}

impl Client {
    fn read(&self, key: &StoreKey) -> Result<Option<Versioned>, StoreError> {
        let Ok(bytes) = fs::read(self.directory.join(key.as_str())) else { return Ok(None) };
        let Some((stamp, bytes)) = bytes.split_at_checked(16) else {
            return Err(StoreError::new(StoreErrorKind::Corrupt, "the file is not whole"));
        };
        let stamp = Stamp::from_bytes(stamp.try_into().unwrap());
        Ok(Some(Versioned::new(stamp, Bytes::copy_from_slice(bytes))))
    }
}

fn write(directory: &Path, key: &str, new: &Versioned, in_place: bool) {
    let bytes = [&new.stamp().to_bytes()[..], new.bytes()].concat();
    let path = directory.join(key);
    if in_place {
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        thread::sleep(Duration::from_millis(1));
        fs::write(&path, bytes).unwrap();
    } else {
        let next = directory.join(Stamp::random().to_string());
        fs::write(&next, bytes).unwrap();
        fs::rename(next, path).unwrap();
    }
}

impl TokenStore for Client {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.outlives_process = true;
        capabilities.tells_dead_holder = self.flaw == DiskFlaw::ClaimsToTell;
        capabilities
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        Ok(self.read(key)?.map(|record| (record, Provenance::default())))
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        _: Durability,
    ) -> Result<Swap, StoreError> {
        let lock =
            File::options().create(true).append(true).open(self.directory.join("lock")).unwrap();
        if self.flaw != DiskFlaw::NoLock {
            lock.lock().unwrap();
        }
        let current = self.read(key)?;
        if self.flaw == DiskFlaw::NoLock {
            thread::sleep(Duration::from_millis(1));
        }
        let met = match expect {
            Expect::Absent => current.is_none(),
            Expect::Is(stamp) => current.as_ref().is_some_and(|record| record.stamp() == stamp),
        };
        if !met {
            return Ok(Swap::Lost(current));
        }
        OWN.lock().unwrap().insert(new.stamp());
        let (directory, key, new) = (self.directory.clone(), key.to_string(), new.clone());
        if self.flaw == DiskFlaw::AnswersEarly {
            thread::spawn(move || {
                thread::sleep(Duration::from_secs(5));
                write(&directory, &key, &new, false);
                drop(lock);
            });
        } else {
            write(&directory, &key, &new, self.flaw == DiskFlaw::InPlace);
        }
        Ok(Swap::Won { durable: true, replaced: Provenance::default() })
    }

    async fn changed(&self, _: &StoreKey, _: Option<Stamp>, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    async fn holder(&self, key: &StoreKey, attempt: Stamp) -> Liveness {
        let written = self
            .read(key)
            .is_ok_and(|record| record.is_some_and(|record| record.stamp() == attempt));
        let own = OWN.lock().unwrap().contains(&attempt);
        if self.flaw == DiskFlaw::OthersAreDead && written && !own {
            Liveness::Dead
        } else {
            Liveness::Unknown
        }
    }

    async fn list(&self, _: Option<Cursor>) -> Result<Page, StoreError> {
        Ok(Page::default())
    }
}
