//! The tokens in a token endpoint's answer. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::refresher::{RefreshError, Spends};
use crate::token::TokenSet;

use super::jwt;
use super::refusal::refused;
use super::retry_after::answered_at;

/// Reads an answer (RFC 6749 §5). `spends` says what was at stake: for a login, `invalid_grant` is a wrong password,
/// which another try must not turn into a locked account.
pub(super) fn read(
    answer: &Response<Bytes>,
    spends: Spends,
    now: SystemTime,
) -> Result<TokenSet, RefreshError> {
    let status = answer.status();
    let fields = fields(answer);
    // Some servers answer errors with a 200.
    let code = fields.as_ref().and_then(error_code);
    if status.is_success() && code.is_none() {
        let tokens = fields.and_then(|fields| tokens(fields, answered_at(answer.headers())));
        return tokens.ok_or_else(|| {
            let message = if is_page(answer) {
                PAGE
            } else {
                "the token endpoint answered without an access token that can be read"
            };
            RefreshError::ambiguous(message).with_status(status)
        });
    }
    Err(refused(answer, code, spends, now))
}

/// What is said of a [page](is_page) in place of tokens.
pub(super) const PAGE: &str = "the token endpoint answered a page of HTML instead of JSON; check its URL, and whether a login page or a proxy stands \
                               before it";

/// Whether somebody answers people, and not programs.
pub(super) fn is_page(answer: &Response<Bytes>) -> bool {
    is_of_kind(answer, "text/html") || answer.body().trim_ascii_start().starts_with(b"<")
}

fn is_of_kind(answer: &Response<Bytes>, kind: &str) -> bool {
    let said = answer.headers().get(CONTENT_TYPE);
    said.and_then(|said| said.as_bytes().get(..kind.len()))
        .is_some_and(|said| said.eq_ignore_ascii_case(kind.as_bytes()))
}

/// The answer's OAuth error code, if it has one.
pub(super) fn code(answer: &Response<Bytes>) -> Option<String> {
    fields(answer).as_ref().and_then(error_code).map(str::to_owned)
}

/// Some servers write the field with nothing in it beside good tokens.
fn error_code(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("error").and_then(Value::as_str).filter(|code| !code.is_empty())
}

/// The answer's fields, in JSON or, as GitHub has it, as a form.
fn fields(answer: &Response<Bytes>) -> Option<Map<String, Value>> {
    if is_of_kind(answer, "application/x-www-form-urlencoded") {
        let pairs = form_urlencoded::parse(answer.body());
        return Some(pairs.map(|(name, value)| (name.into_owned(), value.into())).collect());
    }
    // Neither a byte order mark, nor a name in Latin-1, nor a number that no machine holds must cost the refresh token
    // beside it.
    let text = String::from_utf8_lossy(answer.body());
    let fields: BTreeMap<String, &RawValue> =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let read = |raw: &RawValue| serde_json::from_str(raw.get()).ok();
    Some(fields.into_iter().filter_map(|(name, raw)| Some((name, read(raw)?))).collect())
}

fn tokens(mut fields: Map<String, Value>, answered: Option<SystemTime>) -> Option<TokenSet> {
    let mut text = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let access_token = text("access_token")?;
    let hint = jwt::lifetime(&access_token, answered);
    let mut tokens = TokenSet::new(access_token);
    if let Some(refresh_token) = text("refresh_token") {
        tokens = tokens.with_refresh_token(refresh_token);
    }
    if let Some(token_type) = text("token_type") {
        tokens = tokens.with_token_type(token_type);
    }
    if let Some(scope) = text("scope") {
        tokens = tokens.with_scope(scope);
    }
    if let Some(lifetime) = fields.remove("expires_in").as_ref().and_then(lifetime).or(hint) {
        tokens = tokens.with_expires_in(lifetime);
    }
    for name in ["refresh_expires_in", "refresh_token_expires_in"] {
        if let Some(lifetime) = fields.remove(name).as_ref().and_then(lifetime) {
            tokens = tokens.with_refresh_expires_in(lifetime);
        }
    }
    for (name, value) in fields {
        tokens = tokens.with_extra(name, value);
    }
    Some(tokens)
}

