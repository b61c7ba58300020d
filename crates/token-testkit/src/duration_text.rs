//! Durations as people write them: `90s`, `1.5s`, `250ms`, `5m`, `1h`.

use std::time::Duration;

/// What an error says is expected.
pub(crate) const EXPECTED: &str = "a duration such as `90s`, `1.5s`, `250ms`, `5m` or `1h`";

pub(crate) fn write(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos == 0 {
        format!("{seconds}s")
    } else if seconds == 0 && nanos.is_multiple_of(1_000_000) {
        format!("{}ms", nanos / 1_000_000)
    } else {
        format!("{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0'))
    }
}

/// `None` for what is no duration, or too long for one.
pub(crate) fn read(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    if let ("s", Some((seconds, fraction))) = (unit, number.split_once('.')) {
        if fraction.is_empty() || fraction.len() > 9 {
            return None;
        }
        return Some(Duration::new(
            digits(seconds)?,
            digits(&format!("{fraction:0<9}"))?.try_into().ok()?,
        ));
    }
    let number = digits(number)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

/// Digits alone: `u64::from_str` takes a sign as well.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        for (text, expected) in [
            ("90s", Some(Duration::from_secs(90))),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("0.000000001s", Some(Duration::from_nanos(1))),
            ("250ms", Some(Duration::from_millis(250))),
            ("5m", Some(Duration::from_secs(300))),
            ("1h", Some(Duration::from_secs(3600))),
            ("18446744073709551615h", None),
            ("18446744073709551616s", None),
            ("", None),
            ("5", None),
            ("s", None),
            ("+5s", None),
            ("-5s", None),
            ("1.s", None),
            ("1.5m", None),
            ("1.+5s", None),
            ("0.0000000001s", None),
            ("5 s", None),
            ("5s5", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds: u64, nanos in 0..1_000_000_000_u32) {
            for duration in [
                Duration::new(seconds, nanos),
                Duration::new(0, nanos),
                Duration::from_millis(nanos.into()),
                Duration::from_secs(seconds),
            ] {
                proptest::prop_assert_eq!(read(&write(duration)), Some(duration));
            }
        }
    }
}
