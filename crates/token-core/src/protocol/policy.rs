use std::time::Duration;

use crate::config_error::ConfigError;
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
    /// A grace window that would never be used is no setting but a mistake.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let Some(grace) = self.grace.filter(|grace| grace.open() <= self.settling()) else {
            return Ok(());
        };
        let (window, drain) = (grace.window(), self.drain);
        // Rounded up, or the value that it names would be refused too.
        let shortest = (GraceWindow::shortest(self.settling()).as_secs_f64() * 10.0).ceil() / 10.0;
        Err(ConfigError::new(format!(
            "the grace window of {window:?} would never be used: with a server drain of {drain:?} only one longer than \
             {shortest}s helps; lower the server drain if the server is done with a request sooner, or set no window"
        )))
    }

    /// The longest that a process which is neither stopped nor gone has an intent in the record.
    pub(crate) fn longest_attempt(&self) -> Duration {
        self.send_gate + self.exchange_deadline
    }

    /// How long another's intent is left alone: until its request must be over. Timed by the observer on its own
    /// monotonic clock; the tenth is for clocks that do not run alike.
    pub(crate) fn quarantine(&self) -> Duration {
        if !Guard::Quarantine.on() {
            return Duration::ZERO;
        }
        (self.longest_attempt() + self.drain).mul_f64(1.1)
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
        (self.longest_attempt() + self.drain).mul_f64(1.1)
    }
}
