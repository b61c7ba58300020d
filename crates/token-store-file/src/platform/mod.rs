//! What differs between operating systems: opening files safely, replacing one, asking what a directory lies on.

use std::io;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use self::unix::Directory;
#[cfg(windows)]
pub(crate) use self::windows::Directory;

/// Why a file or directory is not used.
#[derive(Debug)]
pub(crate) enum Trouble {
    Io(io::Error),
    /// Somebody else could read or write it; the sentence says who and what to do.
    #[cfg_attr(windows, expect(dead_code, reason = "access lists are not looked at there"))]
    Insecure(String),
    /// The directory is not where it was.
    Moved,
    /// It lies on a file system whose locks are not those of one kernel.
    Network(&'static str),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
