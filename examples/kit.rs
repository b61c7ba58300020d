//! A server of the kit in the place of a real one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use token_core::endpoint::profile::{Profile, SHIPPED};

use crate::BoxError;

/// A profile that comes with `token-core`, for a server at this URL, with these secrets in place of the environment's
/// variables.
///
/// # Errors
///
/// There is no such profile, or a secret cannot be written.
pub fn kit_profile(
    name: &str,
    url: &str,
    directory: &Path,
    secrets: &[(&str, &str)],
) -> Result<Profile, BoxError> {
    let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    let (_, text) = shipped.ok_or_else(|| format!("there is no profile {name}"))?;
    Ok(with_secrets(text, directory, secrets)?.parse::<Profile>()?.with_base_url(url)?)
}

/// A profile's text with files of this directory in place of these variables of the environment, which a process cannot set
/// safely for itself.
///
/// # Errors
///
/// A secret cannot be written.
pub fn with_secrets(
    profile: &str,
    directory: &Path,
    secrets: &[(&str, &str)],
) -> io::Result<String> {
    let mut text = profile.to_owned();
    for (variable, secret) in secrets {
        let path = directory.join(variable);
        write_secret(&path, secret)?;
        text = text.replace(&format!("env = \"{variable}\""), &format!("file = {path:?}"));
    }
    Ok(text)
}

/// Writes a secret to a file that no other user can open.
///
/// # Errors
///
/// It cannot be written.
pub fn write_secret(path: &Path, secret: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(secret.as_bytes())
}
