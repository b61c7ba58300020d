//! When a token is used, when it is replaced behind the requests, and when it is not sent any more. Pure.

use std::time::Duration;

use crate::clock::Moment;
use crate::config_error::ConfigError;

const DEFAULT_REFRESH_BEFORE: Duration = Duration::from_secs(300);
const DEFAULT_REFRESH_FRACTION: f64 = 0.2;
const DEFAULT_EXPIRE_EARLY: Duration = Duration::from_secs(10);
const DEFAULT_EXPIRE_EARLY_FRACTION: f64 = 0.05;
const DEFAULT_JITTER: f64 = 0.2;

/// A lifetime below this counts as this: a server that issues tokens for less would be asked in a loop.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);

/// A lifetime above this (100 years) counts as this, so that no sum of times overflows.
const LONGEST_LIFETIME: Duration = Duration::from_secs(100 * 365 * 86_400);

/// However wide the window, a new token is left alone for a tenth of its life.
pub(crate) const WIDEST_WINDOW: f64 = 0.9;

/// When a token is *fresh* (used), *stale* (used, and replaced behind the requests) or *expired* (not sent any more).
///
/// | | default | why |
/// |---|---|---|
/// | refresh before the end | min(5 min, 20 % of the lifetime) | time for several tries; short tokens are not refreshed on every call |
/// | jitter | ±20 % of that, per process | replicas do not line up |
/// | expire early | min(10 s, 5 % of the lifetime) | the request has to arrive while the token is good |
///
/// # Example: 30 minutes before the end of a day's token
///
/// ```
/// use std::time::Duration;
/// use token_core::Freshness;
///
/// let freshness = Freshness::default().refresh_before(Duration::from_secs(30 * 60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Freshness {
    refresh_before: Duration,
    refresh_fraction: f64,
    expire_early: Duration,
    expire_early_fraction: f64,
    jitter: f64,
    every: Option<Duration>,
}

impl Default for Freshness {
    fn default() -> Self {
        Self {
            refresh_before: DEFAULT_REFRESH_BEFORE,
            refresh_fraction: DEFAULT_REFRESH_FRACTION,
            expire_early: DEFAULT_EXPIRE_EARLY,
            expire_early_fraction: DEFAULT_EXPIRE_EARLY_FRACTION,
            jitter: DEFAULT_JITTER,
            every: None,
        }
    }
}

impl Freshness {
    /// Sets the longest time before its end at which a token becomes stale. Default: 5 minutes.
    #[must_use]
    pub const fn refresh_before(mut self, before: Duration) -> Self {
        self.refresh_before = before;
        self
    }

    /// Sets the part of its lifetime before its end at which a token becomes stale at the earliest, from 0 to 0.9; the
    /// shorter of this and [`refresh_before`](Self::refresh_before) counts. Default: 0.2.
    #[must_use]
    pub const fn refresh_fraction(mut self, fraction: f64) -> Self {
        self.refresh_fraction = fraction;
        self
    }

    /// Sets how long before its end a token counts as expired, at most 5 % of its lifetime. Default: 10 seconds.
    #[must_use]
    pub const fn expire_early(mut self, early: Duration) -> Self {
        self.expire_early = early;
        self
    }

    /// Sets by which part the refresh time differs between processes, from 0 to 0.5. Default: 0.2.
    #[must_use]
    pub const fn jitter(mut self, jitter: f64) -> Self {
        self.jitter = jitter;
        self
    }

    /// Refreshes on a fixed schedule as well: this long after the last refresh, whether the token is used or not.
    #[must_use]
    pub const fn every(mut self, interval: Duration) -> Self {
        self.every = Some(interval);
        self
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let within = |what, value: f64, most: f64| {
            if (0.0..=most).contains(&value) {
                return Ok(());
            }
            Err(ConfigError::new(format!(
                "the {what} is {value}; it must lie between 0 and {most}"
            )))
        };
        within("refresh fraction", self.refresh_fraction, WIDEST_WINDOW)?;
        within("jitter", self.jitter, 0.5)?;
        if self.every.is_some_and(|interval| interval < SHORTEST_LIFETIME) {
            return Err(ConfigError::new(
                "the fixed refresh interval is below 1 s; set 1 s or more",
            ));
        }
        Ok(())
    }

