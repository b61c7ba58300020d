//! How an answer, the only copy of the live token, is stored over whatever the store holds by then.

use std::time::Duration;

use crate::clock::Moment;
use crate::guard::Guard;
use crate::record::{Record, State};
use crate::refresher::Spends;
use crate::store::Expect;
use crate::token::TokenSet;
use crate::version::Version;

use super::action::{Action, Context, Event, Swapped};
use super::flight::{At, COMMIT_PAUSE, LONGEST_COMMIT_PAUSE, Pending};
use super::replica::{Attempt, Fate, Known, Note, Replica};
use super::turn::spends_token;

impl Replica {
    /// The exchange succeeded. From here on this process holds the only copy of the live token.
    pub(super) fn answered(
        &mut self,
        base: Option<Record>,
        tokens: TokenSet,
        sent: Moment,
        ctx: &Context<'_>,
    ) -> Action {
        let sent = self.issued(base.as_ref(), sent);
        let tokens = tokens.anchored(sent);
        let record = match &base {
            // The store may have a record without tokens by now, which another's turn was taken over.
            None => Record::brought(Version::FIRST.next_generation(), tokens, sent.wall()),
            Some(base) => {
                let tokens = if Guard::KeepRefreshToken.on() {
                    tokens.inherit(&base.tokens)
                } else {
                    tokens
                };
                Record::brought(base.version.next_generation(), tokens, sent.wall())
                    .with_seeds(base.seeds.clone(), None)
            }
        };
        let record = Record { refreshed_at: Some(sent.wall()), ..record };
        let id = self.attempt.as_ref().map_or(ctx.fresh, |attempt| attempt.id);
        let version = base.as_ref().map_or(Version::FIRST, |base| base.version);
        let presented = base.and_then(|base| base.tokens.refresh_token);
        self.attempt = Some(Attempt {
            id,
            version,
            presented,
            over: None,
            earlier: None,
            fate: Fate::Answered { record: Box::new(record.clone()), sent },
        });
        if let Some(phase) = &mut self.phase {
            phase.answered = true;
        }
        self.join(record, COMMIT_PAUSE, ctx)
    }

    /// When the tokens of an answer were issued at the earliest: a server that repeats its first answer repeats the
    /// lifetimes of then, but not for longer than its window.
    fn issued(&self, base: Option<&Record>, sent: Moment) -> Moment {
        let Some(base) = base.filter(|base| base.state != State::Idle) else { return sent };
        match (self.policy.grace, self.unspent) {
            (Some(grace), Some((version, unspent)))
                if grace.repeats() && version == base.version =>
            {
                let age = sent.monotonic().saturating_sub(unspent.monotonic());
                let age = age.min(grace.window());
                let earlier = |clock: Duration| clock.saturating_sub(age);
                Moment::new(earlier(sent.monotonic()), earlier(sent.wall()))
            }
            _ => sent,
        }
    }

    /// The join rule: how an answer is stored over whatever the store holds now.
    pub(super) fn join(&mut self, new: Record, pause: Duration, ctx: &Context<'_>) -> Action {
        let new = self.after_known(new);
        let current = self.seen.clone().flatten();
        let Some(current) = current else { return self.commit(Expect::Absent, new, pause, ctx) };
        let held = &current.record;
        let ours = self.attempt.as_ref().is_some_and(|own| held.attempt() == Some(own.id));
        if !Guard::GenerationFence.on() && !ours {
            return self.discard(Note::Superseded, ctx);
        }
        if held.version.epoch() > new.version.epoch() && Guard::EpochWins.on() {
            if !ours && !self.has_replaced(&held.tokens) {
                return self.discard(Note::Superseded, ctx);
            }
            let new = follow(held, new);
            return self.commit(Expect::Is(current.stamp), new, pause, ctx);
        }
        if held.version < new.version {
            return self.commit(Expect::Is(current.stamp), new, pause, ctx);
        }
        // Somebody else presented the same token and was answered, or went on from this very answer, whose commit was
        // made though that was not heard of. A later generation lives; of two equal ones, the server's last answer.
        let used_up = spends_token(&new, ctx).then_some(Note::Sibling);
        if held.version > new.version || held.obtained_at >= new.obtained_at {
            return self.discard(used_up, ctx);
        }
        self.notes.extend(used_up);
        let new = Record { version: held.version.next_generation(), ..new };
        self.commit(Expect::Is(current.stamp), new, pause, ctx)
    }

