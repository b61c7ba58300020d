//! A record that cannot be read makes way for a login, and is kept.

use std::fs;
use std::path::{Path, PathBuf};

use token_core::store::{Durability, Expect, StoreErrorKind, TokenStore};

use super::{key, record};
use crate::FileStore;
use crate::file_name::FileName;

async fn written(place: &Path) -> (FileStore, PathBuf) {
    let store = FileStore::open(place).unwrap();
    store.compare_and_swap(&key(), Expect::Absent, &record(), Durability::Durable).await.unwrap();
    (store, place.join(FileName::of(&key()).record()))
}

fn kept(place: &Path) -> Vec<String> {
    let names = fs::read_dir(place).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut kept: Vec<_> = names.filter(|name| name.contains(".unreadable-")).collect();
    kept.sort_unstable();
    kept
}

#[tokio::test]
async fn every_byte_is_kept_under_a_name_that_says_so_and_nothing_is_written_over() {
    let place = tempfile::tempdir().unwrap();
    let (store, path) = written(place.path()).await;
    for (n, damage) in [("1", "{\"refresh_token\": \"half a rec"), ("2", ""), ("3", "\0\0")] {
        fs::write(&path, damage).unwrap();
        let new = record();
        let told = store.set_aside(&key(), None, &new).await.unwrap().unwrap();
        assert!(told.ends_with(&format!(".unreadable-{n}")), "{told}");
        assert_eq!(fs::read_to_string(&told).unwrap(), damage);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&told).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        assert_eq!(store.load(&key()).await.unwrap().unwrap().0, new);
        assert_eq!(store.list(None).await.unwrap().keys(), [key()]);
    }
    assert_eq!(kept(place.path()).len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn a_disk_that_is_full_leaves_the_record_as_it_was_and_no_copies() {
    use crate::directory::Step;
    const ENOSPC: i32 = 28;
    let place = tempfile::tempdir().unwrap();
    let (store, path) = written(place.path()).await;
    fs::write(&path, "damaged").unwrap();
    for step in [Step::Create, Step::Write, Step::Flush, Step::Replace] {
        store.records().faults.set(Some((step, ENOSPC)));
        let error = store.set_aside(&key(), None, &record()).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{step:?}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "damaged", "{step:?}");
        assert_eq!(kept(place.path()), [""; 0], "{step:?}");
    }
    store.records().faults.set(None);
    assert!(store.set_aside(&key(), None, &record()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_a_newer_version_wrote_stays_where_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (store, path) = written(place.path()).await;
    let newer = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&path, &newer).unwrap();
    let error = store.set_aside(&key(), None, &record()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    assert!(error.to_string().contains("update it"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), newer);
    assert_eq!(kept(place.path()), [""; 0]);
}

/// Whoever could put it there could read what is written next.
#[cfg(unix)]
#[tokio::test]
async fn what_others_can_reach_is_not_set_aside() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let (store, path) = written(place.path()).await;
    fs::write(&path, "damaged").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = store.set_aside(&key(), None, &record()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Insecure, "{error}");
    assert_eq!(kept(place.path()), [""; 0]);
}
