use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::Response;

use super::super::Profile;
use super::super::description::Ask;
use super::{answer, profile};
use crate::refresher::{Outcome, RefreshError};
use crate::token::{Expiry, TokenSet};

/// An endpoint with an envelope, which says what it says with a 200.
const ENVELOPE: &str = r#"
name = "envelope"
base_url = "https://a.example"
[login]
url = "/login"
[refresh]
url = "/refresh"
json = { refresh_token = { from = "refresh_token" } }
[answer]
access_token = "/datas/token"
refresh_token = "/datas/refresh_token"
expires = { at = "/datas/token_valid", default = "7d" }
[answer.extra]
location = "/datas/home/id"
[success]
status = 200
json = { at = "/err_code", is = "0" }
[[refusal]]
when = { json = { at = "/err_code", is = ["40", 41] } }
outcome = "invalid-grant"
[[refusal]]
of = "login"
when = { json = { at = "/err_code", is = 50 } }
outcome = "configuration"
message = "the user is disabled"
[[refusal]]
when = { status = 500, header = { name = "x-down", contains = "planned" } }
outcome = "rejected"
message = "the server is being mended"
"#;

fn read(ask: Ask, answer: &Response<Bytes>) -> Result<TokenSet, RefreshError> {
    profile(ENVELOPE).description.read(ask, answer, UNIX_EPOCH)
}

