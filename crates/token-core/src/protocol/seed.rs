use std::time::Duration;

use crate::clock::Moment;
use crate::config_error::ConfigError;
use crate::guard::Guard;
use crate::record::{DeadReason, Record, State};
use crate::secret::{AccessToken, RefreshToken, SeedFingerprint};
use crate::token::TokenSet;

use super::replica::Replica;

/// Tokens that a grant starts with where the store has none.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) tokens: TokenSet,
    pub(crate) fingerprint: SeedFingerprint,
    /// When it was handed over (time since the Unix epoch).
    pub(crate) at: Duration,
}

impl Seed {
    pub(crate) fn new(tokens: TokenSet, now: Moment) -> Result<Self, ConfigError> {
        let empty = |text: Option<&str>| text.is_none_or(str::is_empty);
        let access = tokens.access_token().map(AccessToken::expose_secret);
        let refresh = tokens.refresh_token().map(RefreshToken::expose_secret);
        if empty(access) && empty(refresh) {
            return Err(ConfigError::new(
                "the seed is empty; give it the refresh token or the access token of a login, or leave it out",
            ));
        }
        Ok(Self { fingerprint: tokens.fingerprint(), tokens: tokens.brought(now), at: now.wall() })
    }
}

impl Replica {
    /// Whether a new seed is to replace the tokens known: they belong to a login that is over.
    pub(crate) fn awaits_seed(&self) -> bool {
        match &self.seen {
            Some(Some(seen)) => self.new_seed(Some(&seen.record)).is_some(),
            Some(None) | None => false,
        }
    }

    /// The seed, if the record has not taken it over yet. A record that somebody's login made, and that is alive or
    /// was logged out, knows more than any seed.
    pub(super) fn new_seed(&self, record: Option<&Record>) -> Option<&Seed> {
        let seed = self.seed.as_ref()?;
        let Some(record) = record else { return Some(seed) };
        if !Guard::SeedOnce.on() {
            let text = |tokens: &TokenSet| {
                tokens.refresh_token().map(|token| token.expose_secret().to_owned())
            };
            return (text(&record.tokens) != text(&seed.tokens)).then_some(seed);
        }
        let alive = matches!(
            record.state,
            State::Idle
                | State::InFlight { .. }
                | State::Unknown { .. }
                | State::Dead { reason: DeadReason::LoggedOut }
        );
        let taken = self.seed_taken
            || record.knows_seed(seed.fingerprint)
            || (record.seeds.is_empty() && alive);
        (!taken).then_some(seed)
    }
}
