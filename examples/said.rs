//! What an example says of a grant.

use std::time::SystemTime;

use jiff::Timestamp;
use token_core::{Health, Status};

/// How a grant stands, in one line without a secret.
pub fn state_of(status: &Status) -> String {
    let health = match status.health() {
        Health::Valid => "valid",
        Health::Stale => "valid, and due",
        Health::Expired => "expired",
        Health::NeedsLogin => "needs a login",
        _ => "unknown",
    };
    let mut line = format!("{}: {health}", status.key());
    if let Some(version) = status.version() {
        line += &format!(", version {version}");
    }
    if let Some(end) = status.expires_at() {
        line += &format!(", until {}", time(end));
    }
    if let Some(at) = status.last_refreshed_at() {
        line += &format!(", last refreshed {}", time(at));
    }
    line
}

/// A time in UTC, to the second.
pub fn time(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "out of range".to_owned(), |time| time.to_string())
}
