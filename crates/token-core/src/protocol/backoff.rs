use std::time::Duration;

use super::failure::{Failure, Retry};
use crate::config_error::ConfigError;
use crate::guard::Guard;

/// The longest time that anything is left alone: a server's `Retry-After` may be absurd, and a clock may have been.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How long a failing endpoint is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BackoffPolicy {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), longest: Duration::from_secs(60) }
    }
}

impl BackoffPolicy {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if self.first.is_zero() || self.longest < self.first {
            return Err(ConfigError::new(format!(
                "the backoff goes from {:?} to {:?}; the first must be above zero and at most the longest",
                self.first, self.longest
            )));
        }
        Ok(())
    }
}

/// The negative cache of one grant: after a failure nothing is tried until a time, and whoever asks meanwhile gets that
/// failure.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    blocked: Option<Blocked>,
}

#[derive(Clone, Debug)]
struct Blocked {
    failure: Failure,
    until: Until,
    /// For whoever saw the current token refused.
    until_if_refused: Until,
}

#[derive(Clone, Copy, Debug)]
enum Until {
    Time(Duration),
    /// Until somebody asks for a refresh by hand or the record changes; a demand may look at the store before.
    Change,
}

impl Backoff {
    /// The failure that whoever asks now gets, and for how long; `None` if a flight may start. `now` is monotonic;
    /// `refused` says that the current token was refused.
    pub(crate) fn blocked(
        &self,
        now: Duration,
        refused: bool,
    ) -> Option<(&Failure, Option<Duration>)> {
        let blocked = self.blocked.as_ref().filter(|_| Guard::NegativeCache.on())?;
        match if refused { blocked.until_if_refused } else { blocked.until } {
            Until::Time(until) if until <= now => None,
            Until::Time(until) => Some((&blocked.failure, Some(until - now))),
            Until::Change => Some((&blocked.failure, None)),
        }
    }

    /// `dice` from 0 to 1 spreads the wait between half and the whole of it, so that processes do not line up and none
    /// comes back at once.
    pub(crate) fn failed(
        &mut self,
        failure: Failure,
        now: Duration,
        policy: &BackoffPolicy,
        dice: f64,
    ) {
        self.failures = self.failures.saturating_add(1);
        let until = match failure.retry() {
            Retry::Manually => Until::Change,
            Retry::After { at_least } => {
                let doublings = self.failures.saturating_sub(1).min(31);
                let whole = policy.first.saturating_mul(1 << doublings).min(policy.longest);
                let wait = whole.mul_f64(0.5 + dice / 2.0);
                let wait = at_least.map_or(wait, |at_least| wait.max(at_least));
                // The hold-off of an unknown outcome is the protocol's, which looks again after this.
                Until::Time(now.saturating_add(wait.min(LONGEST_WAIT)))
            }
        };
        let until_if_refused = match &failure {
            Failure::OutcomeUnknown { settling, .. } => Until::Time(now.saturating_add(*settling)),
            _ => until,
        };
        self.blocked = Some(Blocked { failure, until, until_if_refused });
    }

    /// Lets whoever asks try again, if the last failure was the store's: it answers, and nothing was sent.
    pub(crate) fn store_is_back(&mut self) {
        self.blocked.take_if(|blocked| matches!(blocked.failure, Failure::Store(_)));
    }

    /// Forgets all failures: a refresh succeeded, or somebody brought new tokens.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The number of failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refresher::RefreshError;

    const NOW: Duration = Duration::from_secs(1_000);

    fn wait_after(failures: u32, dice: f64) -> Duration {
        let mut backoff = Backoff::default();
        for _ in 0..failures {
            let failure = Failure::Refresh(RefreshError::not_sent("refused"));
            backoff.failed(failure, NOW, &BackoffPolicy::default(), dice);
        }
        backoff.blocked(NOW, false).unwrap().1.unwrap()
    }

    #[test]
    fn the_wait_doubles_up_to_the_longest() {
        let waits: Vec<_> =
            [1, 2, 3, 7, 1_000].map(|failures| wait_after(failures, 1.0).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 60, 60]);
        assert_eq!(wait_after(1, 0.0), Duration::from_millis(500));
    }

    #[test]
    fn a_server_that_asks_for_more_is_obeyed_for_at_most_an_hour() {
        for (asked, obeyed) in [(30, 30), (3600, 3600), (86_400, 3600)] {
            let mut backoff = Backoff::default();
            let error = RefreshError::rejected("busy").with_retry_after(Duration::from_secs(asked));
            backoff.failed(Failure::Refresh(error), NOW, &BackoffPolicy::default(), 1.0);
            assert_eq!(backoff.blocked(NOW, false).unwrap().1, Some(Duration::from_secs(obeyed)));
            assert!(backoff.blocked(NOW + Duration::from_secs(obeyed), false).is_none());
        }
    }

    #[test]
    fn a_wrong_client_is_not_tried_again_by_itself() {
        let mut backoff = Backoff::default();
        let failure = Failure::Refresh(RefreshError::configuration("invalid_client"));
        backoff.failed(failure, NOW, &BackoffPolicy::default(), 1.0);
        assert!(backoff.blocked(Duration::MAX, false).is_some());
        backoff.clear();
        assert!(backoff.blocked(NOW, false).is_none());
    }
}
