//! Errors that say what happened, to which grant, and what to do now. None quotes what is in a file.

use std::io;
use std::path::Path;

use token_core::store::{StoreError, StoreErrorKind, StoreKey};

use crate::envelope::Unreadable;
use crate::file_name::FileName;
use crate::lock::{NotLocked, PATIENCE};
use crate::platform::Trouble;

/// Whether a write that failed happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Perhaps,
}

/// The directory as a whole cannot be used.
pub(crate) fn directory(path: &Path, kind: StoreErrorKind, trouble: Trouble) -> StoreError {
    about(&format!("the token directory {} cannot be used", path.display()), kind, trouble)
}

pub(crate) fn read(directory: &Path, key: &StoreKey, trouble: Trouble) -> StoreError {
    let what = format!("the record of the grant {key} in {} cannot be read", directory.display());
    about(&what, StoreErrorKind::Refused, trouble)
}

pub(crate) fn write(
    directory: &Path,
    key: &StoreKey,
    effect: Effect,
    trouble: Trouble,
) -> StoreError {
    let place = directory.display();
    match effect {
        Effect::None => {
            let what = format!("the record of the grant {key} in {place} was not written");
            about(&what, StoreErrorKind::Refused, trouble)
        }
        Effect::Perhaps => {
            let what = format!("the record of the grant {key} in {place} may not be on the disk");
            about(&what, StoreErrorKind::Indeterminate, trouble)
        }
    }
}

pub(crate) fn not_locked(directory: &Path, key: &StoreKey, error: NotLocked) -> StoreError {
    match error {
        NotLocked::Trouble(trouble) => write(directory, key, Effect::None, trouble),
        NotLocked::Busy => StoreError::new(
            StoreErrorKind::Refused,
            format!(
                "the record of the grant {key} was not written: another process has held the lock {} for {} seconds, which \
                 takes milliseconds; it is stopped, or its disk hangs (`lslocks` names it). Do not remove the file",
                directory.join(FileName::of(key).lock()).display(),
                PATIENCE.as_secs()
            ),
        ),
    }
}

pub(crate) fn unreadable(file: &Path, key: &StoreKey, why: &Unreadable) -> StoreError {
    let what = match why {
        Unreadable::Empty => "is empty".to_owned(),
        Unreadable::Damaged { line, column } => {
            format!("is damaged: it breaks off or goes wrong at line {line}, column {column}")
        }
        Unreadable::Newer { format } => {
            return corrupt(format!(
                "the record of the grant {key}, {}, has format {format}, which is newer than this program: update it. Nothing was \
                 changed",
                file.display()
            ));
        }
        Unreadable::Foreign => "is JSON, and not what this program writes".to_owned(),
    };
    corrupt(format!("the record of the grant {key}, {}, {what}. {WHAT_TO_DO}", file.display()))
}

pub(crate) fn too_long(file: &Path, key: &StoreKey, longest: u64) -> StoreError {
    corrupt(format!(
        "the record of the grant {key}, {}, has more than {longest} bytes, so something else wrote it. {WHAT_TO_DO}",
        file.display()
    ))
}

pub(crate) fn other_key(file: &Path, key: &StoreKey, found: &str) -> StoreError {
    // The text comes out of a file that anything may have written.
    let found: String = found.chars().take(80).collect();
    corrupt(format!(
        "the record of the grant {key}, {}, belongs to the grant {found:?}: somebody moved or copied it. {WHAT_TO_DO}",
        file.display()
    ))
}

/// A record of which not even the key is known.
pub(crate) fn nameless(file: &Path) -> StoreError {
    corrupt(format!(
        "the record {} is damaged, and its lock does not name its grant either, so the listing is not whole. {WHAT_TO_DO}",
        file.display()
    ))
}

const WHAT_TO_DO: &str = "Nothing was changed. Repair the file, or log in again, which sets it aside; what it holds may be the only \
                          live refresh token";

fn corrupt(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

fn about(what: &str, kind: StoreErrorKind, trouble: Trouble) -> StoreError {
    match trouble {
        Trouble::Io(error) => {
            let advice = advice(&error);
            StoreError::new(kind, format!("{what}: {error}{advice}")).with_source(error)
        }
        Trouble::Insecure(why) => {
            StoreError::new(StoreErrorKind::Insecure, format!("{what}: {why}"))
        }
        Trouble::Moved => StoreError::new(
            kind,
            format!(
                "{what}: the directory was removed or moved since it was opened; put it back (a restart begins without its records)"
            ),
        ),
        Trouble::Network(name) => StoreError::new(
            kind,
            format!(
                "{what}: it is on a network file system ({name}), whose locks may be lost; use a local directory, or \
                 `allow_network_file_systems` if one machine uses it"
            ),
        ),
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        io::ErrorKind::ReadOnlyFilesystem => "; mount the file system for writing",
        io::ErrorKind::FileTooLarge => "; raise the limit on the size of files (`ulimit -f`)",
        io::ErrorKind::PermissionDenied => "; give this user the right to write there",
        _ => "",
    }
}
