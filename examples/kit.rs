//! A server of the kit in the place of a real one.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use token_core::endpoint::profile::{Profile, SHIPPED};

use crate::BoxError;

/// A profile that comes with `token-core`, for a server at this URL, with these secrets in place of the environment's
/// variables: each is a file of the directory. A process cannot set its own environment safely.
///
/// # Errors
///
/// There is no such profile, or a file cannot be written.
pub fn kit_profile(
    name: &str,
    url: &str,
    directory: &Path,
    secrets: &[(&str, &str)],
) -> Result<Profile, BoxError> {
    let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    let mut text = shipped.ok_or_else(|| format!("there is no profile {name}"))?.1.to_owned();
    for (variable, secret) in secrets {
        let path = directory.join(variable);
        write_secret(&path, secret)?;
        text = text.replace(&format!("env = \"{variable}\""), &format!("file = {path:?}"));
    }
    Ok(text.parse::<Profile>()?.with_base_url(url)?)
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
