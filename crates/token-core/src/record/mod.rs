//! What a store holds for one grant, and its form as bytes.
//!
//! # Older and newer versions over one store
//!
//! `format` is the number of what a reader has to understand. A reader refuses a higher one than its own, changes nothing, and
//! says that it has to be updated; it reads all lower ones, and writes its own. Within one number a field may be added only if a
//! program that does not know it may drop it, as its next write does. A new value of `state` or `reason`, and whatever a decision
//! depends on, takes a new number. (Not before the first release: no older version is there to misread it.)

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::key::StoreKey;
use crate::secret::SeedFingerprint;
use crate::store::{Stamp, StoreErrorKind};
use crate::token::TokenSet;
use crate::version::Version;

mod wire;

use self::wire::Wire;

/// How many seeds a record remembers: enough for every replica of a deployment to have another one.
const SEEDS_REMEMBERED: usize = 16;

/// The format that this code writes, and the newest that it reads.
const FORMAT: u32 = 1;

/// How every sealed record begins, of this format and all later ones: no clear record does.
pub(crate) const SEALED: &[u8] = br#"{"sealed":"#;

/// What a store holds for one grant.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) version: Version,
    pub(crate) state: State,
    pub(crate) tokens: TokenSet,
    /// When the request for these tokens was sent (time since the Unix epoch); `None` for tokens brought by hand.
    pub(crate) refreshed_at: Option<Duration>,
    /// When these tokens were obtained, by a refresh or by hand: their lifetime counts from here.
    pub(crate) obtained_at: Duration,
    /// The seeds that this grant has taken over, oldest first.
    pub(crate) seeds: Vec<SeedFingerprint>,
    /// The store had lost or fallen behind this record, and somebody may know a newer one: nothing is presented before
    /// everybody has had the time to say so.
    pub(crate) settling: bool,
}

/// What may be done with a record's refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    /// It was never presented: whoever swaps in an intent may present it.
    Idle,
    /// The holder of this attempt may be presenting it.
    InFlight { attempt: Stamp },
    /// It was presented, and nobody knows what came of it.
    Unknown { attempt: Stamp },
    /// It is of no more use: a login is needed.
    Dead { reason: DeadReason },
}

/// Why a grant needs a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeadReason {
    /// The authorization server answered `invalid_grant` to the newest refresh token.
    Refused,
    /// The outcome of a refresh is unknown, and the rule for that is to require a login.
    OutcomeUnknown,
    /// Somebody logged out.
    LoggedOut,
}

impl Record {
    /// The first record of a grant, or of a new epoch, from tokens that were brought by hand.
    pub(crate) fn brought(version: Version, tokens: TokenSet, at: Duration) -> Self {
        Self {
            version,
            state: State::Idle,
            tokens,
            refreshed_at: None,
            obtained_at: at,
            seeds: Vec::new(),
            settling: false,
        }
    }

    pub(crate) fn with_state(&self, state: State) -> Self {
        Self { state, ..self.clone() }
    }

    pub(crate) fn settling(&self, settling: bool) -> Self {
        Self { settling, ..self.clone() }
    }

    pub(crate) fn attempt(&self) -> Option<Stamp> {
        match self.state {
            State::InFlight { attempt } | State::Unknown { attempt } => Some(attempt),
            State::Idle | State::Dead { .. } => None,
        }
    }

    pub(crate) fn knows_seed(&self, seed: SeedFingerprint) -> bool {
        self.seeds.contains(&seed)
    }

    pub(crate) fn with_seeds(
        mut self,
        mut seeds: Vec<SeedFingerprint>,
        new: Option<SeedFingerprint>,
    ) -> Self {
        seeds.extend(new);
        let surplus = seeds.len().saturating_sub(SEEDS_REMEMBERED);
        seeds.drain(..surplus);
        self.seeds = seeds;
        self
    }

    /// The record as a store keeps it: JSON that a person can read. The buffer is wiped when its last copy is dropped.
    pub(crate) fn encode(&self, key: &StoreKey) -> Bytes {
        let wire = Wire::new(self, key);
        // Serializing maps with string keys, strings and integers into memory cannot fail.
        Bytes::from_owner(Zeroizing::new(serde_json::to_vec_pretty(&wire).unwrap_or_default()))
    }

    pub(crate) fn decode(bytes: &[u8], key: &StoreKey) -> Result<Self, RecordError> {
        if bytes.starts_with(SEALED) {
            return Err(RecordError::Sealed);
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|_| RecordError::Unreadable)?;
        if head.format > FORMAT {
            return Err(RecordError::Newer { format: head.format });
        }
        let wire: Wire = serde_json::from_slice(bytes).map_err(|_| RecordError::Unreadable)?;
        if wire.key != key.as_str() {
            return Err(RecordError::OtherKey { found: wire.key });
        }
        wire.into_record().ok_or(RecordError::Unreadable)
    }
}

