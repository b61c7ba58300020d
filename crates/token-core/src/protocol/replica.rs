use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::freshness::Deadlines;
use crate::guard::Guard;
use crate::record::{Record, State};
use crate::secret::RefreshToken;
use crate::store::Stamp;
use crate::token::TokenSet;
use crate::version::Version;

use super::flight::Phase;
use super::policy::Policy;
use super::seed::Seed;

/// What a caller asks of the newest token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// It is newer than this one.
    pub(crate) newer_than: Option<Version>,
    /// Whether the protected resource refused the token of `newer_than`.
    pub(crate) refused: bool,
    /// It lasts this long.
    pub(crate) lasting: Option<Duration>,
    /// Nothing but that the store has it too.
    pub(crate) repair: bool,
    /// A token that serves is at hand, so nobody else is waited for.
    pub(crate) at_hand: bool,
}

/// Something that the shell reports and that changes no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    SeedTaken(Version),
    /// The store had newer tokens.
    Adopted(Version),
    /// Another process should have been answered, or have given up, and its intent is still there.
    HolderOverdue,
    /// Whether its holder was known to be gone.
    TakenOver {
        gone: bool,
    },
    /// Nothing is presented for so long: the store may have lost newer tokens.
    Settling(Duration),
    RecordRepaired,
    CommitDelayed,
    /// Another process presented the same refresh token and stored its answer first.
    Sibling,
    /// A late answer belonged to a login that is over.
    Superseded,
}

/// All that one process knows of one grant. It outlives flights, so that a flight that was cut short loses nothing.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(super) policy: Policy,
    pub(super) seed: Option<Seed>,
    /// Some record had taken this seed over: it is spent, whatever a store that fell back says.
    pub(super) seed_taken: bool,
    /// What the store held when it was last looked at; `None` in it: no record.
    pub(super) seen: Option<Option<Seen>>,
    /// The store has failed since: look before a decision.
    pub(super) unsure: bool,
    /// The last moment at which the refresh token of this version had not been presented, by anybody.
    pub(super) unspent: Option<(Version, Moment)>,
    /// The newest tokens known, here or in the store: the high-water mark.
    pub(super) known: Option<Known>,
    pub(super) attempt: Option<Attempt>,
    pub(super) phase: Option<Phase>,
    pub(super) notes: Vec<Note>,
}

/// A record as the store gave it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) stamp: Stamp,
    pub(crate) record: Record,
    pub(crate) history: History,
}

/// Whether a store has fallen back since a record was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum History {
    Unbroken,
    /// Newer records than this one may be lost. The store's name for its history now: it may fall back again.
    Broken(Option<Arc<str>>),
    /// The answer did not say: a load does.
    Untold,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) stamp: Stamp,
    pub(super) record: Record,
    /// When this stamp was first seen (monotonic).
    pub(super) since: Duration,
    pub(super) history: History,
    /// When it was first seen that the store had fallen back (monotonic).
    pub(super) unsettled_since: Option<Duration>,
    /// The same, of the fall that was reported.
    pub(super) told_since: Option<Duration>,
    /// When the holder of its attempt was found to be gone (monotonic).
    pub(super) holder_gone: Option<Duration>,
    /// When the store was last asked that (monotonic).
    pub(super) holder_asked: Option<Duration>,
    pub(super) overdue: bool,
    /// The store did not take this process's own write over it: its holder may have been kept from writing too.
    pub(super) unwritable: bool,
    /// It is the first record that was seen: nobody knows when it was written.
    pub(super) first: bool,
    /// When this process asked for the write of it, if it did (monotonic).
    pub(super) written: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) record: Record,
    pub(crate) deadlines: Deadlines,
}

/// The last intent of this process, and what became of it. Kept by version too, not by the token alone: a server may
/// repeat a refresh token.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) id: Stamp,
    pub(super) version: Version,
    pub(super) presented: Option<RefreshToken>,
    /// An earlier attempt of this process with the same token, whose outcome is unknown.
    pub(super) over: Option<Stamp>,
    /// When hope for an answer to such an attempt ended (monotonic), whatever the record says of it by now.
    pub(super) earlier: Option<Duration>,
    pub(super) fate: Fate,
}

