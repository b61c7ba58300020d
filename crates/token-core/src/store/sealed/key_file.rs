//! A file of keys, which nobody else may read or have written.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::config_error::ConfigError;

/// The largest file that is read, in bytes: a thousand keys.
const LARGEST: u64 = 64 * 1024;

/// Reads the whole file, if it is one to keep keys in.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, ConfigError> {
    let refused = |why: String| {
        ConfigError::new(format!("the sealing keys' file `{}` {why}", path.display()))
    };
    let failed = |error: io::Error| refused(format!("cannot be read: {error}"));
    let file = open(path).map_err(failed)?.ok_or_else(|| refused(LINK.to_owned()))?;
    if let Some(why) = distrust(&file).map_err(failed)? {
        return Err(refused(why));
    }
    // Room for all of it: a buffer that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST as usize + 1));
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(refused(format!("is longer than {LARGEST} bytes; is it the right one?")));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(refused("is not UTF-8; is it the right one?".to_owned())),
    }
}

const LINK: &str = "is a symbolic link; name the file itself";
const NO_FILE: &str = "is no file; name one of mode 0600";

/// Opens it without following a link, and without waiting for whoever writes to a pipe. `None`: it is a link.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<Option<File>> {
    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;

    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Why this open file is not to be trusted.
#[cfg(unix)]
fn distrust(file: &File) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Some(NO_FILE.to_owned()));
    }
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner != me {
        return Ok(Some(format!(
            "belongs to user {owner} and this process runs as {me}; run as that user, or `chown` it"
        )));
    }
    if metadata.mode() & 0o077 != 0 {
        return Ok(Some(format!(
            "can be used by others (mode {:o}); `chmod 600` it, and replace keys that somebody may have read",
            metadata.mode() & 0o7777
        )));
    }
    if metadata.nlink() > 1 {
        return Ok(Some("has a second name (a hard link); remove that one".to_owned()));
    }
    Ok(None)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<Option<File>> {
    // A moment later it may be another; access lists are not looked at either.
    if std::fs::symlink_metadata(path)?.is_symlink() {
        Ok(None)
    } else {
        File::open(path).map(Some)
    }
}

#[cfg(not(unix))]
fn distrust(file: &File) -> io::Result<Option<String>> {
    Ok((!file.metadata()?.is_file()).then(|| NO_FILE.to_owned()))
}