/// Why stored bytes are not a record of this grant. Never taken for "no record".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error(
        "the stored record cannot be read: it is damaged, or something else wrote it; repair it, or log in again, which \
         sets it aside"
    )]
    Unreadable,
    #[error(
        "the stored record has format {format}, this version reads up to {FORMAT}: update this program"
    )]
    Newer { format: u32 },
    #[error(
        "the stored record belongs to the grant `{found}`: somebody moved it; bring back the right one, or log in again, \
         which sets this one aside"
    )]
    OtherKey { found: String },
    #[error(
        "the stored record is sealed: open this store through `SealedStore`, with the keys that the other processes have; \
         the record is left as it is"
    )]
    Sealed,
}

impl RecordError {
    /// What it means for the record.
    pub(crate) const fn kind(&self) -> StoreErrorKind {
        match self {
            Self::Unreadable | Self::Newer { .. } | Self::OtherKey { .. } => {
                StoreErrorKind::Corrupt
            }
            Self::Sealed => StoreErrorKind::Sealed,
        }
    }
}

/// Whether these bytes are a record in the clear, of this or a newer format, whole or not.
#[cfg(feature = "sealing")]
pub(crate) fn is_clear(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Head>(bytes).is_ok()
}

/// The version in a record, if these bytes are one.
#[cfg(feature = "sealing")]
pub(crate) fn version_of(bytes: &[u8]) -> Option<Version> {
    #[derive(Deserialize)]
    struct Versioned {
        epoch: u64,
        generation: u64,
    }
    let Versioned { epoch, generation } = serde_json::from_slice(bytes).ok()?;
    Some(Version::new(epoch, generation))
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::TokenKey;
    use crate::token::Expiry;

    #[test]
    fn a_record_survives_its_form_as_bytes() {
        for state in [
            State::Idle,
            State::InFlight { attempt: Stamp::random() },
            State::Unknown { attempt: Stamp::random() },
            State::Dead { reason: DeadReason::Refused },
        ] {
            let record = sample(state);
            let read = Record::decode(&record.encode(&key()), &key()).unwrap();
            assert_eq!(format!("{record:?}"), format!("{read:?}"));
            assert_eq!(read.tokens.access_token().unwrap().expose_secret(), "at");
            assert_eq!(read.tokens.refresh_token().unwrap().expose_secret(), "rt");
        }
    }

    #[test]
    fn a_newer_format_is_told_apart_from_a_damaged_record() {
        assert_eq!(
            Record::decode(br#"{"format":2,"shape":"unheard of"}"#, &key()).unwrap_err(),
            RecordError::Newer { format: 2 }
        );
        assert_eq!(Record::decode(b"", &key()).unwrap_err(), RecordError::Unreadable);
    }

    #[test]
    fn a_record_under_another_key_is_refused() {
        let other = TokenKey::new("other").unwrap().to_store_key();
        let bytes = sample(State::Idle).encode(&other);
        assert_eq!(
            Record::decode(&bytes, &key()).unwrap_err(),
            RecordError::OtherKey { found: "other".to_owned() }
        );
    }

    #[test]
    fn a_sealed_record_is_told_apart_also_if_it_is_damaged_or_newer() {
        for bytes in [&br#"{"sealed":1,"key":"k"}"#[..], br#"{"sealed":99,{"#, br#"{"sealed":"#] {
            let error = Record::decode(bytes, &key()).unwrap_err();
            assert_eq!((error.kind(), error), (StoreErrorKind::Sealed, RecordError::Sealed));
        }
    }

    #[test]
    fn an_end_beyond_the_calendar_is_kept_as_the_last_one() {
        let mut record = sample(State::Idle);
        record.tokens.expires = Some(Expiry::At(Duration::MAX));
        let read = Record::decode(&record.encode(&key()), &key()).unwrap();
        assert!(read.tokens.ends().unwrap() > Duration::from_secs(250_000_000_000));
    }

    fn key() -> StoreKey {
        TokenKey::new("grant").unwrap().to_store_key()
    }

    fn sample(state: State) -> Record {
        let tokens = TokenSet::new("at")
            .with_refresh_token("rt")
            .with_scope("a b")
            .with_extra("locationId", "x".into());
        let record =
            Record::brought(Version::new(3, 4), tokens, Duration::from_millis(1_767_225_600_123));
        Record { state, settling: true, ..record }
            .with_seeds(Vec::new(), Some(SeedFingerprint::of(&["seed"])))
    }
}
