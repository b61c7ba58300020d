//! Locks, and signs of life.

use std::fs;
use std::time::Duration;

use token_core::store::{Durability, Expect, Liveness, StoreErrorKind, Swap, TokenStore};

use super::{key, record};
use crate::FileStore;
use crate::file_name::FileName;
use crate::lock::{Lock, PATIENCE};
use crate::platform::Directory;

#[tokio::test]
async fn a_lock_that_is_never_given_back_ends_in_an_error_that_names_it() {
    let place = tempfile::tempdir().unwrap();
    let store = FileStore::open(place.path()).unwrap();
    let first = record();
    store.compare_and_swap(&key(), Expect::Absent, &first, Durability::Durable).await.unwrap();
    let directory = Directory::open(place.path(), false).unwrap();
    let lock = Lock::take(&directory, &key()).unwrap();
    let start = std::time::Instant::now();
    let (grant, next, expect) = (key(), record(), Expect::Is(first.stamp()));
    let swap = || store.compare_and_swap(&grant, expect, &next, Durability::Durable);
    let error = swap().await.unwrap_err();
    assert!(start.elapsed() >= PATIENCE);
    assert_eq!(error.kind(), StoreErrorKind::Refused);
    assert!(error.to_string().contains(&FileName::of(&key()).lock()), "{error}");
    // Reading needs no lock.
    assert!(store.load(&key()).await.unwrap().is_some());
    drop(lock);
    assert!(matches!(swap().await.unwrap(), Swap::Won { .. }));
}

/// `rm *.lock` while others run: who holds the old file excludes nobody who opens the new one, so nobody keeps it. Windows
/// does not let it be removed.
#[cfg(unix)]
#[tokio::test]
async fn a_lock_whose_file_was_removed_is_not_taken_for_held() {
    let place = tempfile::tempdir().unwrap();
    let directory = Directory::open(place.path(), false).unwrap();
    let lock = place.path().join(FileName::of(&key()).lock());
    let held = Lock::take(&directory, &key()).unwrap();
    let waiting = std::thread::spawn({
        let place = place.path().to_owned();
        move || {
            let directory = Directory::open(&place, false).unwrap();
            let lock = Lock::take(&directory, &key()).unwrap();
            let file = place.join(FileName::of(&key()).lock());
            // Nobody else can have this one.
            assert!(fs::File::open(file).unwrap().try_lock().is_err());
            drop(lock);
        }
    });
    fs::remove_file(lock).unwrap();
    drop(held);
    waiting.join().unwrap();
}

#[tokio::test]
async fn a_store_that_is_dropped_is_dead_at_once_and_its_file_goes_with_its_last_record() {
    #[cfg(unix)]
    let _no_process_starts = super::STARTING.read().await;
    let place = tempfile::tempdir().unwrap();
    let signs = || {
        let names = fs::read_dir(place.path()).unwrap();
        names
            .filter(|e| e.as_ref().unwrap().file_name().to_str().unwrap().starts_with("alive-"))
            .count()
    };
    let (store, other) =
        (FileStore::open(place.path()).unwrap(), FileStore::open(place.path()).unwrap());
    let attempt = record();
    store.compare_and_swap(&key(), Expect::Absent, &attempt, Durability::Durable).await.unwrap();
    assert_eq!(other.holder(&key(), attempt.stamp()).await, Liveness::Alive);
    assert_eq!(store.holder(&key(), attempt.stamp()).await, Liveness::Alive);
    assert_eq!(other.holder(&key(), record().stamp()).await, Liveness::Unknown);
    drop(store);
    assert_eq!(other.holder(&key(), attempt.stamp()).await, Liveness::Dead);

    // Whoever tidies up leaves what a record names.
    drop(FileStore::open(place.path()).unwrap());
    assert_eq!(other.holder(&key(), attempt.stamp()).await, Liveness::Dead);
    let next = record();
    other
        .compare_and_swap(&key(), Expect::Is(attempt.stamp()), &next, Durability::Durable)
        .await
        .unwrap();
    let last = FileStore::open(place.path()).unwrap();
    assert_eq!(signs(), 2, "only those of the two that are open");
    assert_eq!(last.holder(&key(), next.stamp()).await, Liveness::Alive);
}

#[tokio::test]
async fn a_sign_of_life_that_somebody_removed_proves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let (store, other) =
        (FileStore::open(place.path()).unwrap(), FileStore::open(place.path()).unwrap());
    let attempt = record();
    store.compare_and_swap(&key(), Expect::Absent, &attempt, Durability::Durable).await.unwrap();
    for entry in fs::read_dir(place.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_str().unwrap().starts_with("alive-") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    assert_eq!(other.holder(&key(), attempt.stamp()).await, Liveness::Unknown);
    drop(store);
    assert_eq!(other.holder(&key(), attempt.stamp()).await, Liveness::Unknown);
}

/// What a crash left half written is in nobody's way.
#[tokio::test]
async fn a_write_that_was_cut_short_is_swept_by_the_next() {
    let place = tempfile::tempdir().unwrap();
    let next = place.path().join(FileName::of(&key()).next());
    fs::write(&next, "half a rec").unwrap();
    let store = FileStore::open(place.path()).unwrap();
    assert!(store.load(&key()).await.unwrap().is_none());
    assert!(store.list(None).await.unwrap().keys().is_empty());
    store.compare_and_swap(&key(), Expect::Absent, &record(), Durability::Durable).await.unwrap();
    assert!(!next.exists());
    let since = store.load(&key()).await.unwrap().unwrap().0.stamp();
    store.changed(&key(), Some(since), Duration::from_millis(1)).await.unwrap();
}
