//! Compiled for Windows, and run by nobody yet. Who may read the files is what the directory's access list says: it is
//! neither checked nor set.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::Trouble;

const SHARE_READ_AND_WRITE: u32 = 1 | 2;

/// `ERROR_ACCESS_DENIED` and `ERROR_SHARING_VIOLATION`: a virus scanner has the file open.
const BUSY: [i32; 2] = [5, 32];
const PATIENCE: Duration = Duration::from_secs(1);

/// A directory, by its path.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    network: bool,
}

impl Directory {
    pub(crate) fn open(path: &Path, allow_network: bool) -> Result<Self, Trouble> {
        let path = std::path::absolute(path)?;
        std::fs::create_dir_all(&path)?;
        // `\\?\UNC\server\share` is what a share resolves to, also behind a drive letter's substitute.
        let resolved = std::fs::canonicalize(&path)?;
        let shared = matches!(
            resolved.components().next(),
            Some(std::path::Component::Prefix(prefix))
                if matches!(prefix.kind(), std::path::Prefix::UNC(..) | std::path::Prefix::VerbatimUNC(..))
        );
        if shared && !allow_network {
            return Err(Trouble::Network("SMB"));
        }
        Ok(Self { path, network: shared })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn on_network(&self) -> bool {
        self.network
    }

    pub(crate) fn check(&self) -> Result<(), Trouble> {
        if self.path.is_dir() { Ok(()) } else { Err(Trouble::Moved) }
    }

    pub(crate) fn open_existing(&self, name: &str) -> Result<Option<File>, Trouble> {
        match patiently(|| File::open(self.path.join(name))) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check()?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn open_lock(&self, name: &str) -> Result<File, Trouble> {
        let mut options = OpenOptions::new();
        // While it is open nobody can remove or rename it, so its name leads to it.
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .share_mode(SHARE_READ_AND_WRITE);
        Ok(patiently(|| options.open(self.path.join(name)))?)
    }

    pub(crate) fn create_new(&self, name: &str) -> Result<File, Trouble> {
        Ok(patiently(|| File::create_new(self.path.join(name)))?)
    }

    #[expect(clippy::unnecessary_wraps, reason = "the other systems can fail")]
    pub(crate) fn leads_to(&self, name: &str, _: &File) -> io::Result<bool> {
        Ok(self.path.join(name).exists())
    }

    /// Since Rust 1.85 with the semantics of POSIX: readers keep what they have open.
    pub(crate) fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        patiently(|| std::fs::rename(self.path.join(from), self.path.join(to)))
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match patiently(|| std::fs::remove_file(self.path.join(name))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Directories cannot be flushed here; NTFS logs renames, and when that log reaches the disk is its affair.
    #[expect(clippy::unnecessary_wraps, reason = "the other systems can fail")]
    pub(crate) const fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?;
        entries
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }
}

fn patiently<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(error)
                if error.raw_os_error().is_some_and(|code| BUSY.contains(&code))
                    && start.elapsed() < PATIENCE =>
            {
                thread::sleep(Duration::from_millis(fastrand::u64(5..50)));
            }
            result => return result,
        }
    }
}
