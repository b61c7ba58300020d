//! The lock of one grant's files, held for one compare-and-swap: milliseconds, and never across a request.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::thread;
use std::time::{Duration, Instant};

use token_core::store::StoreKey;

use crate::file_name::FileName;
use crate::platform::{Directory, Trouble};

/// The longest wait for others, each of whom needs milliseconds. Beyond it the holder is stopped, or the disk is. Below a
/// manager's own deadline (5 s by default), which could not say who is in the way.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A held lock; the kernel takes it back when this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

#[derive(Debug)]
pub(crate) enum NotLocked {
    Trouble(Trouble),
    /// Somebody else holds it for longer than anybody should.
    Busy,
}

impl Lock {
    /// Takes the lock. It blocks the thread, for [`PATIENCE`] at most.
    pub(crate) fn take(directory: &Directory, key: &StoreKey) -> Result<Self, NotLocked> {
        let name = FileName::of(key).lock();
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        let mut file = directory.open_lock(&name)?;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    // A lock on a file that was removed excludes nobody.
                    if directory.leads_to(&name, &file)? {
                        // A person who looks at the lock sees whose it is, and a listing finds the key of a record
                        // that is damaged. Neither is worth a failure.
                        let _ = label(&mut file, key);
                        return Ok(Self { _file: file });
                    }
                }
                Err(TryLockError::WouldBlock) => {
                    if start.elapsed() >= PATIENCE {
                        return Err(NotLocked::Busy);
                    }
                    thread::sleep(pause.mul_f64(0.5 + fastrand::f64()));
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    continue;
                }
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            if start.elapsed() >= PATIENCE {
                return Err(NotLocked::Busy);
            }
            file = directory.open_lock(&name)?;
        }
    }
}

/// The key that a lock's file names.
pub(crate) fn labelled(directory: &Directory, name: &FileName) -> Option<StoreKey> {
    let mut text = String::new();
    directory.open_existing(&name.lock()).ok()??.take(4096).read_to_string(&mut text).ok()?;
    text.trim_end().parse().ok()
}

fn label(file: &mut File, key: &StoreKey) -> std::io::Result<()> {
    if file.metadata()?.len() == key.as_str().len() as u64 + 1 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{key}\n").as_bytes())?;
    file.set_len(key.as_str().len() as u64 + 1)
}

impl From<Trouble> for NotLocked {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<std::io::Error> for NotLocked {
    fn from(error: std::io::Error) -> Self {
        Self::Trouble(error.into())
    }
}
