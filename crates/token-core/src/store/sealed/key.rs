use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config_error::ConfigError;

/// The longest id. A key in base64 has 43 characters at least: put in the id's place, it is none, and no error names it.
const LONGEST_ID: usize = 32;

/// With or without the `=` at the end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// 32 random bytes that records are sealed with, and the name by which a record says that it was.
///
/// Its `Debug` shows the name alone, and the bytes are wiped when the last clone is dropped.
#[derive(Clone)]
pub struct SealingKey {
    inner: Arc<Inner>,
}

struct Inner {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
    check: String,
}

impl SealingKey {
    /// A key of these bytes, which must come from a random source: a password is none.
    ///
    /// # Errors
    ///
    /// The id is empty, longer than 32 bytes, or has other characters than `A-Z a-z 0-9 . _ -`.
    pub fn new(id: impl Into<String>, bytes: &[u8; 32]) -> Result<Self, ConfigError> {
        let id = id.into();
        if !is_id(&id) {
            // What stands there may be the key.
            return Err(ConfigError::new(BAD_ID));
        }
        let check = check(bytes);
        let mut inner = Arc::new(Inner { id, bytes: Zeroizing::new([0; 32]), check });
        if let Some(inner) = Arc::get_mut(&mut inner) {
            // In its place: to move an array leaves a copy behind that nobody wipes.
            inner.bytes.copy_from_slice(bytes);
        }
        Ok(Self { inner })
    }

    /// A new key from the operating system's random source, for tests and for services that keep keys.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), or the operating system has no randomness to give.
    pub fn random(id: impl Into<String>) -> Result<Self, ConfigError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes).map_err(|error| {
            ConfigError::new(format!("the operating system gave no random bytes: {error}"))
        })?;
        Self::new(id, &bytes)
    }

    /// Reads `id:base64`. The error quotes nothing.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (id, key) = text.split_once(':').ok_or("is not of the form `id:key`")?;
        if !is_id(id) {
            return Err(BAD_ID);
        }
        let mut bytes = Zeroizing::new([0; 32]);
        // A short buffer is how a key that is too long is noticed.
        match BASE64.decode_slice(key, &mut *bytes) {
            Ok(32) => Self::new(id, &bytes).map_err(|_| BAD_ID),
            Ok(_) | Err(base64::DecodeSliceError::OutputSliceTooSmall) => {
                Err("has a key that is not 32 bytes long; `openssl rand -base64 32` makes one")
            }
            Err(base64::DecodeSliceError::DecodeError(_)) => {
                Err("has a key that is not base64; `openssl rand -base64 32` makes one")
            }
        }
    }

    /// The name that sealed records give the key.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// Tells two keys of one id apart.
    pub(super) fn check(&self) -> &str {
        &self.inner.check
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.inner.bytes
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id())
    }
}

const BAD_ID: &str =
    "has a key id that cannot be one: it takes 1 to 32 of the characters A-Z a-z 0-9 . _ -";

/// Whether a key can have this id.
pub(super) fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(plain)
}

/// 64 bits of a hash. It helps nobody to find 256 random bits.
fn check(bytes: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"token-core sealing key v1");
    hash.update(bytes);
    hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
