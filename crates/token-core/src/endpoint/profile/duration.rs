use std::time::Duration;

/// Reads a duration such as `30m`; the error is the mend.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    let mend = || {
        "a duration is a whole number above zero and `s`, `m`, `h` or `d`, as in \"30m\"".to_owned()
    };
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(mend()),
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds =
        digits.parse::<u32>().ok().filter(|count| plain && *count > 0).ok_or_else(mend)?;
    Ok(Duration::from_secs(u64::from(seconds) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_a_unit() {
        for (text, seconds) in [("1s", 1), ("30m", 1_800), ("20h", 72_000), ("6d", 518_400)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "s", "30", "0s", "-1s", "+1s", "1.5h", "1 h", "1w", "1hour", "99999999999d", "é"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