    /// The deadlines of a token obtained at `obtained` (wall) that ends at `ends` (wall), learned of at `learned`.
    /// `minted` says that a server issued it then; otherwise somebody brought it then. `dice` is this process's place within the jitter, from 0 to 1.
    pub(crate) fn deadlines(
        &self,
        obtained: Duration,
        minted: bool,
        ends: Option<Duration>,
        learned: Moment,
        dice: f64,
    ) -> Deadlines {
        // A wall clock that shows a time before the token was obtained is wrong: it must not make the token last longer.
        let learned = Moment::new(learned.monotonic(), learned.wall().max(obtained));
        let at = |wall: Duration| Deadline::at_wall(wall, learned);
        let scheduled = self.every.map(|interval| at(obtained.saturating_add(interval)));
        let Some(ends) = ends else {
            return Deadlines { stale: scheduled, expired: None, ended: None };
        };
        if ends <= obtained {
            // Brought by hand it has expired. Straight from the server, two clocks disagree: use it until it is refused,
            // for another would look the same.
            let ended = (!minted).then(|| at(ends));
            return Deadlines { stale: ended.or(scheduled), expired: ended, ended };
        }
        let lifetime = (ends - obtained).clamp(SHORTEST_LIFETIME, LONGEST_LIFETIME);
        let end = obtained.saturating_add(lifetime);
        let spread = 1.0 + self.jitter * (dice * 2.0 - 1.0);
        let window =
            self.refresh_before.min(lifetime.mul_f64(self.refresh_fraction)).mul_f64(spread);
        let window = window.min(lifetime.mul_f64(WIDEST_WINDOW));
        let early = self.expire_early.min(lifetime.mul_f64(self.expire_early_fraction));
        let expired = end.saturating_sub(early);
        let stale = at(end.saturating_sub(window).min(expired));
        Deadlines {
            stale: Some(scheduled.map_or(stale, |scheduled| stale.earlier(scheduled))),
            expired: Some(at(expired)),
            ended: Some(at(end)),
        }
    }
}

/// A deadline on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Deadline {
    monotonic: Duration,
    wall: Duration,
}

impl Deadline {
    /// The deadline at a wall time, carried over to the monotonic clock by what both showed at `learned`.
    fn at_wall(wall: Duration, learned: Moment) -> Self {
        let monotonic = if wall >= learned.wall() {
            learned.monotonic().saturating_add(wall - learned.wall())
        } else {
            learned.monotonic().saturating_sub(learned.wall() - wall)
        };
        Self { monotonic, wall }
    }

    /// Whether either clock says so: a wall clock set back must not keep a token alive, nor a monotonic one that
    /// stood still in suspend.
    pub(crate) fn passed(&self, now: Moment) -> bool {
        now.monotonic() >= self.monotonic || now.wall() >= self.wall
    }

    /// How long until [`passed`](Self::passed), if neither clock is set.
    pub(crate) fn remaining(&self, now: Moment) -> Duration {
        self.monotonic.saturating_sub(now.monotonic()).min(self.wall.saturating_sub(now.wall()))
    }

    /// How long until both clocks say so, for decisions that would be harmful too early.
    pub(crate) fn remaining_for_sure(&self, now: Moment) -> Duration {
        self.monotonic.saturating_sub(now.monotonic()).max(self.wall.saturating_sub(now.wall()))
    }

    fn earlier(self, other: Self) -> Self {
        if other.wall < self.wall { other } else { self }
    }
}

/// The deadlines of one token. `None` means never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Deadlines {
    /// Replaced behind the requests from here on.
    pub(crate) stale: Option<Deadline>,
    /// Not sent any more from here on.
    pub(crate) expired: Option<Deadline>,
    /// Of no use to anybody from here on.
    pub(crate) ended: Option<Deadline>,
}

impl Deadlines {
    pub(crate) fn is_stale(&self, now: Moment) -> bool {
        self.stale.is_some_and(|deadline| deadline.passed(now))
    }

    pub(crate) fn is_expired(&self, now: Moment) -> bool {
        self.expired.is_some_and(|deadline| deadline.passed(now))
    }

    /// Makes the token stale and expired, for any clock however coarse. When it ends elsewhere stays as it is.
    pub(crate) fn expire(&mut self) {
        let long_ago = Deadline { monotonic: Duration::ZERO, wall: Duration::ZERO };
        self.stale = Some(long_ago);
        self.expired = Some(long_ago);
    }