    /// An update by hand kept the refresh token that this answer has replaced: the answer follows the update, whatever others
    /// have made of that token since, and though the store may have lost it.
    fn after_known(&self, new: Record) -> Record {
        match &self.known {
            Some(Known { record, .. })
                if record.version > new.version
                    && self.has_replaced(&record.tokens)
                    && Guard::EpochWins.on() =>
            {
                follow(record, new)
            }
            _ => new,
        }
    }

    /// Whether these tokens are of no more use, because the answer at hand replaced their refresh token.
    fn has_replaced(&self, held: &TokenSet) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.is_about(held))
    }

    fn discard(&mut self, note: impl Into<Option<Note>>, ctx: &Context<'_>) -> Action {
        self.notes.extend(note.into());
        self.attempt = None;
        self.decide(ctx)
    }

    fn commit(
        &mut self,
        expect: Expect,
        record: Record,
        pause: Duration,
        ctx: &Context<'_>,
    ) -> Action {
        if let Some(Attempt { fate: Fate::Answered { record: unsaved, .. }, .. }) =
            &mut self.attempt
        {
            **unsaved = record.clone();
        }
        // What a store that fell back holds may not be the newest but for this answer.
        let unsettled = match &self.seen {
            Some(Some(seen)) => seen.unsettled_since.is_some() || self.is_untold(seen),
            Some(None) | None => self.policy.may_regress,
        };
        let record = record.settling(unsettled && Guard::SettleBarrier.on());
        let pending = Pending { stamp: ctx.fresh, record };
        let swap = pending.swap(expect);
        self.set(At::Committing { pending, pause, confirming: false });
        swap
    }

    pub(super) fn committed(
        &mut self,
        pending: Pending,
        pause: Duration,
        confirming: bool,
        event: Event,
        ctx: &Context<'_>,
    ) -> Action {
        match event {
            Event::Swapped(Ok(Swapped::Won { .. })) => self.saved(pending, ctx),
            Event::Swapped(Ok(Swapped::Lost(current))) => {
                self.saw(current, ctx);
                self.join(pending.record, pause, ctx)
            }
            Event::Loaded(Ok(current)) => {
                if current.as_ref().map(|stored| stored.stamp) == Some(pending.stamp) {
                    return self.saved(pending, ctx);
                }
                self.saw(current, ctx);
                self.join(pending.record, pause, ctx)
            }
            // The store fails while this process holds the only copy: serve from memory, and try for ever (ADR 0003).
            Event::Swapped(Err(error)) | Event::Loaded(Err(error)) => {
                // Told once, and not with each try.
                if !confirming && pause == COMMIT_PAUSE {
                    self.notes.push(Note::CommitDelayed);
                }
                self.learn_answer(&pending.record, ctx);
                self.unsure = true;
                if (ctx.spends)(Some(&pending.record.tokens)) != Spends::RefreshToken {
                    // It is no loss if this is never stored, and the next is to be had without the store too.
                    let answered = self.phase.as_ref().is_some_and(|phase| phase.answered);
                    return if answered {
                        self.finish(Ok(()))
                    } else {
                        self.without_store(error, ctx)
                    };
                }
                let next = (pause * 2).min(LONGEST_COMMIT_PAUSE);
                self.set(At::Committing { pending, pause: next, confirming: true });
                Action::Pause(pause)
            }
            Event::Woken | Event::Holder(_) | Event::Exchanged { .. } => {
                self.set(At::Committing { pending, pause, confirming: true });
                Action::Load
            }
        }
    }

    fn saved(&mut self, pending: Pending, ctx: &Context<'_>) -> Action {
        self.learn_answer(&pending.record, ctx);
        self.attempt = None;
        self.wrote(pending, ctx);
        if self.phase.as_ref().is_some_and(|phase| phase.answered) {
            return self.finish(Ok(()));
        }
        // It was the answer of a flight before this one.
        self.decide(ctx)
    }

    /// Makes an own answer the newest known, its deadlines counted from when it was asked for.
    fn learn_answer(&mut self, record: &Record, ctx: &Context<'_>) {
        let is = |known: &Known| {
            known.record.version == record.version && known.record.obtained_at == record.obtained_at
        };
        if self.known.as_ref().is_some_and(is) {
            // It was seen in the store meanwhile, perhaps in a later state.
            return;
        }
        let sent = match &self.attempt {
            Some(Attempt { fate: Fate::Answered { sent, .. }, .. }) => *sent,
            _ => ctx.now,
        };
        self.learn(record, sent);
    }
}

fn follow(held: &Record, new: Record) -> Record {
    Record { version: held.version.next_generation(), ..new }.with_seeds(held.seeds.clone(), None)
}
