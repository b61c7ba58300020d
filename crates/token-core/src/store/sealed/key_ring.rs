use std::env::{self, VarError};
use std::path::Path;
use std::str::FromStr;

use zeroize::Zeroizing;

use super::key::SealingKey;
use super::key_file;
use super::keys::{KeyError, SealingKeys};
use crate::config_error::ConfigError;

/// One key that records are sealed with, the primary, and any number of others that records are still read with.
///
/// As text it is `id:key`, the key 32 bytes in base64, with a comma or the line's end between two. The first is the
/// primary. From `#` to the line's end is a comment.
///
/// ```text
/// 2026-11:…  # openssl rand -base64 32
/// 2026-05:…
/// ```
///
/// # Example
///
/// ```
/// use token_core::store::sealed::{KeyRing, SealingKey};
///
/// # fn main() -> Result<(), token_core::ConfigError> {
/// let (old, new) = (SealingKey::random("2026-05")?, SealingKey::random("2026-11")?);
/// let keys = KeyRing::new(new).with_reader(old)?;
/// assert_eq!(keys.ids().collect::<Vec<_>>(), ["2026-11", "2026-05"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct KeyRing {
    primary: SealingKey,
    readers: Vec<SealingKey>,
}

impl KeyRing {
    /// A ring of this key alone.
    pub const fn new(primary: SealingKey) -> Self {
        Self { primary, readers: Vec::new() }
    }

    /// Adds a key that records are read with.
    ///
    /// # Errors
    ///
    /// There is a key of this id.
    pub fn with_reader(mut self, key: SealingKey) -> Result<Self, ConfigError> {
        if self.get(key.id()).is_some() {
            return Err(ConfigError::new(format!(
                "two sealing keys have the id `{}`; give each an id of its own",
                key.id()
            )));
        }
        self.readers.push(key);
        Ok(self)
    }

    /// Reads the ring's text from this environment variable.
    ///
    /// The environment keeps it: whoever may look into this process can read it there too.
    ///
    /// # Errors
    ///
    /// The variable is not set, or its text is no ring. No error quotes it.
    pub fn from_env(name: &str) -> Result<Self, ConfigError> {
        let text = match env::var(name) {
            Ok(text) => Zeroizing::new(text),
            Err(VarError::NotPresent) => {
                return Err(ConfigError::new(format!(
                    "the environment variable `{name}` is not set; set it to the sealing keys, each as `id:key`"
                )));
            }
            Err(VarError::NotUnicode(_)) => {
                return Err(ConfigError::new(format!(
                    "the environment variable `{name}` is not UTF-8; set it anew"
                )));
            }
        };
        parse(&format!("the environment variable `{name}`"), &text)
    }

    /// Reads the ring's text from this file, once.
    ///
    /// It must be a file, not a link to one, with no second name, of the user that this process runs as, and of mode 0600 or
    /// less. On other systems than Unix it must be a file, and who may read it is not looked at. Who may write to its
    /// directory is not looked at either.
    ///
    /// # Errors
    ///
    /// It is no such file, cannot be read, or its text is no ring. No error quotes it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let text = key_file::read(path)?;
        parse(&format!("the sealing keys' file `{}`", path.display()), &text)
    }

    /// The keys' ids, the primary's first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(SealingKey::id)
    }

    fn keys(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.primary).chain(&self.readers)
    }

    pub(super) fn get(&self, id: &str) -> Option<&SealingKey> {
        self.keys().find(|key| key.id() == id)
    }
}

impl SealingKeys for KeyRing {
    async fn primary(&self) -> Result<SealingKey, KeyError> {
        Ok(self.primary.clone())
    }

    async fn find(&self, id: &str) -> Result<Option<SealingKey>, KeyError> {
        Ok(self.get(id).cloned())
    }
}

impl FromStr for KeyRing {
    type Err = ConfigError;

    /// # Errors
    ///
    /// It is no ring's text. The error says which entry is wrong, and quotes nothing of it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse("the key ring", text)
    }
}

fn parse(place: &str, text: &str) -> Result<KeyRing, ConfigError> {
    // Some editors begin a file with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let entries = lines.flat_map(|line| line.split(',')).map(str::trim);
    let mut ring: Option<KeyRing> = None;
    for (n, entry) in entries.filter(|entry| !entry.is_empty()).enumerate() {
        let wrong = |why| ConfigError::new(format!("{place}: entry {} {why}", n + 1));
        let key = SealingKey::parse(entry).map_err(wrong)?;
        ring = Some(match ring {
            None => KeyRing::new(key),
            Some(ring) => ring
                .with_reader(key)
                .map_err(|error| ConfigError::new(format!("{place}: {error}")))?,
        });
    }
    ring.ok_or_else(|| {
        ConfigError::new(format!("{place} has no sealing key; put one there, as `id:key`"))
    })
}
