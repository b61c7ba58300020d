//! The one clock of all processes, and the times that they live by.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long an access token lives: short, so that much is refreshed.
pub(crate) const ACCESS_LIFETIME: Duration = Duration::from_millis(1500);

/// The longest that an exchange may take.
pub(crate) const EXCHANGE_DEADLINE: Duration = Duration::from_secs(1);

/// The longest that the server may go on with a request whose sender is gone. No fault delays one for longer.
pub(crate) const SERVER_DRAIN: Duration = Duration::from_millis(300);

/// What is no longer than this is no standing still: half of the shortest time limit of all.
pub(crate) const LATE: Duration = Duration::from_millis(150);

/// The longest that a store operation may take.
pub(crate) const STORE_DEADLINE: Duration = Duration::from_secs(2);

/// The longest that an intent may take to be acted on, which is not for the user to set.
pub(crate) const SEND_GATE: Duration = Duration::from_secs(1);

/// How long an intent of somebody else is left alone.
pub(crate) fn quarantine() -> Duration {
    (SEND_GATE + EXCHANGE_DEADLINE + SERVER_DRAIN).mul_f64(1.1)
}

/// The longest that a takeover should take from the holder's death on: the quarantine, one poll of a store that tells
/// nothing (1 s), and the spread of the drivers (20 % of the window of 20 % before the end).
pub(crate) fn takeover_bound() -> Duration {
    quarantine() + Duration::from_secs(1) + ACCESS_LIFETIME.mul_f64(0.04)
}

/// How long somebody who knows more than a store that fell back may take to say so: one poll of a store that tells nothing, one
/// answer that does not come, and the write.
pub(crate) const REPAIR: Duration = Duration::from_secs(2);

/// After so long a record that a store has lost is brought back by nobody.
pub(crate) const FORGOTTEN: Duration = Duration::from_secs(5);

/// The longest that a caller may wait: one quarantine and one exchange of its own, each with the store's deadline on both
/// sides, and this twice, for a caller asks again when what it waited for was overtaken.
pub(crate) fn longest_wait() -> Duration {
    (quarantine() + EXCHANGE_DEADLINE + 2 * STORE_DEADLINE) * 2
}

/// Nanoseconds on the system's monotonic clock, which all processes of a machine share.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub(crate) struct At(pub(crate) u64);

impl At {
    pub(crate) fn now() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let (seconds, nanos) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// The same moment as this one of the standard library, which does not tell its numbers.
    pub(crate) fn of(instant: Instant) -> Self {
        Self::now().before(instant.elapsed())
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The time since an earlier moment, or zero.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
