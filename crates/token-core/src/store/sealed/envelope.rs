//! A sealed record: one line of JSON, so that a store that keeps JSON readable keeps it as it is.
//!
//! There is one way to write each, and a reader writes anew what it has read and compares: of what is not under the tag,
//! no byte can differ either.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key::{SealingKey, is_id};
use crate::key::StoreKey;
use crate::record;
use crate::store::Stamp;
use crate::version::Version;

/// The format that this code writes, and the newest that it reads.
pub(super) const FORMAT: u32 = 1;

/// 192 random bits: processes need not agree on nonces, however many records one key seals.
pub(super) type Nonce = [u8; 24];

/// What a sealed record says of itself, and the ciphertext.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) key_id: String,
    /// Tells another key of the same id from damage, which a tag cannot.
    pub(super) key_check: String,
    /// Left out for bytes that are no record.
    version: Option<Version>,
    nonce: Nonce,
    ciphertext: Vec<u8>,
}

/// Why bytes are not a sealed record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotSealed {
    /// They are a record in the clear.
    Clear,
    Newer {
        format: u32,
    },
    Damaged,
}

impl Envelope {
    /// Seals these bytes as the record that this write makes of this grant. `None` for more bytes than the cipher takes,
    /// which are 256 GiB.
    pub(super) fn seal(
        key: &SealingKey,
        nonce: Nonce,
        grant: &StoreKey,
        stamp: Stamp,
        plaintext: &[u8],
    ) -> Option<Self> {
        let version = record::version_of(plaintext);
        let aad = associated_data(key.id(), grant, version, stamp);
        let payload = Payload { msg: plaintext, aad: &aad };
        let ciphertext = cipher(key).encrypt(&XNonce::from(nonce), payload).ok()?;
        let (key_id, key_check) = (key.id().to_owned(), key.check().to_owned());
        Some(Self { key_id, key_check, version, nonce, ciphertext })
    }

    /// What was sealed, if this is the record that this write made of this grant, and nobody changed it. The buffer is
    /// wiped when its last copy is dropped.
    pub(super) fn open(&self, key: &SealingKey, grant: &StoreKey, stamp: Stamp) -> Option<Bytes> {
        let aad = associated_data(&self.key_id, grant, self.version, stamp);
        let payload = Payload { msg: &self.ciphertext, aad: &aad };
        let plaintext = cipher(key).decrypt(&XNonce::from(self.nonce), payload).ok()?;
        Some(Bytes::from_owner(Zeroizing::new(plaintext)))
    }

    pub(super) fn is_sealed_with(&self, key: &SealingKey) -> bool {
        self.key_id == key.id() && self.key_check == key.check()
    }

    pub(super) fn encode(&self) -> Bytes {
        let wire = Wire {
            sealed: FORMAT,
            key: self.key_id.clone(),
            key_check: self.key_check.clone(),
            epoch: self.version.map(Version::epoch),
            generation: self.version.map(Version::generation),
            nonce: STANDARD.encode(self.nonce),
            ciphertext: STANDARD.encode(&self.ciphertext),
        };
        // Serializing strings and integers into memory cannot fail.
        Bytes::from(serde_json::to_vec(&wire).unwrap_or_default())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NotSealed> {
        let Some(rest) = bytes.strip_prefix(record::SEALED) else {
            let clear = record::is_clear(bytes);
            return Err(if clear { NotSealed::Clear } else { NotSealed::Damaged });
        };
        // Before anything that only this format has.
        match format(rest) {
            Some(FORMAT) => {}
            Some(format) if format > FORMAT => return Err(NotSealed::Newer { format }),
            _ => return Err(NotSealed::Damaged),
        }
        Self::read(bytes).filter(|read| read.encode() == bytes).ok_or(NotSealed::Damaged)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let wire: Wire = serde_json::from_slice(bytes).ok()?;
        let version = match (wire.epoch, wire.generation) {
            (Some(epoch), Some(generation)) => Some(Version::new(epoch, generation)),
            (None, None) => None,
            _ => return None,
        };
        Some(Self {
            key_id: Some(wire.key).filter(|id| is_id(id))?,
            key_check: wire.key_check,
            version,
            nonce: STANDARD.decode(wire.nonce).ok()?.try_into().ok()?,
            ciphertext: STANDARD.decode(wire.ciphertext).ok()?,
        })
    }
}

#[derive(Deserialize, Serialize)]
struct Wire {
    sealed: u32,
    key: String,
    key_check: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    nonce: String,
    ciphertext: String,
}

fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.bytes().into())
}

/// The number that follows the prefix. One that is too large for us is of a newer format all the same.
fn format(rest: &[u8]) -> Option<u32> {
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let digits = std::str::from_utf8(&rest[..end]).ok().filter(|digits| !digits.is_empty())?;
    Some(digits.parse().unwrap_or(u32::MAX))
}

/// What the ciphertext is bound to. Each text with its length, so that nothing can be shifted from one into the next.
fn associated_data(
    key_id: &str,
    grant: &StoreKey,
    version: Option<Version>,
    stamp: Stamp,
) -> Vec<u8> {
    let mut data = b"token-core sealed record".to_vec();
    data.extend(FORMAT.to_be_bytes());
    for text in [key_id, grant.as_str()] {
        data.extend((text.len() as u64).to_be_bytes());
        data.extend(text.as_bytes());
    }
    match version {
        None => data.push(0),
        Some(version) => {
            data.push(1);
            data.extend(version.epoch().to_be_bytes());
            data.extend(version.generation().to_be_bytes());
        }
    }
    data.extend(stamp.to_bytes());
    data
}
