//! What a flight does next, by what the store holds.

use crate::guard::Guard;
use crate::record::{Record, State};
use crate::refresher::Spends;
use crate::store::{Expect, StoreError, StoreErrorKind};
use crate::version::Version;

use super::action::{Action, Context};
use super::failure::{Failure, LoginReason};
use super::flight::COMMIT_PAUSE;
use super::log_in::logs_in;
use super::replica::{Attempt, Fate, Note, Replica};

impl Replica {
    /// The decision after every look at the store.
    pub(super) fn decide(&mut self, ctx: &Context<'_>) -> Action {
        if let Some(Attempt { fate: Fate::Answered { record, .. }, .. }) = &self.attempt {
            let record = Record::clone(record);
            return self.join(record, COMMIT_PAUSE, ctx);
        }
        let Some(Some(seen)) = self.seen.clone() else { return self.decide_without_record(ctx) };
        if let Some(known) = &self.known
            && self.is_ahead()
        {
            let record = known.record.settling(true);
            return self.prepare(Expect::Is(seen.stamp), record, Note::RecordRepaired, ctx);
        }
        if let Some(seed) = self.new_seed(Some(&seen.record)).cloned() {
            if let Some(wait) = self.settle(&seen, ctx) {
                return wait;
            }
            let record = Record::brought(seen.record.version.next_epoch(), seed.tokens, seed.at)
                .with_seeds(seen.record.seeds.clone(), Some(seed.fingerprint));
            let note = Note::SeedTaken(record.version);
            return self.prepare(Expect::Is(seen.stamp), record, note, ctx);
        }
        if self.satisfies(&self.demand(), ctx.now) && Guard::Recheck.on() {
            return self.finish(Ok(()));
        }
        if let State::Dead { reason } = seen.record.state
            && Guard::DeadIsFinal.on()
        {
            if logs_in(&seen.record, ctx.spends) {
                return self.log_in(&seen, ctx);
            }
            return self.finish(Err(Failure::needs_login(LoginReason::Dead(reason))));
        }
        match (ctx.spends)(Some(&seen.record.tokens)) {
            Spends::Nothing | Spends::Reusable => self.take_turn(&seen, ctx),
            Spends::RefreshToken => match self.settle(&seen, ctx) {
                Some(wait) => wait,
                None => self.decide_to_spend(&seen, ctx),
            },
        }
    }

    fn decide_without_record(&mut self, ctx: &Context<'_>) -> Action {
        if let Some(known) = &self.known
            && self.is_ahead()
        {
            // A store that lost the record is repaired from memory, never from the seed: that one was used already.
            let record = known.record.settling(true);
            return self.prepare(Expect::Absent, record, Note::RecordRepaired, ctx);
        }
        if let Some(seed) = self.seed.clone() {
            // A store that may fall back to nothing may have held a newer record a moment ago.
            let record = Record::brought(Version::FIRST, seed.tokens, seed.at)
                .with_seeds(Vec::new(), Some(seed.fingerprint))
                .settling(self.policy.may_regress);
            let note = Note::SeedTaken(record.version);
            return self.prepare(Expect::Absent, record, note, ctx);
        }
        match (ctx.spends)(None) {
            Spends::Nothing => self.take_first_turn(ctx),
            Spends::RefreshToken | Spends::Reusable => {
                self.finish(Err(Failure::needs_login(LoginReason::NoGrant)))
            }
        }
    }

    /// Without the store nothing is spent; grants that spend nothing go on.
    pub(super) fn without_store(&mut self, error: StoreError, ctx: &Context<'_>) -> Action {
        self.unsure = true;
        let known = self.known.as_ref().map(|known| known.record.clone());
        if self.satisfies(&self.demand(), ctx.now) {
            return self.finish(Ok(()));
        }
        // What the store may hold beside the seed is to be asked first: a login would throw a refresh token away.
        let seed = self.seed.as_ref().map(|seed| &seed.tokens);
        let tokens = known.as_ref().map(|record| &record.tokens).or(seed);
        let dead = known.as_ref().is_some_and(|record| matches!(record.state, State::Dead { .. }));
        let untrusted = matches!(
            error.kind(),
            StoreErrorKind::Corrupt | StoreErrorKind::Insecure | StoreErrorKind::Sealed
        );
        match (ctx.spends)(tokens) {
            _ if self.demand().repair => self.finish(Err(Failure::Store(error))),
            Spends::Nothing if !dead && !untrusted => self.exchange(known, None),
            Spends::Reusable if !dead && !untrusted && known.is_some() => {
                self.exchange(known, None)
            }
            _ => self.finish(Err(Failure::Store(error))),
        }
    }
}
