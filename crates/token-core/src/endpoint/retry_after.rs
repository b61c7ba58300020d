use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// How long the server wants to be left alone (RFC 9110 §10.2.3), in either form. A date counts from the answer's own
/// `Date`, so that two clocks need not agree.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let until = httpdate::parse_http_date(text).ok()?;
    Some(until.duration_since(answered_at(headers).unwrap_or(now)).unwrap_or_default())
}

/// When the server says that it answered, by its own clock.
pub(super) fn answered_at(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        retry_after(&map, UNIX_EPOCH + Duration::from_secs(784_111_777 - 60))
    }

    #[test]
    fn both_forms_are_read_and_a_date_counts_from_the_servers_clock() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(read(&[("retry-after", "120")]), Some(Duration::from_secs(120)));
        assert_eq!(read(&[("retry-after", date)]), Some(Duration::from_secs(60)));
        let servers = ("date", "Sun, 06 Nov 1994 08:49:30 GMT");
        assert_eq!(read(&[("retry-after", date), servers]), Some(Duration::from_secs(7)));
        let past = ("date", "Mon, 07 Nov 1994 08:49:30 GMT");
        assert_eq!(read(&[("retry-after", date), past]), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_neither_counts_as_nothing_and_no_number_overflows() {
        for bad in ["", "-1", "1.5", "soon"] {
            assert_eq!(read(&[("retry-after", bad)]), None, "{bad}");
        }
        assert_eq!(
            read(&[("retry-after", "99999999999999999999999")]),
            Some(Duration::from_secs(u64::MAX))
        );
    }
}
