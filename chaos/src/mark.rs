//! How tokens, records and writes are named in a history that holds no secret.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use token_core::store::Stamp;
use token_testkit::Fingerprint;

/// 64 bits that name a token, the bytes of a record, or a write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mark(pub(crate) u64);

impl Mark {
    /// The mark of a token, the same as the kit's fingerprint.
    pub(crate) fn of(text: &str) -> Self {
        Fingerprint::of(text).into()
    }
}

impl From<Fingerprint> for Mark {
    fn from(fingerprint: Fingerprint) -> Self {
        // A fingerprint is printed as 16 hexadecimal digits.
        Self(u64::from_str_radix(&fingerprint.to_string(), 16).unwrap_or_default())
    }
}

impl From<Stamp> for Mark {
    fn from(stamp: Stamp) -> Self {
        let half = stamp.to_bytes().into_iter().take(8);
        Self(half.fold(0, |bits, byte| bits << 8 | u64::from(byte)))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}
