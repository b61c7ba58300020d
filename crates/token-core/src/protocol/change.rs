use crate::clock::Moment;
use crate::record::{DeadReason, Record, State};
use crate::token::TokenSet;
use crate::version::Version;

use super::replica::{History, Replica, Stored};
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

impl Replica {
    /// The record that a change makes of what the store holds; `None` if it would keep a refresh token from a store that
    /// fell back and has not settled.
    pub(crate) fn changed(
        &self,
        change: &Change,
        current: Option<&Stored>,
        unreadable: bool,
        now: Moment,
    ) -> Option<Record> {
        let keeps = change.keeps_refresh_token();
        let settled = !self.needs_repair()
            && self.unsettled(now).is_none()
            && current.map(|stored| stored.stamp) == self.stamp();
        if keeps && !settled {
            return None;
        }
        // The store may have fallen back: a change follows the newest version that this process has seen.
        let known = self.known.as_ref().map(|known| &known.record);
        let stored = current.map(|stored| &stored.record);
        let version = |record: Option<&Record>| record.map(|record| record.version);
        let newest = if version(stored) >= version(known) { stored } else { known };
        // Which seeds were used is lost with an unreadable record. One that has none takes no other seed over.
        let seed = self.seed.as_ref().filter(|_| !unreadable || newest.is_some());
        let mut record = change.apply(newest, seed, now);
        if let Some(untaken) = self.new_seed(newest).filter(|_| keeps && !unreadable)
            && let Some(refresh_token) = &untaken.tokens.refresh_token
        {
            // The refresh token that is in force, though no flight has taken it over yet.
            record.tokens.refresh_token = Some(refresh_token.clone());
            record.tokens.refresh_expires = untaken.tokens.refresh_expires;
            record.state = State::Idle;
            record.settling |= current.is_none() && self.policy.may_regress;
        }
        let lost = match current {
            Some(stored) => matches!(stored.history, History::Broken(_)),
            None => unreadable || self.policy.may_regress,
        };
        if keeps || !lost {
            return Some(record);
        }
        // Others hold on to an epoch that is lost here. Seconds are more than any count of logins.
        let epoch = record.version.epoch().max(now.wall().as_secs());
        Some(Record { version: Version::new(epoch, 0), ..record })
    }
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
                Record::brought(version, tokens.clone().brought(now), now.wall())
            }
            Self::Update(tokens) => {
                let mut tokens = tokens.clone().brought(now);
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
