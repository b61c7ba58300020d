use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The times in a JWT's payload (RFC 7519 §4.1), as seconds since the Unix epoch, with a fraction or without.
#[derive(Deserialize)]
struct Times {
    exp: f64,
    iat: Option<f64>,
}

/// How long an access token lasts that is a JWT and whose answer does not say it. Its signature is not looked at: it is
/// a hint, and the API has the last word (ADR 8).
///
/// The end counts from the server's own times, `answered` (the answer's `Date`) or the token's `iat`, whichever leaves
/// less: our clock may differ from the server's.
pub(super) fn lifetime(token: &str, answered: Option<SystemTime>) -> Option<Duration> {
    let times = times(token)?;
    let answered = answered
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map(|time| time.as_secs_f64());
    [answered, times.iat]
        .into_iter()
        .flatten()
        .map(|since| times.exp - since)
        .filter(|seconds| *seconds > 0.0)
        .min_by(f64::total_cmp)
        .map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// The end that a JWT itself states (RFC 7519 §4.1.4), by the clock of whoever issued it; `None` if it is no JWT or states
/// none. Its signature is not looked at: whether the token is good only its server can say.
///
/// # Example
///
/// How long a service token lasts that somebody put into the environment:
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use token_core::endpoint::jwt_expires_at;
///
/// let token = "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3NjcyMjU2MDB9.c2ln";
/// assert_eq!(jwt_expires_at(token), Some(UNIX_EPOCH + Duration::from_secs(1_767_225_600)));
/// ```
pub fn jwt_expires_at(token: &str) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(end(token)?)
}

/// As [`jwt_expires_at`], as the time since the Unix epoch.
pub(crate) fn end(token: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(times(token)?.exp).ok().filter(|end| !end.is_zero())
}

/// When a JWT that states its end was issued (RFC 7519 §4.1.6), as the time since the Unix epoch.
pub(crate) fn issued(token: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(times(token)?.iat?).ok()
}

fn times(token: &str) -> Option<Times> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime_of(payload: &str, answered: Option<u64>) -> Option<u64> {
        let token = format!("e30.{}.x", BASE64_URL_SAFE_NO_PAD.encode(payload));
        let answered = answered.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        lifetime(&token, answered).map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn the_end_counts_from_the_servers_own_times() {
        for (payload, answered, expected) in [
            (r#"{"iat":1000,"exp":4600}"#, None, Some(3600)),
            (r#"{"iat":1000.5,"exp":4600.5}"#, None, Some(3600)),
            (r#"{"exp":4600}"#, Some(1000), Some(3600)),
            // A token that the server had kept.
            (r#"{"iat":1000,"exp":4600}"#, Some(4000), Some(600)),
            // A `Date` that is off.
            (r#"{"iat":1000,"exp":4600}"#, Some(10), Some(3600)),
            (r#"{"iat":1000,"exp":4600}"#, Some(999_999), Some(3600)),
            (r#"{"iat":1000,"exp":1e300}"#, None, Some(u64::MAX)),
        ] {
            assert_eq!(lifetime_of(payload, answered), expected, "{payload} {answered:?}");
        }
    }

    #[test]
    fn what_is_no_jwt_with_an_end_says_nothing() {
        for payload in [
            "",
            "[]",
            "{}",
            r#"{"exp":"4600","iat":1}"#,
            r#"{"exp":null}"#,
            r#"{"iat":1}"#,
            r#"{"exp":1,"iat":1}"#,
            r#"{"exp":4600}"#,
        ] {
            assert_eq!(lifetime_of(payload, None), None, "{payload}");
        }
        assert_eq!(jwt_expires_at("e30.eyJleHAiOi0xfQ.x"), None);
        for token in ["", "opaque", "a.b", "a.b.c", "...", "é.é.é"] {
            assert_eq!(lifetime(token, Some(UNIX_EPOCH)), None, "{token}");
        }
    }
}
