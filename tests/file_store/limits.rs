//! What the operating system denies: room, the size of a file, the right to write.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use token_core::store::StoreErrorKind::Refused;
use token_store_file::FileStore;

use crate::process::{NOBODY, Process, this_binary, this_binary_as};
use crate::site::Site;
use crate::troubles::{Cause, Newcomer, Trouble, walk};

/// A file system in memory at a path; it goes with this.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, options: &str, what: &str) -> Option<Self> {
        let arguments = ["-t", "tmpfs", "-o", options, what];
        let output = Command::new("mount").args(arguments).arg(at).output();
        let mounted = output.is_ok_and(|output| output.status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_survived() {
    let site = Site::new();
    fs::create_dir(&site.directory).unwrap();
    let Some(_mount) = Mount::new(&site.directory, "size=64k,mode=700", "tmpfs") else {
        return println!("not tested: a full disk: only root mounts");
    };
    let full = Trouble {
        name: "a full disk",
        cause: Cause::Does(
            |site| {
                let filling = vec![b'x'; 1 << 20];
                let _ = fs::write(site.directory.join("filling"), filling);
                Ok(())
            },
            |site| fs::remove_file(site.directory.join("filling")).map_err(|_| "it was full"),
        ),
        kind: Refused,
        says: &["was not written: No space left on device", "make room on the disk"],
        // For its sign of life no room is needed.
        newcomer: Newcomer::ReadsTheToken,
    };
    walk(&site, &full).await;
}

#[test]
fn a_service_that_starts_on_a_read_only_disk_says_so() {
    let site = Site::new();
    fs::create_dir(&site.directory).unwrap();
    let Some(_mount) = Mount::new(&site.directory, "size=64k,mode=700,ro", "tmpfs") else {
        return println!("not tested: a read-only disk: only root mounts");
    };
    let error = FileStore::open(&site.directory).unwrap_err().to_string();
    assert!(error.contains("/tokens cannot be used: Read-only file system"), "{error}");
    assert!(error.contains("mount the file system for writing"), "{error}");
}

/// Where nobody may mount, a limit on the size of files makes writes fail as well; it can be lifted from outside.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_limit_on_the_size_of_files_is_told_and_survived() {
    use rustix::process::{Resource, Rlimit, prlimit};
    let site = Site::new();
    let token = site.start().token().await.unwrap();
    let mut shell = Command::new("sh");
    // The signal that the limit comes with would end the process, and writes would not fail.
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(this_binary().get_program()).args(this_binary().get_args());
    let mut service = Process::start_as(&site, &mut shell);
    let held = service.ask("token").await;
    let id = service.id();
    let limit = |current| {
        prlimit(Some(id), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
    };
    limit(Some(0));
    let error = service.ask("refresh").await;
    told(&error, &["was not written: File too large", "raise the limit on the size of files"]);
    assert_eq!(service.ask("token").await, held);
    assert_eq!(site.kit.token_requests(), 1);
    limit(None);
    let refreshed = service.ask("refresh").await;
    assert!(refreshed.starts_with("token") && refreshed != held, "{refreshed}");
    assert_ne!(site.start().token().await.unwrap().version(), token.version());
}

/// Root may write everywhere, so the service is another's.
#[tokio::test]
async fn a_directory_that_the_service_may_not_write_to_is_told_and_survived() {
    let site = Site::new();
    fs::create_dir(&site.directory).unwrap();
    fs::set_permissions(&site.directory, Permissions::from_mode(0o700)).unwrap();
    let mut command = this_binary();
    if geteuid().is_root() {
        fs::set_permissions(site.directory.parent().unwrap(), Permissions::from_mode(0o755))
            .unwrap();
        chown(&site.directory, Some(NOBODY), Some(NOBODY)).unwrap();
        command = this_binary_as(&site, NOBODY);
    }
    let mut service = Process::start_as(&site, &mut command);
    let held = service.ask("token").await;
    assert!(held.starts_with("token"), "{held}");

    fs::set_permissions(&site.directory, Permissions::from_mode(0o500)).unwrap();
    let error = service.ask("refresh").await;
    told(
        &error,
        &["was not written: Permission denied", "give this user the right to write there"],
    );
    assert_eq!(service.ask("token").await, held);
    let (_, newcomer) = Process::start_as(&site, &mut command).event("cannot open").await;
    assert!(newcomer.contains("/tokens cannot be used: Permission denied"), "{newcomer}");
    assert_eq!(site.kit.token_requests(), 1);

    fs::set_permissions(&site.directory, Permissions::from_mode(0o700)).unwrap();
    let refreshed = service.ask("refresh").await;
    assert!(refreshed.starts_with("token") && refreshed != held, "{refreshed}");
}

fn told(error: &str, says: &[&str]) {
    println!("{error}");
    for part in says.iter().chain(&["Store grant `billing-api`", "the grant billing-api"]) {
        assert!(error.contains(part), "{part:?} is not in: {error}");
    }
}