/// Seconds as servers send them: a number, whole or not, or one in a string. Zero, less, or anything else says nothing:
/// such a token is used until it is refused.
pub(super) fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if seconds.is_nan() || seconds <= 0.0 {
        return None;
    }
    let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    Some(lifetime).filter(|lifetime| !lifetime.is_zero())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::refresher::Outcome;
    use crate::token::Expiry;

    fn answer(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &str,
    ) -> Result<TokenSet, RefreshError> {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        let answer = answer.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        read(&answer, Spends::RefreshToken, UNIX_EPOCH)
    }

    #[test]
    fn the_outcome_table() {
        use Outcome::{Ambiguous, Configuration, InvalidGrant, Rejected};
        let wait = &[("retry-after", "7")][..];
        for (status, headers, body, outcome) in [
            (400, &[][..], r#"{"error":"invalid_grant"}"#, InvalidGrant),
            (200, &[], r#"{"error":"invalid_grant"}"#, InvalidGrant),
            (401, &[], r#"{"error":"invalid_client"}"#, Configuration),
            (400, &[], r#"{"error":"unauthorized_client"}"#, Configuration),
            (400, &[], r#"{"error":"invalid_scope"}"#, Configuration),
            (400, &[], r#"{"error":"unsupported_grant_type"}"#, Configuration),
            (400, &[], r#"{"error":"invalid_request"}"#, Rejected),
            (400, &[], r#"{"error":"temporarily_unavailable"}"#, Rejected),
            (403, &[], "<html>", Rejected),
            (404, &[], "", Rejected),
            (429, &[], "", Rejected),
            (429, wait, r#"{"error":"invalid_grant"}"#, Rejected),
            (503, wait, "", Rejected),
            (503, &[], "", Ambiguous),
            (500, &[], r#"{"error":"invalid_grant"}"#, Ambiguous),
            (502, wait, "", Ambiguous),
            (504, &[], "", Ambiguous),
            (408, &[], "", Ambiguous),
            (307, &[("location", "https://x/")], "", Configuration),
            (200, &[], "", Ambiguous),
            (200, &[], "<html>", Ambiguous),
            (200, &[], "[]", Ambiguous),
            (200, &[], r#"{"access_token":""}"#, Ambiguous),
            (200, &[], r#"{"access_token":1}"#, Ambiguous),
            (200, &[], r#"{"access_token":"x""#, Ambiguous),
        ] {
            let error = answer(status, headers, body).unwrap_err();
            assert_eq!(error.outcome(), outcome, "{status} {body}: {error}");
        }
        assert_eq!(answer(429, wait, "").unwrap_err().retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn an_odd_answer_does_not_cost_the_tokens_in_it() {
        let read = |status, kind: &str, body: &[u8]| {
            let answer = Response::builder().status(status).header("content-type", kind);
            let answer = answer.body(Bytes::copy_from_slice(body)).unwrap();
            super::read(&answer, Spends::RefreshToken, UNIX_EPOCH)
        };
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        for (kind, body) in [
            (json, &br#"{"access_token":"x","refresh_token":"r","error":""}"#[..]),
            (json, br#"{"access_token":"x","refresh_token":"r","error":null}"#),
            (json, br#"{"access_token":"x","refresh_token":"r","error":false}"#),
            (json, b"\xef\xbb\xbf{\"access_token\":\"x\",\"refresh_token\":\"r\"}"),
            (json, b"{\"access_token\":\"x\",\"refresh_token\":\"r\",\"name\":\"M\xfcller\"}"),
            (json, br#"{"access_token":"x","refresh_token":"r","name":"\ud83d"}"#),
            (form, b"access_token=x&refresh_token=r&error="),
        ] {
            let shown = String::from_utf8_lossy(body);
            let tokens = read(200, kind, body).unwrap_or_else(|error| panic!("{shown}: {error}"));
            assert!(tokens.refresh_token().is_some(), "{shown}");
        }
        // Nor does it hide that the grant is dead.
        for body in [
            &b"{\"error\":\"invalid_grant\",\"error_description\":\"ung\xfcltig\"}"[..],
            b"\xef\xbb\xbf{\"error\":\"invalid_grant\"}",
        ] {
            let error = read(400, json, body).unwrap_err();
            assert_eq!(error.outcome(), Outcome::InvalidGrant);
        }
    }

    #[test]
    fn an_answer_may_be_a_form() {
        let form = &[("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        let tokens = answer(200, form, "access_token=a%2Bb&expires_in=60&refresh_token=r").unwrap();
        assert_eq!(tokens.access_token().unwrap().expose_secret(), "a+b");
        assert!(tokens.refresh_token().is_some() && tokens.expires.is_some());
        let error = answer(200, form, "error=bad_refresh_token&error_description=x").unwrap_err();
        assert_eq!(error.outcome(), Outcome::Rejected);
        assert_eq!(answer(200, form, "").unwrap_err().outcome(), Outcome::Ambiguous);
    }

    #[test]
    fn a_jwt_says_how_long_it_lasts_where_the_answer_does_not() {
        // {"iat":1000,"exp":1060}
        let jwt = r#""access_token":"e30.eyJpYXQiOjEwMDAsImV4cCI6MTA2MH0.x""#;
        let expires = |rest: &str| answer(200, &[], &format!("{{{jwt}{rest}}}")).unwrap().expires;
        assert_eq!(expires(""), Some(Expiry::In(Duration::from_secs(60))));
        assert_eq!(expires(r#","expires_in":0"#), Some(Expiry::In(Duration::from_secs(60))));
        assert_eq!(expires(r#","expires_in":7"#), Some(Expiry::In(Duration::from_secs(7))));
    }

    #[test]
    fn a_wrong_password_is_a_matter_of_configuration() {
        let answer = Response::builder()
            .status(400)
            .body(Bytes::from_static(br#"{"error":"invalid_grant"}"#))
            .unwrap();
        let error = read(&answer, Spends::Nothing, UNIX_EPOCH).unwrap_err();
        assert_eq!(error.outcome(), Outcome::Configuration);
    }

    #[test]
    fn no_expires_in_panics_or_lies() {
        let expires = |value: &str| {
            let body = format!(r#"{{"access_token":"x","expires_in":{value}}}"#);
            let now = crate::clock::Moment::new(Duration::ZERO, Duration::ZERO);
            answer(200, &[], &body).unwrap().anchored(now).ends()
        };
        for (value, seconds) in [
            ("3600", 3600.0),
            ("\"3600\"", 3600.0),
            ("3600.5", 3600.5),
            ("2147483648", 2147483648.0),
        ] {
            assert_eq!(expires(value), Some(Duration::from_secs_f64(seconds)), "{value}");
        }
        for value in
            ["null", "\"\"", "0", "-1", "true", "[]", "\"soon\"", "\"NaN\"", "1e400", "1e-300"]
        {
            assert_eq!(expires(value), None, "{value}");
        }
        assert!(
            expires("9223372036854775808").unwrap()
                > Duration::from_secs(9_000_000_000_000_000_000)
        );
        assert_eq!(expires("1e300"), Some(Duration::MAX));
    }

    #[test]
    fn omitted_null_and_empty_refresh_tokens_are_all_omitted() {
        for field in ["", r#","refresh_token":null"#, r#","refresh_token":"""#] {
            let tokens = answer(200, &[], &format!(r#"{{"access_token":"x"{field}}}"#)).unwrap();
            assert!(tokens.refresh_token().is_none(), "{field}");
        }
    }

    #[test]
    fn an_error_shows_no_part_of_the_body() {
        let body = r#"{"error":"CANARY 1234","error_description":"CANARY"}"#;
        let error = answer(400, &[], body).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("CANARY"));
    }

    #[test]
    fn a_page_in_place_of_tokens_is_named() {
        for (headers, body) in [
            (&[("content-type", "Text/HTML; charset=utf-8")][..], "log in"),
            (&[], " \n<!doctype html>"),
            (&[("content-type", "application/json")], "<html>"),
        ] {
            let error = answer(200, headers, body).unwrap_err().to_string();
            assert!(error.contains("a page of HTML instead of JSON; check its URL"), "{error}");
        }
    }

    #[test]
    fn an_error_tells_the_status_whatever_the_field_error_says() {
        for (status, body, told) in [
            (
                502,
                r#"{"error":"Bad Gateway: upstream"}"#,
                "an `error` that is no OAuth error code, HTTP 502",
            ),
            (400, r#"{"error":"invalid_grant"}"#, "(invalid_grant, HTTP 400)"),
            (418, r#"{"error":"teapot"}"#, "(teapot, HTTP 418)"),
            (404, "", "(HTTP 404)"),
        ] {
            let error = answer(status, &[], body).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 200u16..600, body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let answer = Response::builder().status(status).body(Bytes::from(body)).unwrap();
            let _ = read(&answer, Spends::RefreshToken, UNIX_EPOCH);
        }

        #[test]
        fn no_likely_answer_makes_it_panic(body in r#"\{("(access_token|expires_in|error)":("x"|-?[0-9]{1,30}(\.[0-9])?|null),?)*\}"#) {
            let answer = Response::new(Bytes::from(body));
            let _ = read(&answer, Spends::RefreshToken, UNIX_EPOCH);
        }
    }
}
