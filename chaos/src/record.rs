//! What of a stored record goes into the history.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::mark::Mark;

/// Epoch and generation.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub(crate) struct Version(pub(crate) u64, pub(crate) u64);

impl From<token_core::Version> for Version {
    fn from(version: token_core::Version) -> Self {
        Self(version.epoch(), version.generation())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Idle,
    InFlight,
    Unknown,
    Dead,
}

/// A record without its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: Version,
    pub(crate) state: State,
    pub(crate) refresh: Option<Mark>,
}

/// The fields of the record's readable form that matter here.
#[derive(Deserialize)]
struct Wire {
    epoch: u64,
    generation: u64,
    state: State,
    refresh_token: Option<String>,
}

impl Record {
    /// Reads the bytes of a store. The error says why they are no record, and nothing of what they hold.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let wire: Wire = serde_json::from_slice(bytes)
            .map_err(|error| format!("{:?} at byte {}", error.classify(), error.column()))?;
        Ok(Self {
            version: Version(wire.epoch, wire.generation),
            state: wire.state,
            refresh: wire.refresh_token.as_deref().map(Mark::of),
        })
    }
}

/// The mark of a record's bytes.
pub(crate) fn digest(bytes: &[u8]) -> Mark {
    Mark::of(&String::from_utf8_lossy(bytes))
}
