use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::Moment;
use crate::days_left::days_between;
use crate::error::Error;
use crate::key::TokenKey;
use crate::protocol::{Known, logs_in};
use crate::record::State as RecordState;
use crate::version::Version;

use super::inner::Inner;

/// What an operator may see of a grant, as this process knows it now. Holds no secret.
#[derive(Clone, Debug)]
pub struct Status {
    pub(super) key: TokenKey,
    pub(super) version: Option<Version>,
    pub(super) health: Health,
    pub(super) expires_at: Option<SystemTime>,
    pub(super) expires_in: Option<Duration>,
    pub(super) days_left: Option<i64>,
    pub(super) refresh_expires_at: Option<SystemTime>,
    pub(super) last_refreshed_at: Option<SystemTime>,
    pub(super) refreshing: bool,
    pub(super) unsaved: bool,
    pub(super) last_error: Option<Error>,
}

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Nothing is known yet: the first request, or [`TokenManager::ready`](crate::TokenManager::ready), looks.
    Unknown,
    /// There is a token that is good to send.
    Valid,
    /// There is a token that is good to send, and it is time for the next one.
    Stale,
    /// There is no token that is good to send; the next request gets one.
    Expired,
    /// The grant is dead. Its last access token may still be served until it ends.
    NeedsLogin,
}

impl Status {
    /// The grant's key.
    pub fn key(&self) -> &TokenKey {
        &self.key
    }

    /// The version of the newest tokens.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// How the grant stands.
    pub fn health(&self) -> Health {
        self.health
    }

    /// When the access token ends, if that is known.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Whether the access token ends within `life`, or has ended. `false` where its end is not known.
    pub fn expires_within(&self, life: Duration) -> bool {
        self.expires_in.is_some_and(|left| left <= life)
    }

    /// How many whole days the access token lasts, rounded down: 0 on its last day, −1 on the first day after its end. `None`
    /// only where its end is not known.
    pub fn days_left(&self) -> Option<i64> {
        self.days_left
    }

    /// When the refresh token ends, if the server said so.
    pub fn refresh_expires_at(&self) -> Option<SystemTime> {
        self.refresh_expires_at
    }

    /// When the last successful refresh was sent, by whichever process; `None` for tokens brought by hand.
    pub fn last_refreshed_at(&self) -> Option<SystemTime> {
        self.last_refreshed_at
    }

    /// Whether a refresh is under way in this process.
    pub fn is_refreshing(&self) -> bool {
        self.refreshing
    }

    /// Whether this process holds tokens that the store has not taken yet. Do not stop it before it has.
    pub fn has_unsaved_tokens(&self) -> bool {
        self.unsaved
    }

    /// Whether a login is needed.
    pub fn needs_login(&self) -> bool {
        self.health == Health::NeedsLogin
    }

    /// The last failure, if nothing has succeeded since.
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }
}

/// What [`TokenManager::shutdown`](crate::TokenManager::shutdown) left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a refresh that was left may have spent the refresh token"]
#[non_exhaustive]
pub enum Shutdown {
    /// Nothing: every refresh was finished and stored.
    Clean,
    /// A refresh was under way and goes on for as long as its runtime lives.
    RefreshLeft,
    /// New tokens are in memory only: the store had not taken them by the deadline.
    UnsavedTokens,
}

/// The end counts once either clock says so.
fn days(known: &Known, now: Moment) -> Option<i64> {
    let days = days_between(now.wall(), known.record.tokens.ends()?);
    Some(match known.deadlines.ended {
        Some(ended) if ended.passed(now) => days.min(-1),
        Some(ended) => days.min(days_between(Duration::ZERO, ended.remaining(now))),
        None => days,
    })
}

impl Inner {
    pub(super) fn status(&self) -> Status {
        let now = self.clock.now();
        let state = self.state();
        let known = state.replica.known();
        let has_token = known.is_some_and(|known| known.record.tokens.access_token().is_some());
        let dead = known.is_some_and(|known| {
            matches!(known.record.state, RecordState::Dead { .. })
                && !logs_in(&known.record, &|tokens| self.refresher.spends(tokens))
        });
        let health = match known {
            _ if dead || state.last_error.as_ref().is_some_and(Error::needs_login) => {
                Health::NeedsLogin
            }
            None => Health::Unknown,
            Some(known) if known.record.tokens.is_empty() => Health::Unknown,
            Some(known) if !has_token || known.deadlines.is_expired(now) => Health::Expired,
            Some(known) if known.deadlines.is_stale(now) => Health::Stale,
            Some(_) => Health::Valid,
        };
        Status {
            key: self.key.clone(),
            version: known.map(|known| known.record.version),
            health,
            expires_at: known.and_then(|known| known.record.tokens.expires_at()),
            expires_in: known
                .and_then(|known| known.deadlines.ended)
                .map(|ended| ended.remaining(now)),
            days_left: known.and_then(|known| days(known, now)),
            refresh_expires_at: known.and_then(|known| known.record.tokens.refresh_expires_at()),
            last_refreshed_at: known
                .and_then(|known| known.record.refreshed_at)
                .and_then(|at| UNIX_EPOCH.checked_add(at)),
            refreshing: state.flight.is_some(),
            unsaved: state.replica.has_unsaved_answer(),
            last_error: state.last_error.clone(),
        }
    }
}
