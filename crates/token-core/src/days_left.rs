use std::time::{Duration, SystemTime};

use crate::clock::since_epoch;

const DAY: u64 = 86_400;

/// How many whole days are left until `end`, rounded down: 0 on the last day, −1 on the first day after it.
///
/// 0 is a number like any other here: it must not be taken for "unknown", as a check for truth would.
///
/// # Example
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use token_core::days_left;
/// use token_core::endpoint::jwt_expires_at;
///
/// let end = jwt_expires_at("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3NjcyMjU2MDB9.c2ln").unwrap();
/// let hours = |hours| Duration::from_secs(hours * 3600);
/// assert_eq!(days_left(end, end - hours(47)), 1);
/// assert_eq!(days_left(end, end - hours(23)), 0);
/// assert_eq!(days_left(end, end + hours(1)), -1);
/// assert_eq!(days_left(end, end + hours(25)), -2);
/// ```
pub fn days_left(end: SystemTime, now: SystemTime) -> i64 {
    days_between(since_epoch(now), since_epoch(end))
}

/// The same for times since the Unix epoch.
pub(crate) fn days_between(now: Duration, end: Duration) -> i64 {
    let (days, negative) = if end >= now {
        ((end - now).as_secs() / DAY, false)
    } else {
        let since = now - end;
        (since.as_secs().saturating_add(u64::from(since.subsec_nanos() > 0)).div_ceil(DAY), true)
    };
    // 2^64 seconds are fewer days than an `i64` holds.
    let days = i64::try_from(days).unwrap_or(i64::MAX);
    if negative { -days } else { days }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_rounded_down_on_both_sides_of_the_end() {
        let end = Duration::from_secs(10 * DAY);
        let nano = Duration::from_nanos(1);
        let day = Duration::from_secs(DAY);
        for (now, days) in [
            (Duration::ZERO, 10),
            (nano, 9),
            (end - day, 1),
            (end - day + nano, 0),
            (end, 0),
            (end + nano, -1),
            (end + day, -1),
            (end + day + nano, -2),
        ] {
            assert_eq!(days_between(now, end), days, "{now:?}");
        }
        assert!(days_between(Duration::MAX, Duration::ZERO) < -1_000_000);
    }
}