    /// Whether the token is sure to last for `life` from now. A token without a known end always is.
    pub(crate) fn lasts(&self, life: Duration, now: Moment) -> bool {
        self.expired.is_none_or(|deadline| deadline.remaining(now) > life)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Moment = Moment::new(Duration::from_secs(1_000), Duration::from_secs(1_000_000));

    fn after(seconds: f64) -> Moment {
        let by = Duration::from_secs_f64(seconds);
        Moment::new(START.monotonic() + by, START.wall() + by)
    }

    fn deadlines(freshness: Freshness, lifetime: f64, dice: f64) -> Deadlines {
        let ends = START.wall() + Duration::from_secs_f64(lifetime);
        freshness.deadlines(START.wall(), true, Some(ends), START, dice)
    }

    #[test]
    fn the_defaults_are_a_fifth_capped_at_five_minutes_and_a_twentieth_capped_at_ten_seconds() {
        for (lifetime, stale, expired) in
            [(3600.0, 3300.0, 3590.0), (100.0, 80.0, 95.0), (1.0, 0.8, 0.95)]
        {
            let deadlines = deadlines(Freshness::default(), lifetime, 0.5);
            assert!(
                !deadlines.is_stale(after(stale - 0.01)) && deadlines.is_stale(after(stale)),
                "{lifetime}"
            );
            assert!(
                !deadlines.is_expired(after(expired - 0.01))
                    && deadlines.is_expired(after(expired)),
                "{lifetime}"
            );
        }
    }

    #[test]
    fn jitter_moves_the_refresh_by_a_fifth_of_the_window_either_way() {
        let stale_at =
            |dice| deadlines(Freshness::default(), 100.0, dice).stale.unwrap().remaining(START);
        assert_eq!(stale_at(0.0), Duration::from_secs(84));
        assert_eq!(stale_at(1.0), Duration::from_secs(76));
    }

    #[test]
    fn a_window_longer_than_the_lifetime_does_not_make_every_token_stale_on_arrival() {
        let wide =
            Freshness::default().refresh_before(Duration::from_secs(900)).refresh_fraction(0.9);
        assert!(!deadlines(wide, 900.0, 0.5).is_stale(after(1.0)));
    }

    #[test]
    fn a_fixed_schedule_counts_from_the_last_refresh_also_without_an_end() {
        let weekly = Freshness::default().every(Duration::from_secs(60));
        let deadlines = weekly.deadlines(START.wall(), true, None, START, 0.5);
        assert!(!deadlines.is_stale(after(59.0)) && deadlines.is_stale(after(60.0)));
        assert!(!deadlines.is_expired(after(1e9)));
    }

    #[test]
    fn a_wall_clock_set_back_does_not_keep_a_token_alive() {
        let deadlines = deadlines(Freshness::default(), 100.0, 0.5);
        let year = Duration::from_secs(365 * 86_400);
        let set_back = Moment::new(
            START.monotonic() + Duration::from_secs(100),
            START.wall().saturating_sub(year),
        );
        assert!(deadlines.is_expired(set_back));
        assert!(!deadlines.ended.unwrap().remaining_for_sure(set_back).is_zero());
    }

    #[test]
    fn a_monotonic_clock_that_stood_still_does_not_keep_a_token_alive() {
        let deadlines = deadlines(Freshness::default(), 100.0, 0.5);
        assert!(
            deadlines.is_expired(Moment::new(
                START.monotonic(),
                START.wall() + Duration::from_secs(100)
            ))
        );
    }

    #[test]
    fn a_new_token_that_has_ended_already_is_used_until_it_is_refused_but_not_one_brought_by_hand()
    {
        let past = Some(START.wall() - Duration::from_secs(10));
        let minted = Freshness::default().deadlines(START.wall(), true, past, START, 0.5);
        assert!(!minted.is_expired(after(1e6)));
        let brought = Freshness::default().deadlines(START.wall(), false, past, START, 0.5);
        assert!(brought.is_expired(START));
    }

    proptest! {
        #[test]
        fn stale_comes_before_expired_and_expired_before_the_end(
            lifetime in 0.0f64..1e12, dice in 0.0f64..=1.0, before in 0u64..u64::MAX, early in 0u64..u64::MAX,
        ) {
            let freshness = Freshness::default()
                .refresh_before(Duration::from_secs(before))
                .expire_early(Duration::from_secs(early));
            let deadlines = deadlines(freshness, lifetime, dice);
            if let (Some(stale), Some(expired), Some(ended)) = (deadlines.stale, deadlines.expired, deadlines.ended) {
                prop_assert!(stale.wall <= expired.wall && expired.wall <= ended.wall);
                prop_assert!(stale.wall > START.wall());
            }
        }

        #[test]
        fn no_time_makes_it_panic(obtained: u64, ends: u64, mono: u64, wall: u64, now: u64) {
            let learned = Moment::new(Duration::from_secs(mono), Duration::from_secs(wall));
            let deadlines = Freshness::default().deadlines(
                Duration::from_secs(obtained), true, Some(Duration::from_secs(ends)), learned, 1.0,
            );
            let now = Moment::new(Duration::from_secs(now), Duration::from_secs(now));
            let _ = (deadlines.is_stale(now), deadlines.is_expired(now), deadlines.lasts(Duration::MAX, now));
        }
    }
}
