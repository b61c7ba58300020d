//! Time, as a dependency: what the rules read, and what tests move by hand.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

/// One reading of both clocks.
///
/// A deadline is kept on both, because each lies in its own way: the wall clock is set and jumps, a monotonic clock
/// means nothing to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    monotonic: Duration,
    wall: Duration,
}

impl Moment {
    /// Makes a moment from the time since an arbitrary origin and the time since the Unix epoch.
    pub const fn new(monotonic: Duration, wall: Duration) -> Self {
        Self { monotonic, wall }
    }

    /// The time since an origin that is fixed for the life of the process; counts the time asleep in suspend.
    pub const fn monotonic(self) -> Duration {
        self.monotonic
    }

    /// The time since the Unix epoch.
    pub const fn wall(self) -> Duration {
        self.wall
    }
}

/// Where time comes from.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use token_core::clock::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now().monotonic() - before.monotonic(), Duration::from_secs(60));
/// ```
pub trait Clock: Send + Sync + 'static {
    /// The time now, as exact as the clock can tell it.
    fn now(&self) -> Moment;

    /// The time now for the request path: may lag [`now`](Self::now) by some milliseconds where that makes it cheaper.
    fn coarse(&self) -> Moment {
        self.now()
    }

    /// Ends when `duration` has passed on the monotonic clock. May be late by the time asleep in suspend.
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The machine's clocks, with tokio's timer.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clocks.
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        system::now()
    }

    fn coarse(&self) -> Moment {
        system::coarse()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that stands still until it is moved by hand, for tests. Clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    shared: Arc<Manual>,
}

#[derive(Debug)]
struct Manual {
    now: Mutex<Moment>,
    moved: Notify,
}

impl ManualClock {
    /// A clock that shows one hour of monotonic time and the wall time 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        let start = Moment::new(Duration::from_secs(3600), Duration::from_secs(1_767_225_600));
        Self { shared: Arc::new(Manual { now: Mutex::new(start), moved: Notify::new() }) }
    }

    /// Moves both clocks forward and wakes the sleepers whose time has come.
    pub fn advance(&self, by: Duration) {
        self.change(|now| Moment::new(now.monotonic + by, now.wall + by));
    }

    /// Sets the wall clock alone, as an operator or NTP does.
    pub fn set_wall(&self, wall: SystemTime) {
        let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.change(|now| Moment::new(now.monotonic, wall));
    }

    fn change(&self, change: impl FnOnce(Moment) -> Moment) {
        {
            let mut now = self.shared.now.lock().unwrap_or_else(PoisonError::into_inner);
            *now = change(*now);
        }
        self.shared.moved.notify_waiters();
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.shared.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let clock = self.clone();
        let end = self.now().monotonic.saturating_add(duration);
        Box::pin(async move {
            loop {
                // Registered before the clock is read, or a move in between would be missed.
                let mut moved = pin!(clock.shared.moved.notified());
                moved.as_mut().enable();
                if clock.now().monotonic >= end {
                    return;
                }
                moved.await;
            }
        })
    }
}

/// A point in the wall time of another party or of the caller, as the rules keep it: time since the Unix epoch, never
/// negative.
pub(crate) fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use rustix::time::{ClockId, Timespec, clock_gettime};

    use super::Moment;

    /// What suspend has added to boot time over monotonic time, in nanoseconds, when [`now`] last looked. Linux has no
    /// coarse boot-time clock; the driver calls `now` at least once a minute, and the wall clock covers the gap.
    static SUSPENDED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn now() -> Moment {
        let boot = duration(clock_gettime(ClockId::Boottime));
        let asleep = boot.saturating_sub(duration(clock_gettime(ClockId::Monotonic)));
        SUSPENDED.store(u64::try_from(asleep.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Moment::new(boot, duration(clock_gettime(ClockId::Realtime)))
    }

    pub(super) fn coarse() -> Moment {
        let asleep = Duration::from_nanos(SUSPENDED.load(Ordering::Relaxed));
        Moment::new(
            duration(clock_gettime(ClockId::MonotonicCoarse)).saturating_add(asleep),
            duration(clock_gettime(ClockId::RealtimeCoarse)),
        )
    }

    fn duration(time: Timespec) -> Duration {
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        )
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::time::{Duration, SystemTime};

    use super::{Moment, since_epoch};

    pub(super) fn now() -> Moment {
        Moment::new(monotonic(), since_epoch(SystemTime::now()))
    }

    pub(super) fn coarse() -> Moment {
        now()
    }

    /// Darwin's `CLOCK_MONOTONIC` goes on in suspend.
    #[cfg(target_vendor = "apple")]
    fn monotonic() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or_default(),
            u32::try_from(time.tv_nsec).unwrap_or_default(),
        )
    }

    /// Elsewhere the standard library's clock may stand still in suspend: the wall clock alone then notices.
    #[cfg(not(target_vendor = "apple"))]
    fn monotonic() -> Duration {
        static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        ORIGIN.get_or_init(std::time::Instant::now).elapsed()
    }
}