#[derive(Clone, Debug)]
pub(super) enum Fate {
    /// The token was not sent, or certainly not used up.
    NotSpent,
    /// It was sent, and this is when hope for an answer ended (monotonic); `None` while it is under way.
    Unknown { since: Option<Duration> },
    /// It was refused as being of no more use.
    Refused,
    /// The answer is here and not stored yet: the only copy of the live token.
    Answered { record: Box<Record>, sent: Moment },
}

impl History {
    /// Whether the store has fallen back since a record was seen with that history.
    pub(crate) fn is_news_after(&self, seen: &Self) -> bool {
        matches!(self, Self::Broken(_)) && self != seen
    }
}

impl Attempt {
    /// Whether it has presented the refresh token of this record, which may be another version's by an update by hand.
    pub(super) fn has_spent(&self, record: &Record) -> bool {
        let (own, version) = (self.version, record.version);
        let kept = version.epoch() > own.epoch() && version.generation() == 0;
        (version == own || kept)
            && self.is_about(&record.tokens)
            && matches!(self.fate, Fate::Unknown { .. } | Fate::Refused)
    }

    /// Whether it presents, or has presented, the refresh token of these tokens.
    pub(super) fn is_about(&self, tokens: &TokenSet) -> bool {
        let text = |token: &RefreshToken| token.expose_secret().to_owned();
        self.presented.is_some()
            && self.presented.as_ref().map(text) == tokens.refresh_token().map(text)
    }
}

impl Replica {
    pub(crate) fn new(policy: Policy, seed: Option<Seed>) -> Self {
        Self {
            policy,
            seed,
            seed_taken: false,
            seen: None,
            unsure: false,
            unspent: None,
            known: None,
            attempt: None,
            phase: None,
            notes: Vec::new(),
        }
    }

    /// The newest tokens known.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// The version of the newest tokens known; a record that only says whose turn it is has none.
    pub(crate) fn known_version(&self) -> Option<Version> {
        let says = |record: &Record| {
            !record.tokens.is_empty() || matches!(record.state, State::Dead { .. })
        };
        self.known.as_ref().filter(|known| says(&known.record)).map(|known| known.record.version)
    }

    /// What the store said of its history when it was last looked at.
    pub(crate) fn history(&self) -> Option<&History> {
        self.seen.as_ref()?.as_ref().map(|seen| &seen.history)
    }

