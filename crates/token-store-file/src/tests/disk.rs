//! Each step of a write fails in each way, and the error says exactly what that means for the record.

use tempfile::TempDir;
use token_core::store::{Durability, Expect, StoreErrorKind, Swap, TokenStore};
use token_testkit::conformance::{self, Subject};

use super::{key, record};
use crate::FileStore;
use crate::directory::Step;
use crate::file_name::FileName;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;
const EDQUOT: i32 = if cfg!(target_os = "linux") { 122 } else { 69 };

#[tokio::test]
async fn a_disk_that_fails_at_any_step_leaves_the_old_record_or_says_that_it_may_not_have() {
    use Step::{Create, Flush, FlushDirectory, Replace, Write};
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path()).unwrap();
    let mut current = record();
    store.compare_and_swap(&key(), Expect::Absent, &current, Durability::Durable).await.unwrap();
    for code in [EIO, ENOSPC, EROFS, EDQUOT] {
        for step in [Create, Write, Flush, Replace, FlushDirectory] {
            let new = record();
            store.records().faults.set(Some((step, code)));
            let expect = Expect::Is(current.stamp());
            let result = store.compare_and_swap(&key(), expect, &new, Durability::Durable).await;
            store.records().faults.set(None);
            let error = result.unwrap_err();
            let found = store.load(&key()).await.unwrap().unwrap().0;
            let in_doubt = step == FlushDirectory || (step == Replace && code == EIO);
            let expected =
                if in_doubt { StoreErrorKind::Indeterminate } else { StoreErrorKind::Refused };
            assert_eq!(error.kind(), expected, "{step:?} {code}: {error}");
            assert_eq!(found, if step == FlushDirectory { new } else { current.clone() });
            assert!(error.to_string().contains("the grant grant"), "{error}");
            let next = directory.path().join(FileName::of(&key()).next());
            assert!(!next.exists(), "{step:?} {code} left {}", next.display());
            current = found;
        }
    }
    let error = {
        store.records().faults.set(Some((Write, ENOSPC)));
        let expect = Expect::Is(current.stamp());
        store.compare_and_swap(&key(), expect, &record(), Durability::Durable).await.unwrap_err()
    };
    assert!(error.to_string().ends_with("make room on the disk"), "{error}");
}

#[tokio::test]
async fn a_write_that_need_only_be_visible_does_not_wait_for_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::open(directory.path()).unwrap();
    store.records().faults.set(Some((Step::FlushDirectory, EIO)));
    let swap = store.compare_and_swap(&key(), Expect::Absent, &record(), Durability::Visible).await;
    assert!(matches!(swap.unwrap(), Swap::Won { durable: false, .. }));
}

/// The suite's checks that need a disk which fails at the moment it is told to.
#[test]
fn the_suite_finds_every_error_to_mean_what_it_says() {
    for step in [Step::FlushDirectory, Step::Replace] {
        let subject = FailingDisk::new(step);
        let verdict =
            conformance::check(&subject, conformance::c05_indeterminate_is_decided_by_the_stamp);
        assert_eq!(verdict, Ok(conformance::Checked::Whole), "{step:?}");
    }
    for step in [Step::Create, Step::Write, Step::Flush] {
        let subject = FailingDisk::new(step);
        let verdict = conformance::check(&subject, conformance::c06_refused_changes_nothing);
        assert_eq!(verdict, Ok(conformance::Checked::Whole), "{step:?}");
    }
}

struct FailingDisk {
    step: Step,
    store: FileStore,
    _directory: TempDir,
}

impl FailingDisk {
    fn new(step: Step) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::open(directory.path()).unwrap();
        Self { step, store, _directory: directory }
    }
}

impl Subject for FailingDisk {
    type Store = FileStore;

    async fn client(&self) -> FileStore {
        self.store.clone()
    }

    fn fail(&self, _: StoreErrorKind) -> bool {
        self.store.records().faults.set(Some((self.step, EIO)));
        true
    }

    fn recover(&self) {
        self.store.records().faults.set(None);
    }
}
