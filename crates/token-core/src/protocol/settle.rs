//! The settle barrier: a store that fell back may have lost what others know, so they get the time to bring it back before
//! anything is presented.
//!
//! Everybody times it alone, on a monotonic clock, from the first sight of a record that was written before the fall, or
//! that was brought back after it. A repair keeps the barrier up for those who come later: it may not be the newest one.

use std::time::Duration;

use crate::clock::Moment;
use crate::guard::Guard;

use super::action::{Action, Context};
use super::replica::{History, Note, Replica, Seen};

impl Replica {
    /// What is done before a refresh token of this record may be presented, or a seed taken over, if anything.
    pub(super) fn settle(&mut self, seen: &Seen, ctx: &Context<'_>) -> Option<Action> {
        if !Guard::SettleBarrier.on() {
            return None;
        }
        if self.is_untold(seen) {
            return Some(self.look());
        }
        let at_most = self.unsettled_for(seen, ctx.now)?;
        if let Some(Some(seen)) = &mut self.seen
            && seen.told_since != seen.unsettled_since
        {
            seen.told_since = seen.unsettled_since;
            self.notes.push(Note::Settling(at_most));
        }
        Some(self.watch(seen.stamp, at_most))
    }

    /// How long the record that was last seen may still be replaced by a newer one that the store has lost.
    pub(crate) fn unsettled(&self, now: Moment) -> Option<Duration> {
        self.unsettled_for(self.seen.as_ref()?.as_ref()?, now)
    }

    fn unsettled_for(&self, seen: &Seen, now: Moment) -> Option<Duration> {
        let until = seen.unsettled_since?.saturating_add(self.policy.settle_barrier());
        let left = until.saturating_sub(now.monotonic());
        (!left.is_zero()).then_some(left)
    }

    /// Whether the store did not say if it had fallen back, and may have.
    pub(super) fn is_untold(&self, seen: &Seen) -> bool {
        seen.history == History::Untold && self.policy.may_regress
    }
}