    /// The stamp of the store's record when it was last looked at.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.seen.as_ref()?.as_ref().map(|seen| seen.stamp)
    }

    /// Whether an answer is still to be stored.
    pub(crate) fn has_unsaved_answer(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| matches!(attempt.fate, Fate::Answered { .. }))
    }

    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Whether this process has something that the store is to have too, and that nobody may come to ask for.
    pub(crate) fn needs_repair(&self) -> bool {
        // An answer that spent nothing is no loss if it is never stored.
        let unsaved = self.attempt.as_ref().is_some_and(|own| {
            own.presented.is_some() && matches!(own.fate, Fate::Answered { .. })
        });
        unsaved || self.is_ahead()
    }

    /// Whether the store holds less than this process knows.
    pub(super) fn is_ahead(&self) -> bool {
        Guard::HighWater.on()
            && match (&self.seen, &self.known) {
                (Some(None), Some(_)) => true,
                (Some(Some(seen)), Some(known)) => known.record.version > seen.record.version,
                _ => false,
            }
    }

    /// Takes in what the store held at some time since `asked`. Returns whether that is news.
    pub(crate) fn observe(&mut self, current: Option<Stored>, asked: Moment, now: Moment) -> bool {
        self.unsure = false;
        let Some(Stored { stamp, record, history }) = current else {
            let news = !matches!(self.seen, Some(None));
            self.seen = Some(None);
            return news;
        };
        let monotonic = now.monotonic();
        // A record that was brought back after a fall says nothing of what was done with it before.
        let told = match history {
            History::Unbroken => true,
            History::Broken(_) => false,
            History::Untold => !self.policy.may_regress,
        };
        if record.state == State::Idle && told && !record.settling && !self.is_spent(&record) {
            self.unspent = Some((record.version, asked));
        }
        if let Some(Some(seen)) = &mut self.seen
            && seen.stamp == stamp
        {
            if history.is_news_after(&seen.history) {
                seen.unsettled_since = Some(monotonic);
                seen.history = history;
            } else if seen.history == History::Untold {
                seen.history = history;
            }
            return false;
        }
        if let Some(attempt) = &self.attempt {
            // Somebody got past the token that this process sent: its outcome is of no more interest.
            let passed = record.version > attempt.version
                && record.attempt() != Some(attempt.id)
                && !attempt.has_spent(&record);
            if passed && !matches!(attempt.fate, Fate::Answered { .. }) {
                self.attempt = None;
            }
        }
        self.learn(&record, now);
        self.seed_taken |= self.seed.as_ref().is_some_and(|own| record.knows_seed(own.fingerprint));
        let unsettled = record.settling || matches!(history, History::Broken(_));
        let first = self.seen.is_none();
        self.seen = Some(Some(Seen {
            stamp,
            record,
            since: monotonic,
            history,
            unsettled_since: unsettled.then_some(monotonic),
            told_since: None,
            holder_gone: None,
            holder_asked: None,
            overdue: false,
            unwritable: false,
            first,
            written: None,
        }));
        true
    }

    /// Raises the high-water mark. Deadlines are counted from `learned`, so those of known tokens stay as they are.
    pub(super) fn learn(&mut self, record: &Record, learned: Moment) {
        match &mut self.known {
            Some(known) if known.record.version > record.version && Guard::HighWater.on() => {}
            // Only the state differs, unless two processes were answered for the same generation.
            Some(known)
                if known.record.version == record.version
                    && known.record.obtained_at == record.obtained_at =>
            {
                known.record = record.clone();
            }
            _ => {
                let deadlines = self.policy.freshness.deadlines(
                    record.obtained_at,
                    record.refreshed_at.is_some(),
                    record.tokens.ends(),
                    learned,
                    self.policy.dice,
                );
                self.known = Some(Known { record: record.clone(), deadlines });
            }
        }
    }

    /// Whether the newest tokens known are what is asked for.
    pub(crate) fn satisfies(&self, demand: &Demand, now: Moment) -> bool {
        if demand.repair {
            return !self.needs_repair();
        }
        let Some(known) = &self.known else { return false };
        if known.record.tokens.access_token().is_none() || self.awaits_seed() {
            return false;
        }
        if demand.newer_than.is_some_and(|version| known.record.version <= version) {
            return false;
        }
        if known.deadlines.is_expired(now) {
            return false;
        }
        demand.lasting.is_none_or(|life| {
            // Where no token of this server lasts that long, one that is not stale has to do: asking again and again
            // for more would refresh on every call.
            let minted = known.record.refreshed_at.and(known.record.tokens.ends());
            let whole = minted.map(|end| end.saturating_sub(known.record.obtained_at));
            known.deadlines.lasts(life, now)
                || (whole.is_some_and(|whole| whole <= life) && !known.deadlines.is_stale(now))
        })
    }

    /// Treats the newest token known as expired, here only.
    pub(crate) fn expire(&mut self) {
        if let Some(known) = &mut self.known {
            known.deadlines.expire();
        }
    }

    /// The flight was dropped at its last action: what it had learned stays, what it had sent is now unknown.
    pub(crate) fn abandon(&mut self, now: Moment) {
        self.phase = None;
        if let Some(Attempt { fate: Fate::Unknown { since: since @ None }, .. }) = &mut self.attempt
        {
            *since = Some(now.monotonic());
        }
    }

    pub(super) fn is_own(&self, attempt: Stamp) -> bool {
        self.attempt.as_ref().is_some_and(|own| own.id == attempt || own.over == Some(attempt))
    }
}
