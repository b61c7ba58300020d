//! Who is there: each open store holds a lock on a file of its own for as long as it lives.
//!
//! Every record names the store that wrote it. An attempt is named by the stamp of the write that announced it, so its
//! holder is who wrote the record with that stamp; if the lock of that one can be taken, it is gone. The kernel gives a
//! lock back whatever kills a process, so the answer is there at once and no clock takes part. A file that is missing
//! proves nothing: somebody may have tidied up.

use std::collections::HashSet;
use std::fs::{File, TryLockError};

use token_core::store::{Liveness, Stamp};

use crate::platform::{Directory, Trouble};

const PREFIX: &str = "alive-";

/// This store's sign of life.
#[derive(Debug)]
pub(crate) struct Alive {
    name: String,
    /// Open and locked.
    _file: File,
}

impl Alive {
    pub(crate) fn new(directory: &Directory) -> Result<Self, Trouble> {
        loop {
            let name = format!("{PREFIX}{}", Stamp::random());
            let file = directory.create_new(&name)?;
            match file.try_lock() {
                // Somebody who tidies up may have come between, and taken it for one that is dead.
                Ok(()) if directory.leads_to(&name, &file)? => {
                    return Ok(Self { name, _file: file });
                }
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// Whether the store with this name is there.
pub(crate) fn liveness(directory: &Directory, name: &str) -> Liveness {
    // The name comes out of a file that people may edit.
    let plain =
        name.strip_prefix(PREFIX).is_some_and(|id| id.bytes().all(|b| b.is_ascii_hexdigit()));
    match plain.then(|| directory.open_existing(name)) {
        Some(Ok(Some(file))) => ask(&file),
        _ => Liveness::Unknown,
    }
}

/// Removes the files of stores that are gone and that no record names. `writers` reads whom the records name, and nothing
/// if one cannot be read.
pub(crate) fn tidy(directory: &Directory, writers: impl FnOnce() -> Option<HashSet<String>>) {
    let Ok(names) = directory.names() else { return };
    // The open files stay, so that whoever is just creating one is not taken for dead in between.
    let mut gone: Vec<(String, File)> = Vec::new();
    for name in names.into_iter().filter(|name| name.starts_with(PREFIX)) {
        if let Ok(Some(file)) = directory.open_existing(&name)
            && ask(&file) == Liveness::Dead
        {
            gone.push((name, file));
        }
    }
    if gone.is_empty() {
        return;
    }
    // A store that is gone writes no more, so what the records say of it now stays true.
    let Some(named) = writers() else { return };
    for (name, _file) in gone.into_iter().filter(|(name, _)| !named.contains(name)) {
        // The next store that is opened tries again.
        let _ = directory.remove(&name);
    }
}

fn ask(file: &File) -> Liveness {
    // Shared: two who ask at once do not take each other for the holder.
    match file.try_lock_shared() {
        Ok(()) => Liveness::Dead,
        Err(TryLockError::WouldBlock) => Liveness::Alive,
        Err(TryLockError::Error(_)) => Liveness::Unknown,
    }
}
