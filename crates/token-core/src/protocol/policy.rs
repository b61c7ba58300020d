use std::time::Duration;

use crate::freshness::Freshness;
use crate::guard::Guard;

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
