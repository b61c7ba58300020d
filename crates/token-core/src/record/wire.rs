//! A record's form as bytes.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::key::StoreKey;
use crate::secret::{AccessToken, RefreshToken, SeedFingerprint};
use crate::token::{Expiry, TokenSet};
use crate::version::Version;

use super::{DeadReason, FORMAT, Record, State};

/// The JSON form. Times are RFC 3339, so that a person can read them.
#[derive(Serialize, Deserialize)]
pub(super) struct Wire {
    format: u32,
    pub(super) key: String,
    epoch: u64,
    generation: u64,
    state: WireState,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DeadReason>,
    obtained_at: WireTime,
    #[serde(skip_serializing_if = "Option::is_none")]
    refreshed_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expires_at: Option<WireTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    settling: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seeds: Vec<String>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    extra: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<Zeroizing<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<Zeroizing<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WireState {
    Idle,
    InFlight,
    Unknown,
    Dead,
}

impl Wire {
    pub(super) fn new(record: &Record, key: &StoreKey) -> Self {
        let (state, reason) = match record.state {
            State::Idle => (WireState::Idle, None),
            State::InFlight { .. } => (WireState::InFlight, None),
            State::Unknown { .. } => (WireState::Unknown, None),
            State::Dead { reason } => (WireState::Dead, Some(reason)),
        };
        let tokens = &record.tokens;
        let fixed = |expiry: Option<Expiry>| match expiry {
            Some(Expiry::At(end)) => Some(WireTime(end)),
            Some(Expiry::In(_)) | None => None,
        };
        Self {
            format: FORMAT,
            key: key.as_str().to_owned(),
            epoch: record.version.epoch(),
            generation: record.version.generation(),
            state,
            attempt: record.attempt().map(|attempt| attempt.to_string()),
            reason,
            obtained_at: WireTime(record.obtained_at),
            refreshed_at: record.refreshed_at.map(WireTime),
            expires_at: fixed(tokens.expires),
            refresh_expires_at: fixed(tokens.refresh_expires),
            token_type: tokens.token_type.clone(),
            scope: tokens.scope.clone(),
            settling: record.settling,
            seeds: record
                .seeds
                .iter()
                .map(|seed| format!("{:032x}", u128::from_be_bytes(seed.0)))
                .collect(),
            extra: tokens.extra.clone(),
            access_token: tokens
                .access_token
                .as_ref()
                .map(|t| Zeroizing::new(t.expose_secret().to_owned())),
            refresh_token: tokens
                .refresh_token
                .as_ref()
                .map(|t| Zeroizing::new(t.expose_secret().to_owned())),
        }
    }

    pub(super) fn into_record(self) -> Option<Record> {
        let attempt = match &self.attempt {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        let state = match self.state {
            WireState::Idle => State::Idle,
            WireState::InFlight => State::InFlight { attempt: attempt? },
            WireState::Unknown => State::Unknown { attempt: attempt? },
            WireState::Dead => State::Dead { reason: self.reason? },
        };
        let mut seeds = Vec::with_capacity(self.seeds.len());
        for seed in &self.seeds {
            seeds.push(SeedFingerprint(u128::from_str_radix(seed, 16).ok()?.to_be_bytes()));
        }
        Some(Record {
            version: Version::new(self.epoch, self.generation),
            state,
            tokens: TokenSet {
                access_token: self.access_token.map(|t| AccessToken::new(t.as_str())),
                refresh_token: self.refresh_token.map(|t| RefreshToken::new(t.as_str())),
                token_type: self.token_type,
                expires: self.expires_at.map(|end| Expiry::At(end.0)),
                refresh_expires: self.refresh_expires_at.map(|end| Expiry::At(end.0)),
                scope: self.scope,
                extra: self.extra,
            },
            refreshed_at: self.refreshed_at.map(|at| at.0),
            obtained_at: self.obtained_at.0,
            seeds,
            settling: self.settling,
        })
    }
}

/// A time since the Unix epoch, written as RFC 3339. A time beyond the year 9999 is written as that year's end.
#[derive(Clone, Copy)]
struct WireTime(Duration);

impl fmt::Display for WireTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::SignedDuration::try_from(self.0)
            .ok()
            .and_then(|since| jiff::Timestamp::from_duration(since).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time}")
    }
}

impl Serialize for WireTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self(Duration::try_from(time.as_duration()).unwrap_or_default()))
    }
}
