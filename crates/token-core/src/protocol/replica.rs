use std::time::Duration;

use crate::clock::Moment;
use crate::config_error::ConfigError;
use crate::freshness::{Deadlines, Freshness};
use crate::guard::Guard;
use crate::record::{DeadReason, Record, State};
use crate::secret::{AccessToken, RefreshToken, SeedFingerprint};
use crate::store::Stamp;
use crate::token::TokenSet;
use crate::version::Version;

use super::flight::Phase;
use super::unknown_outcome::{GraceWindow, UnknownOutcome};

/// The times and rules of one grant.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) freshness: Freshness,
    /// The longest an exchange may take.
    pub(crate) exchange_deadline: Duration,
    /// The longest an intent may take to be acted on.
    pub(crate) send_gate: Duration,
    /// The longest a server may go on with a request whose sender is gone.
    pub(crate) drain: Duration,
    pub(crate) unknown_outcome: UnknownOutcome,
    pub(crate) grace: Option<GraceWindow>,
    /// Whether the store can say that the holder of an attempt is gone.
    pub(crate) tells_dead_holder: bool,
    /// Whether the store may fall back to an earlier state.
    pub(crate) may_regress: bool,
    /// This process's place within the jitter, from 0 to 1.
    pub(crate) dice: f64,
}

impl Policy {
    /// How long another's intent is left alone: until its request must be over. Timed by the observer on its own
    /// monotonic clock; the tenth is for clocks that do not run alike.
    pub(crate) fn quarantine(&self) -> Duration {
        if !Guard::Quarantine.on() {
            return Duration::ZERO;
        }
        (self.send_gate + self.exchange_deadline + self.drain).mul_f64(1.1)
    }

    /// How long after the last sign of a request its server may still act on it.
    pub(crate) fn settling(&self) -> Duration {
        if !Guard::Drain.on() {
            return Duration::ZERO;
        }
        self.drain.mul_f64(1.1)
    }

    /// How long nothing is presented after a store was seen to have fallen back. As long as another's intent is left
    /// alone, because the store may have lost one; and several times what it takes everybody to look at the store.
    pub(crate) fn settle_barrier(&self) -> Duration {
        if !Guard::SettleBarrier.on() {
            return Duration::ZERO;
        }
        (self.send_gate + self.exchange_deadline + self.drain).mul_f64(1.1)
    }
}

/// Tokens that a grant starts with where the store has none.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    pub(crate) tokens: TokenSet,
    pub(crate) fingerprint: SeedFingerprint,
    /// When it was handed over (time since the Unix epoch).
    pub(crate) at: Duration,
}

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
}

/// Something that the shell reports and that changes no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    SeedTaken(Version),
    /// The store had newer tokens.
    Adopted(Version),
    TakenOver,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum History {
    Unbroken,
    /// Newer records than this one may be lost.
    Broken,
    /// The answer did not say: a load does.
    Untold,
}

#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) stamp: Stamp,
    pub(super) record: Record,
    /// When this stamp was first seen (monotonic).
    pub(super) since: Duration,
    pub(super) untold: bool,
    /// When it was first seen that the store had fallen back (monotonic).
    pub(super) unsettled_since: Option<Duration>,
    /// When the holder of its attempt was found to be gone (monotonic).
    pub(super) holder_gone: Option<Duration>,
    pub(super) taken_over: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) record: Record,
    pub(crate) deadlines: Deadlines,
}

/// The last intent of this process, and what became of it. Kept by version, not by the token's text: a server may repeat
/// a refresh token.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    pub(super) id: Stamp,
    pub(super) version: Version,
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
        Ok(Self { fingerprint: tokens.fingerprint(), tokens: tokens.anchored(now), at: now.wall() })
    }
}

impl Replica {
    pub(crate) fn new(policy: Policy, seed: Option<Seed>) -> Self {
        Self {
            policy,
            seed,
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

    /// The stamp of the store's record when it was last looked at.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        self.seen.as_ref()?.as_ref().map(|seen| seen.stamp)
    }

    /// Whether an answer is still to be stored.
    pub(crate) fn has_unsaved_answer(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| matches!(attempt.fate, Fate::Answered { .. }))
    }

    pub(crate) fn seed(&self) -> Option<&Seed> {
        self.seed.as_ref()
    }

    pub(crate) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Whether the store holds less than this process knows.
    pub(crate) fn needs_repair(&self) -> bool {
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
        if record.state == State::Idle {
            self.unspent = Some((record.version, asked));
        }
        if let Some(Some(seen)) = &mut self.seen
            && seen.stamp == stamp
        {
            if history == History::Broken {
                seen.unsettled_since.get_or_insert(monotonic);
            }
            seen.untold &= history == History::Untold;
            return false;
        }
        if let Some(attempt) = &self.attempt {
            // Somebody got past the token that this process sent: its outcome is of no more interest.
            let passed = record.version > attempt.version && record.attempt() != Some(attempt.id);
            if passed && !matches!(attempt.fate, Fate::Answered { .. }) {
                self.attempt = None;
            }
        }
        self.learn(&record, now);
        let unsettled = record.settling || history == History::Broken;
        self.seen = Some(Some(Seen {
            stamp,
            record,
            since: monotonic,
            untold: history == History::Untold && self.policy.may_regress,
            unsettled_since: unsettled.then_some(monotonic),
            holder_gone: None,
            taken_over: false,
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

    /// Whether a new seed is to replace the tokens known: they belong to a login that is over.
    pub(crate) fn awaits_seed(&self) -> bool {
        match &self.seen {
            Some(Some(seen)) => self.new_seed(Some(&seen.record)).is_some(),
            Some(None) | None => false,
        }
    }

    pub(super) fn is_own(&self, attempt: Stamp) -> bool {
        self.attempt.as_ref().is_some_and(|own| own.id == attempt)
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
        let taken = record.knows_seed(seed.fingerprint) || (record.seeds.is_empty() && alive);
        (!taken).then_some(seed)
    }
}
