//! The time of the world, and what the clocks of its hosts make of it.

use std::time::Duration;

use crate::clock::Moment;

/// Microseconds since the world began.
pub(super) type Time = u64;

pub(super) const MILLISECOND: Time = 1_000;
pub(super) const SECOND: Time = 1_000 * MILLISECOND;

const MILLION: i64 = 1_000_000;

/// When the world begins (time since the Unix epoch).
const BEGINNING: i64 = 1_700_000_000 * MILLION;

/// The clocks of one host: they run fast or slow, count from an origin of their own, and the wall clock is set wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct SkewedClock {
    /// What the monotonic clock shows when the world begins.
    pub(super) origin: Time,
    /// By how much the wall clock is ahead, in microseconds.
    pub(super) ahead: i64,
    /// By how many millionths it runs fast.
    pub(super) fast: i64,
}

impl SkewedClock {
    pub(super) fn at(&self, time: Time) -> Moment {
        let run = self.run(time);
        let wall = BEGINNING + self.ahead + run;
        let micros = |n: i64| Duration::from_micros(n.unsigned_abs());
        Moment::new(micros(self.origin.cast_signed() + run), micros(wall.max(0)))
    }

    /// How long something takes that ends when this clock has counted so much.
    pub(super) fn takes(&self, counted: Duration) -> Time {
        let micros = counted.as_micros().min(1 << 60).cast_signed();
        let whole = micros * i128::from(MILLION) / i128::from(MILLION + self.fast);
        Time::try_from(whole).unwrap_or_default() + 1
    }

    fn run(&self, time: Time) -> i64 {
        let time = time.cast_signed();
        time + time / 1_000 * self.fast / 1_000
    }
}
