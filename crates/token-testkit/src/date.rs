//! The server's idea of the date.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// The last second that an HTTP date can name: the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// So many seconds after `now`, or before it, but not before 1970 nor after 9999.
pub(crate) fn skewed(now: SystemTime, seconds: i64) -> SystemTime {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let moved = now.as_secs().saturating_add_signed(seconds).min(LAST);
    UNIX_EPOCH + Duration::new(moved, now.subsec_nanos())
}

/// The same as an HTTP date (RFC 9110 §5.6.7), which can name no other times.
pub(crate) fn http_date(now: SystemTime, seconds: i64) -> HeaderValue {
    let date = httpdate::fmt_http_date(skewed(now, seconds));
    // A date is nothing but letters, digits and signs.
    HeaderValue::try_from(date).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_moved_as_far_as_dates_go() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        for (seconds, expected) in [
            (0, "Wed, 21 Oct 2015 07:28:00 GMT"),
            (-3600, "Wed, 21 Oct 2015 06:28:00 GMT"),
            (10 * 365 * 86_400, "Sat, 18 Oct 2025 07:28:00 GMT"),
            (i64::MIN, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (i64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(now, seconds), expected);
        }
    }
}
