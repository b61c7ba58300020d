//! The settle barrier: a store that fell back may have lost what others know, so they get the time to bring it back before
//! anything is presented.
//!
//! Everybody times it alone, on a monotonic clock, from the first sight of a record that was written before the fall, or
//! that was brought back after it. A repair keeps the barrier up for those who come later: it may not be the newest one.

use crate::guard::Guard;

use super::action::{Action, Context};
use super::replica::{History, Replica, Seen};

impl Replica {
    /// What is done before a refresh token of this record may be presented, or a seed taken over, if anything.
    pub(super) fn settle(&mut self, seen: &Seen, ctx: &Context<'_>) -> Option<Action> {
        if !Guard::SettleBarrier.on() {
            return None;
        }
        if seen.history == History::Untold && self.policy.may_regress {
            return Some(self.look());
        }
        let until = seen.unsettled_since?.saturating_add(self.policy.settle_barrier());
        let left = until.saturating_sub(ctx.now.monotonic());
        if left.is_zero() {
            return None;
        }
        Some(self.watch(seen.stamp, left))
    }
}
