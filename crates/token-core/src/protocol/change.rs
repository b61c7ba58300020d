use crate::clock::Moment;
use crate::record::{DeadReason, Record, State};
use crate::token::TokenSet;
use crate::version::Version;

use super::seed::Seed;

/// What somebody does to a grant by hand. Each starts a new epoch, so that it wins over whatever is under way.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// New tokens from a login: nothing of the old ones is kept.
    Login(TokenSet),
    /// A new access token; without a refresh token the current one is kept.
    Update(TokenSet),
    Logout,
}

impl Change {
    pub(crate) fn keeps_refresh_token(&self) -> bool {
        matches!(self, Self::Update(tokens) if tokens.refresh_token().is_none())
    }

    /// The record after this change. `seed` is remembered as taken over, so that a restart with it does not undo the
    /// change.
    pub(crate) fn apply(
        &self,
        current: Option<&Record>,
        seed: Option<&Seed>,
        now: Moment,
    ) -> Record {
        let version = current.map_or(Version::FIRST, |record| record.version.next_epoch());
        let seeds = current.map(|record| record.seeds.clone()).unwrap_or_default();
        let new_seed = seed.map(|seed| seed.fingerprint).filter(|seed| !seeds.contains(seed));
        let record = match self {
            Self::Login(tokens) => {
                Record::brought(version, tokens.clone().anchored(now), now.wall())
            }
            Self::Update(tokens) => {
                let mut tokens = tokens.clone().anchored(now);
                let refresh = tokens.refresh_token.clone();
                // A kept refresh token keeps its state: an attempt under way is still under way, a dead one stays dead.
                let state = match current {
                    Some(current) if refresh.is_none() => {
                        tokens = tokens.inherit(&current.tokens);
                        current.state.clone()
                    }
                    _ => State::Idle,
                };
                Record { state, ..Record::brought(version, tokens, now.wall()) }
            }
            Self::Logout => {
                let state = State::Dead { reason: DeadReason::LoggedOut };
                Record { state, ..Record::brought(version, TokenSet::empty(), now.wall()) }
            }
        };
        record.with_seeds(seeds, new_seed)
    }
}
