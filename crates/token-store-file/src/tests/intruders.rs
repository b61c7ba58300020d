//! What others may have put in the directory's place or in it: refused with a reason, and left as it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use token_core::store::{Durability, Expect, StoreError, StoreErrorKind, TokenStore};

use super::{STARTING, key, record};
use crate::FileStore;
use crate::file_name::FileName;

async fn written(directory: &Path) -> (FileStore, PathBuf) {
    let store = FileStore::open(directory).unwrap();
    store.compare_and_swap(&key(), Expect::Absent, &record(), Durability::Durable).await.unwrap();
    (store, directory.join(FileName::of(&key()).record()))
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

async fn both_fail(store: &FileStore) -> StoreError {
    let swap = store.compare_and_swap(&key(), Expect::Absent, &record(), Durability::Durable).await;
    let loaded = store.load(&key()).await.unwrap_err();
    assert_eq!(swap.unwrap_err().kind(), loaded.kind());
    loaded
}

#[tokio::test]
async fn all_that_is_created_is_for_this_user_alone() {
    let above = tempfile::tempdir().unwrap();
    let directory = above.path().join("a/b");
    let (_store, record) = written(&directory).await;
    for made in [&directory, &above.path().join("a")] {
        assert_eq!(fs::metadata(made).unwrap().mode() & 0o7777, 0o700);
    }
    assert!(record.exists());
    for entry in fs::read_dir(&directory).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn a_record_that_others_could_reach_is_refused_and_not_mended() {
    type Meddle = fn(&Path);
    let meddlers: [(&str, Meddle); 5] = [
        ("mode 644", |path| mode(path, 0o644)),
        ("mode 620", |path| mode(path, 0o620)),
        ("a hard link", |path| fs::hard_link(path, path.with_extension("copy")).unwrap()),
        ("a symbolic link", |path| {
            fs::rename(path, path.with_extension("moved")).unwrap();
            symlink(path.with_extension("moved"), path).unwrap();
        }),
        ("is no file", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (what, meddle) in meddlers {
        let directory = tempfile::tempdir().unwrap();
        let (store, path) = written(directory.path()).await;
        meddle(&path);
        let before = fs::symlink_metadata(&path).unwrap();
        let error = both_fail(&store).await;
        assert_eq!(error.kind(), StoreErrorKind::Insecure, "{what}: {error}");
        assert!(error.to_string().contains(what), "{what}: {error}");
        let after = fs::symlink_metadata(&path).unwrap();
        assert_eq!((before.mode(), before.ino()), (after.mode(), after.ino()), "{what}");
    }
}

/// A pipe would make whoever opens it wait for ever.
#[tokio::test]
async fn a_pipe_in_the_place_of_a_record_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let (store, path) = written(directory.path()).await;
    fs::remove_file(&path).unwrap();
    let starting = STARTING.write().await;
    let made =
        std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&path).status().unwrap();
    drop(starting);
    assert!(made.success());
    assert_eq!(both_fail(&store).await.kind(), StoreErrorKind::Insecure);
}

#[tokio::test]
async fn a_lock_that_others_could_take_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = written(directory.path()).await;
    mode(&directory.path().join(FileName::of(&key()).lock()), 0o666);
    let swap = store.compare_and_swap(&key(), Expect::Absent, &record(), Durability::Durable).await;
    assert_eq!(swap.unwrap_err().kind(), StoreErrorKind::Insecure);
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for open_to in [0o777, 0o720, 0o1777] {
        mode(directory.path(), open_to);
        let error = FileStore::open(directory.path()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Insecure, "{error}");
        assert_eq!(fs::metadata(directory.path()).unwrap().mode() & 0o7777, open_to);
    }
}

/// Only root can give files away; the mode and the owner are checked in one place.
#[tokio::test]
async fn what_belongs_to_another_user_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (store, path) = written(directory.path()).await;
    if !rustix::process::geteuid().is_root() {
        // A directory of root's that nobody else may write to.
        assert_eq!(FileStore::open("/").unwrap_err().kind(), StoreErrorKind::Insecure);
        return;
    }
    std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
    let error = both_fail(&store).await;
    assert_eq!(error.kind(), StoreErrorKind::Insecure);
    assert!(error.to_string().contains("12345"), "{error}");
    std::os::unix::fs::chown(directory.path(), Some(12345), None).unwrap();
    assert_eq!(FileStore::open(directory.path()).unwrap_err().kind(), StoreErrorKind::Insecure);
}

/// No record is an answer that may cost the grant: whoever gets it takes the seed, which was used.
#[tokio::test]
async fn a_directory_that_is_gone_or_another_is_no_empty_store() {
    let above = tempfile::tempdir().unwrap();
    let directory = above.path().join("tokens");
    let (store, _) = written(&directory).await;
    fs::rename(&directory, above.path().join("moved")).unwrap();
    assert_eq!(both_fail(&store).await.kind(), StoreErrorKind::Refused);
    assert!(store.list(None).await.is_err());
    // Who starts now uses this one, and locks in it.
    let (_other, _) = written(&directory).await;
    let error = both_fail(&store).await;
    assert!(error.to_string().contains("put it back"), "{error}");
    fs::remove_dir_all(&directory).unwrap();
    assert_eq!(both_fail(&store).await.kind(), StoreErrorKind::Refused);
    fs::rename(above.path().join("moved"), &directory).unwrap();
    assert!(store.load(&key()).await.unwrap().is_some());
}

#[tokio::test]
async fn what_cannot_be_read_is_told_to_which_grant_it_happened_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (store, path) = written(directory.path()).await;
    let whole = fs::read_to_string(&path).unwrap();
    let cases = [
        (String::new(), "is empty"),
        ("\0".repeat(200), "line 1, column 1"),
        (whole[..whole.len() / 2].to_owned(), "is damaged"),
        (whole.replace("\"format\": 1", "\"format\": 9"), "update it"),
        (
            whole.replace("\"key\": \"grant\"", "\"key\": \"other\""),
            "belongs to the grant \"other\"",
        ),
        (
            "{\"format\": 1, \"refresh_token\": \"5ecret\"}".to_owned(),
            "not what this program writes",
        ),
        (" ".repeat(5 << 20), "more than"),
    ];
    for (text, says) in cases {
        fs::write(&path, &text).unwrap();
        let error = both_fail(&store).await;
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{says}: {error}");
        let told = format!("{error} {error:?}");
        assert!(told.contains(says) && told.contains("the grant grant"), "{says}: {error}");
        assert!(!told.contains("5ecret"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        // A keep-alive for all grants still finds this one.
        if !says.contains("belongs") {
            assert_eq!(store.list(None).await.unwrap().keys(), [key()], "{says}");
        }
    }
    fs::write(&path, whole).unwrap();
    assert!(store.load(&key()).await.unwrap().is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn a_network_file_system_is_refused_unless_it_is_allowed() {
    use crate::failure;
    use crate::platform::Trouble;
    // None is mounted here: what is tested is what is said, and that a local one is not taken for one.
    let error =
        failure::directory(Path::new("/x"), StoreErrorKind::Refused, Trouble::Network("NFS"));
    assert!(
        error.to_string().contains("(NFS)")
            && error.to_string().contains("allow_network_file_systems")
    );
    let directory = tempfile::tempdir().unwrap();
    let store = FileStore::builder(directory.path()).allow_network_file_systems().open().unwrap();
    assert!(store.capabilities().tells_dead_holder);
}
