use std::time::Duration;

use crate::guard::Guard;

/// Paces the refreshes that refusals cause, so that a server which refuses even new tokens is not asked in a loop.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    burst: u32,
    interval: Duration,
    left: u32,
    /// When the bucket was last as full as `left` says (monotonic).
    counted: Duration,
}

impl TokenBucket {
    /// A full bucket of `burst` that gains one per `interval`.
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, left: burst, counted: Duration::ZERO }
    }

    /// Takes one, or says how long until there is one.
    pub(crate) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        if !Guard::TokenBucket.on() {
            return Ok(());
        }
        let passed = now.saturating_sub(self.counted);
        let gained = passed.as_nanos() / self.interval.as_nanos().max(1);
        if gained > 0 {
            self.left =
                self.burst.min(self.left.saturating_add(u32::try_from(gained).unwrap_or(u32::MAX)));
            let rest = passed.as_nanos() % self.interval.as_nanos().max(1);
            self.counted =
                now.saturating_sub(Duration::from_nanos(u64::try_from(rest).unwrap_or_default()));
        }
        if self.left == self.burst {
            self.counted = now;
        }
        if self.left == 0 {
            return Err(self.counted.saturating_add(self.interval).saturating_sub(now));
        }
        self.left -= 1;
        Ok(())
    }
}

impl TokenBucket {
    /// Puts one back that was taken for nothing.
    pub(crate) fn give_back(&mut self) {
        self.left = self.burst.min(self.left + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let mut bucket = TokenBucket::new(3, at(10));
        let start = 1_000_000;
        assert!((0..3).all(|_| bucket.take(at(start)).is_ok()));
        assert_eq!(bucket.take(at(start + 4)), Err(at(6)));
        assert_eq!(bucket.take(at(start + 10)), Ok(()));
        assert_eq!(bucket.take(at(start + 11)), Err(at(9)));
        assert_eq!(bucket.take(at(start + 20)), Ok(()));
    }

    #[test]
    fn it_fills_up_to_the_burst_and_no_further() {
        let mut bucket = TokenBucket::new(2, at(10));
        bucket.take(at(0)).unwrap();
        assert!((0..2).all(|_| bucket.take(at(1_000_000)).is_ok()));
        assert!(bucket.take(at(1_000_000)).is_err());
    }
}
