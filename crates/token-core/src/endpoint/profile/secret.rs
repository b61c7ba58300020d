use std::env::{self, VarError};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::Secret;

/// The largest secret, in bytes, that is read from a file: a key or a token, not a disk.
const LARGEST: u64 = 64 * 1024;

/// Where a secret is kept. It is read at each use, so that it can be rotated without a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretRef {
    /// An environment variable, or the file that the variable of that name and `_FILE` names.
    Env(String),
    File(PathBuf),
}

impl SecretRef {
    /// Reads the secret. The error says what is missing and how to mend it, and holds no part of the secret.
    pub(super) fn read(&self) -> Result<Secret, String> {
        match self {
            Self::File(path) => read_file(path),
            Self::Env(name) => match env::var(name) {
                Ok(text) if !text.is_empty() => Ok(Secret::new(text)),
                Ok(_) => Err(format!("the environment variable `{name}` is empty; set it")),
                Err(VarError::NotUnicode(_)) => {
                    Err(format!("the environment variable `{name}` is not UTF-8; set it anew"))
                }
                Err(VarError::NotPresent) => match env::var_os(format!("{name}_FILE")) {
                    Some(path) => read_file(Path::new(&path)),
                    None => Err(format!(
                        "the environment variable `{name}` is not set; set it, or `{name}_FILE` to the path of a file of mode 0600"
                    )),
                },
            },
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, String> {
    let shown = path.display();
    let failed =
        |error: std::io::Error| format!("the secret's file `{shown}` cannot be read: {error}");
    // Asked before it is opened: to open a pipe is to wait for whoever writes to it.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(format!("the secret's file `{shown}` is no file; name one of mode 0600"));
    }
    let file = File::open(path).map_err(failed)?;
    if is_open_to_others(&file).map_err(failed)? {
        return Err(format!(
            "the secret's file `{shown}` is open to other users; set its mode to 0600"
        ));
    }
    let mut text = Zeroizing::new(String::with_capacity(1024));
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(format!(
            "the secret's file `{shown}` is longer than {LARGEST} bytes; is it the right one?"
        ));
    }
    // Editors and `echo` end the line.
    let secret = text
        .strip_suffix('\n')
        .map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    if secret.is_empty() {
        return Err(format!("the secret's file `{shown}` is empty; write the secret to it"));
    }
    Ok(Secret::new(secret))
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Elsewhere a file's mode does not say it.
#[cfg(not(unix))]
fn is_open_to_others(_file: &File) -> std::io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_with_the_mend() {
        let missing = SecretRef::Env("TOKEN_CORE_TEST_NOT_SET".to_owned()).read().unwrap_err();
        assert!(missing.contains("`TOKEN_CORE_TEST_NOT_SET` is not set; set it"), "{missing}");
        let missing = SecretRef::File("/nonexistent/secret".into()).read().unwrap_err();
        assert!(missing.contains("/nonexistent/secret"), "{missing}");
        let directory = SecretRef::File("/".into()).read().unwrap_err();
        assert!(directory.contains("is no file"), "{directory}");
    }

    /// A process cannot set its own environment without `unsafe`, so this test starts itself again.
    #[cfg(unix)]
    #[test]
    fn a_variable_is_read_or_the_file_that_its_sibling_names() {
        const CHILD: &str = "TOKEN_CORE_TEST_SECRETS";
        let read = |name: &str| SecretRef::Env(name.to_owned()).read();
        if env::var_os(CHILD).is_some() {
            assert_eq!(read("IN_ENV").unwrap().expose_secret(), "one");
            assert_eq!(read("IN_FILE").unwrap().expose_secret(), "two");
            assert!(read("EMPTY").unwrap_err().contains("`EMPTY` is empty"));
            assert!(read("IN_NO_FILE").unwrap_err().contains("/nonexistent"));
            return;
        }
        use std::os::unix::fs::OpenOptionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, b"two\n").unwrap();
        let name = std::thread::current().name().unwrap().to_owned();
        let output = std::process::Command::new(env::current_exe().unwrap())
            .args(["--exact", &name])
            .env(CHILD, "1")
            .env("IN_ENV", "one")
            .env("IN_FILE_FILE", &path)
            .env("IN_NO_FILE_FILE", "/nonexistent")
            .env("EMPTY", "")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_read_anew_each_time_and_only_if_nobody_else_can() {
        use std::fs::{Permissions, set_permissions, write};
        use std::os::unix::fs::PermissionsExt;

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        let secret = SecretRef::File(path.clone());
        write(&path, "first line\r\n").unwrap();
        for open in [0o644, 0o640, 0o604, 0o610] {
            set_permissions(&path, Permissions::from_mode(open)).unwrap();
            assert!(secret.read().unwrap_err().contains("mode to 0600"), "{open:o}");
        }
        for closed in [0o600, 0o400] {
            set_permissions(&path, Permissions::from_mode(closed)).unwrap();
            assert_eq!(secret.read().unwrap().expose_secret(), "first line");
        }
        set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        write(&path, " rotated ").unwrap();
        assert_eq!(secret.read().unwrap().expose_secret(), " rotated ");
        for (wrong, word) in [
            (String::new(), "is empty"),
            ("\n".to_owned(), "is empty"),
            ("CANARY".repeat(20_000), "longer than"),
        ] {
            write(&path, wrong).unwrap();
            let error = secret.read().unwrap_err();
            assert!(error.contains(word) && !error.contains("CANARY"), "{error}");
        }
    }
}
