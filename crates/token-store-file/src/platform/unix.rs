//! All files are opened relative to the open directory, without following links, and looked at before they are used.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use super::Trouble;

/// `O_NONBLOCK`: a pipe in the place of a file is refused, not waited for. It changes nothing for files.
const SAFE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
const OWNER_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);

// Not "remove it": a record that is missing is one that never was.
const LINK: &str = "is a symbolic link; put the file itself in its place";
const NO_FILE: &str = "is no file; put the file back in its place";

/// An open directory that belongs to this user and that nobody else can write to.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    network: bool,
}

impl Directory {
    /// Opens it; if it is missing it is created, and those above it, for this user alone.
    pub(crate) fn open(path: &Path, allow_network: bool) -> Result<Self, Trouble> {
        // A relative path means another directory after a change of the working directory.
        let path = std::path::absolute(path)?;
        create(&path)?;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlags::DIRECTORY | OFlags::CLOEXEC).bits() as i32)
            .open(&path)?;
        let metadata = file.metadata()?;
        check_directory(&metadata)?;
        let network = network_file_system(&file)?;
        if let Some(name) = network
            && !allow_network
        {
            return Err(Trouble::Network(name));
        }
        let identity = (metadata.dev(), metadata.ino());
        Ok(Self { path, file, identity, network: network.is_some() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn on_network(&self) -> bool {
        self.network
    }

    /// Whether the path still leads here, where others may not write. Processes that start now use what is at the path, and
    /// lock there.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        match std::fs::metadata(&self.path) {
            Ok(now) if (now.dev(), now.ino()) == self.identity => check_directory(&now),
            Ok(_) => Err(Trouble::Moved),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Trouble::Moved),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a file that is there, for reading.
    pub(crate) fn open_existing(&self, name: &str) -> Result<Option<File>, Trouble> {
        self.open_at(name, OFlags::RDONLY)
    }

    /// Opens a file to lock it, and creates it empty if it is missing.
    pub(crate) fn open_lock(&self, name: &str) -> Result<File, Trouble> {
        match self.open_at(name, OFlags::RDWR | OFlags::CREATE)? {
            Some(file) => Ok(file),
            // The directory itself was removed.
            None => Err(Trouble::Moved),
        }
    }

    /// Creates a file that must not be there.
    pub(crate) fn create_new(&self, name: &str) -> Result<File, Trouble> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFE;
        Ok(File::from(openat(&self.file, name, flags, OWNER_ONLY).map_err(io::Error::from)?))
    }

    /// Whether the name leads to this open file.
    pub(crate) fn leads_to(&self, name: &str, file: &File) -> io::Result<bool> {
        let opened = file.metadata()?;
        match statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW) {
            #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
            Ok(named) => {
                Ok((named.st_dev as u64, named.st_ino as u64) == (opened.dev(), opened.ino()))
            }
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.file, from, &self.file, to)?)
    }

    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the names last: a rename is in the directory, not in the file.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    pub(crate) fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.path)?;
        // Other names than text are not ours.
        entries
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn open_at(&self, name: &str, flags: OFlags) -> Result<Option<File>, Trouble> {
        let opened = match openat(&self.file, name, flags | SAFE, OWNER_ONLY) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(insecure(name, LINK)),
            Err(Errno::ISDIR | Errno::NXIO) => return Err(insecure(name, NO_FILE)),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let file = File::from(opened);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(insecure(name, NO_FILE));
        }
        check_owner(name, &metadata)?;
        if metadata.mode() & 0o077 != 0 {
            return Err(Trouble::Insecure(format!(
                "others may use {name} (mode {:o}); find out who did, then `chmod 600` it",
                metadata.mode() & 0o7777
            )));
        }
        // None at all is a record that was replaced just now: what it held is whole, and was current during the call.
        if metadata.nlink() > 1 {
            return Err(insecure(
                name,
                "has a second name (a hard link), which lets others reach it; remove that one",
            ));
        }
        Ok(Some(file))
    }
}

/// Creates what is missing of the path, so that it is there after a loss of power too: without the directory the records in
/// it would be taken for records that never were.
fn create(path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for directory in path.ancestors() {
        match std::fs::metadata(directory) {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(directory),
            Err(error) => return Err(error),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for above in missing.iter().filter_map(|directory| directory.parent()) {
        match File::open(above) {
            Ok(above) => above.sync_all()?,
            // One in which others may create and we may not look.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whoever may write to it can take a record away, which looks as if there had never been one.
fn check_directory(metadata: &Metadata) -> Result<(), Trouble> {
    check_owner("the directory", metadata)?;
    if metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Trouble::Insecure(format!(
        "others may write to the directory (mode {:o}); if that is not wanted, `chmod go-w` it",
        metadata.mode() & 0o7777
    )))
}

fn check_owner(what: &str, metadata: &Metadata) -> Result<(), Trouble> {
    let (owner, me) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if owner == me {
        return Ok(());
    }
    Err(Trouble::Insecure(format!(
        "{what} belongs to user {owner} and this process runs as {me}; run as that user, or `chown` it"
    )))
}

fn insecure(name: &str, why: &str) -> Trouble {
    Trouble::Insecure(format!("{name} {why}"))
}

/// The name of the file system if its locks are not those of this kernel alone.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn network_file_system(directory: &File) -> io::Result<Option<&'static str>> {
    // linux/magic.h, and for those without a place there the projects' own headers. FUSE may be anything.
    const KNOWN: &[(u32, &str)] = &[
        (0x0000_6969, "NFS"),
        (0x0000_517B, "SMB"),
        (0xFE53_4D42, "SMB"),
        (0xFF53_4D42, "CIFS"),
        (0x6573_5546, "FUSE"),
        (0x0102_1997, "9P"),
        (0x5346_414F, "AFS"),
        (0x6B41_4653, "AFS"),
        (0x00C3_6400, "Ceph"),
        (0x7375_7245, "Coda"),
        (0x0BD0_0BD0, "Lustre"),
        (0x4750_4653, "GPFS"),
        (0x1983_0326, "BeeGFS"),
        (0x0116_1970, "GFS2"),
        (0x7461_636F, "OCFS2"),
        (0x786F_4256, "VirtualBox shared folders"),
    ];
    let kind = rustix::fs::fstatfs(directory)?.f_type as u32;
    Ok(KNOWN.iter().find(|(magic, _)| *magic == kind).map(|(_, name)| *name))
}

/// The name of the file system if its locks are not those of this kernel alone.
#[cfg(any(
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "dragonfly"
))]
fn network_file_system(directory: &File) -> io::Result<Option<&'static str>> {
    /// `MNT_LOCAL` of `sys/mount.h`.
    const LOCAL: u64 = 0x1000;
    #[allow(clippy::unnecessary_cast, reason = "the types differ between systems")]
    let flags = rustix::fs::fstatfs(directory)?.f_flags as u64;
    Ok((flags & LOCAL == 0).then_some("network"))
}

/// The name of the file system if its locks are not those of this kernel alone; here nothing is known about it.
#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_vendor = "apple",
    target_os = "freebsd",
    target_os = "openbsd",
    target_os = "dragonfly"
)))]
fn network_file_system(_: &File) -> io::Result<Option<&'static str>> {
    Ok(None)
}