#[test]
fn tokens_are_found_where_the_profile_says() {
    let body = r#"{"datas":{"token":"a","refresh_token":"r","token_valid":"604800","home":{"id":7}},"err_code":0}"#;
    let tokens = profile(ENVELOPE).read(body.as_bytes()).unwrap();
    assert_eq!(tokens.access_token().unwrap().expose_secret(), "a");
    assert_eq!(tokens.refresh_token().unwrap().expose_secret(), "r");
    assert_eq!(tokens.expires, Some(Expiry::In(Duration::from_secs(604_800))));
    assert_eq!(tokens.extra()["location"], 7);
    // What is left out: the refresh token is kept, and the lifetime is the profile's.
    let tokens = profile(ENVELOPE)
        .read(br#"{"datas":{"token":"a","refresh_token":""},"err_code":"0"}"#)
        .unwrap();
    assert!(tokens.refresh_token().is_none());
    assert_eq!(tokens.expires, Some(Expiry::In(Duration::from_secs(7 * 86_400))));
    // Neither a byte order mark, nor Latin-1, nor a number that no machine holds costs them.
    let odd = b"\xef\xbb\xbf{\"n\":\"M\xfcller\",\"x\":1e999,\"datas\":{\"token\":\"a\"},\"err_code\":\"0\"}";
    assert!(profile(ENVELOPE).read(odd).is_ok());
}

#[test]
fn the_outcome_table_of_a_profile() {
    use Outcome::{Ambiguous, Configuration, InvalidGrant, Rejected};
    let (refresh, login) = (Ask::Refresh, Ask::Login);
    let page = &[("content-type", "text/html")][..];
    let wait = &[("retry-after", "7")][..];
    for (ask, status, headers, body, outcome, message) in [
        // What the profile says.
        (
            refresh,
            200,
            &[][..],
            r#"{"err_code":"40"}"#,
            InvalidGrant,
            "refused the refresh token (/err_code 40)",
        ),
        (refresh, 200, &[], r#"{"err_code":41}"#, InvalidGrant, "(/err_code 41)"),
        (login, 200, &[], r#"{"err_code":41}"#, Configuration, "refused the credentials"),
        (login, 200, &[], r#"{"err_code":50}"#, Configuration, "the user is disabled"),
        (refresh, 200, &[], r#"{"err_code":50}"#, Rejected, "(/err_code 50)"),
        (refresh, 500, &[("x-down", "planned until 7")], "", Rejected, "being mended"),
        // A failing server, and one that asks for fewer requests, says nothing of the token.
        (refresh, 500, &[], r#"{"err_code":"40"}"#, Ambiguous, "failed"),
        (refresh, 429, wait, r#"{"err_code":"40"}"#, Rejected, "fewer requests"),
        // A refusal in a 200 that the profile does not know.
        (
            refresh,
            200,
            &[],
            r#"{"err_code":"99"}"#,
            Rejected,
            "in an answer of its own kind: `success` names other values for `/err_code` (/err_code 99)",
        ),
        // What cannot be read: nobody knows what the server did.
        (refresh, 200, page, "<html>log in</html>", Ambiguous, "a page of HTML instead of JSON"),
        (refresh, 200, &[], "", Ambiguous, "is empty"),
        (
            refresh,
            200,
            &[],
            r#"{"datas":{"token":"x"}}"#,
            Ambiguous,
            "`success` asks for a value at `/err_code`, and there is none",
        ),
        (
            refresh,
            201,
            &[],
            r#"{"datas":{"token":"x"},"err_code":"0"}"#,
            Ambiguous,
            "`success` asks for another status, header or redirect",
        ),
        (refresh, 200, &[], r#"{"err_code":"0"}"#, Ambiguous, "`/datas/token`"),
        (refresh, 200, &[], r#"{"err_code":"0","datas":{"token":"x""#, Ambiguous, "breaks off"),
        (refresh, 200, &[], r#"{"err_code":"99","datas":{"#, Ambiguous, "breaks off"),
        (refresh, 200, &[], "not JSON", Ambiguous, "is not JSON"),
        (refresh, 204, &[], "", Ambiguous, "is empty"),
        // What the profile does not say is RFC 6749's, and the table's.
        (
            refresh,
            400,
            &[],
            r#"{"error":"invalid_grant"}"#,
            InvalidGrant,
            "refused the refresh token",
        ),
        (refresh, 200, &[], r#"{"error":"invalid_client"}"#, Configuration, "refused the client"),
        (refresh, 401, &[], "", Rejected, "refused the request"),
        (refresh, 302, &[("location", "/login")], "", Configuration, "redirects"),
        (refresh, 502, &[], "", Ambiguous, "failed"),
        (refresh, 503, wait, "", Rejected, "not available"),
        // A login that is refused is not tried in a loop, which would lock the account.
        (login, 401, &[], "", Configuration, "the login was refused"),
        (login, 422, &[], r#"{"detail":"x"}"#, Configuration, "the login was refused"),
        (login, 401, &[], r#"{"error":"Wrong password"}"#, Configuration, "the login was refused"),
        (login, 404, &[], "", Rejected, "refused the request"),
        // Many frameworks write the status once more into `error`, which is no code of RFC 6749.
        (login, 401, &[], r#"{"error":"Unauthorized"}"#, Configuration, "the login was refused"),
        (login, 422, &[], r#"{"error":"bad_login"}"#, Configuration, "the login was refused"),
        (login, 400, &[], r#"{"error":"invalid_request"}"#, Rejected, "refused the request"),
        (
            login,
            400,
            &[],
            r#"{"error":"temporarily_unavailable"}"#,
            Rejected,
            "refused the request",
        ),
        (login, 400, &[], r#"{"error":"invalid_grant"}"#, Configuration, "refused the credentials"),
    ] {
        let error = read(ask, &answer(status, headers, body)).unwrap_err();
        assert_eq!(error.outcome(), outcome, "{ask:?} {status} {body}: {error}");
        assert!(error.to_string().contains(message), "{ask:?} {status} {body}: {error}");
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
    }
    let limited = read(refresh, &answer(429, wait, "")).unwrap_err();
    assert_eq!(limited.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn an_error_shows_no_part_of_the_body() {
    for body in [
        r#"{"err_code":"CANARY"}"#,
        r#"{"error":"CANARY 1"}"#,
        r#"{"err_code":"canary-0123456789"}"#,
        "<html>CANARY",
    ] {
        for status in [200, 400, 401, 500] {
            let error = read(Ask::Refresh, &answer(status, &[], body)).unwrap_err();
            let shown = format!("{error} {error:?}").to_ascii_uppercase();
            assert!(!shown.contains("CANARY"), "{shown}");
        }
    }
}

#[test]
fn an_absolute_end_counts_from_the_servers_clock() {
    let end = |headers: &[(&str, &str)]| {
        let body = r#"{"token":"t","token_expiry":"2025-07-12T15:52:00.000000"}"#;
        let connector =
            Profile::shipped("pos-connector").unwrap().with_zone("Europe/Berlin").unwrap();
        connector
            .description
            .read(Ask::Login, &answer(200, headers, body), UNIX_EPOCH)
            .unwrap()
            .expires
    };
    let date = ("date", "Sat, 12 Jul 2025 13:22:00 GMT");
    assert_eq!(end(&[date]), Some(Expiry::In(Duration::from_secs(1_800))));
    assert_eq!(end(&[]), Some(Expiry::At(Duration::from_secs(1_752_328_320))));
}
