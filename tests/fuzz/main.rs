//! Every parser that reads a server's bytes, on real answers that were damaged: nothing panics, nothing takes memory out
//! of proportion, no error repeats what it has read.
//!
//! 20,000 cases each; `FUZZ_CASES=1000000 cargo test -p integration-tests --test fuzz --release` for more. What failed
//! once is kept by proptest beside this file, and is tried first.

mod damage;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
use token_core::http::Verdict;
use token_core::{RefreshError, Refresher, TokenSet};

use self::damage::damaged;

/// Bytes that may be allocated for each byte that is read, and for the rest.
const PER_BYTE: u64 = 128;
const FOR_ANY: u64 = 64 * 1024;

fn config() -> ProptestConfig {
    let cases = std::env::var("FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(20_000))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn token_answers(line in damaged(include_str!("corpus/answers.txt"))) {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let status = parts.next().and_then(|status| std::str::from_utf8(status).ok()?.parse().ok());
        let kind = parts.next().and_then(|kind| HeaderValue::from_bytes(kind).ok());
        let body = parts.next().unwrap_or_default();
        let mut answer = Response::new(Bytes::copy_from_slice(body));
        *answer.status_mut() = status.unwrap_or_default();
        answer.headers_mut().extend(kind.map(|kind| (http::header::CONTENT_TYPE, kind)));
        if let Ok(tokens) = read(answer)? {
            prop_assert!(tokens.access_token().is_some_and(|token| !token.expose_secret().is_empty()));
        }
    }

    #[test]
    fn jwt_payloads(payload in damaged(include_str!("corpus/jwt_payloads.txt")), dated in any::<bool>()) {
        let token = format!("e30.{}.x", damage::base64(&payload));
        let body = serde_json::json!({ "access_token": token }).to_string();
        let mut answer = Response::new(Bytes::from(body));
        if dated {
            let date = HeaderValue::from_static("Tue, 14 Nov 2023 22:13:20 GMT");
            answer.headers_mut().insert("date", date);
        }
        let tokens = read(answer)?.expect("an access token");
        prop_assert!(tokens.access_token().is_some());
    }

    #[test]
    fn retry_after(value in damaged(include_str!("corpus/retry_after.txt")), date in damaged(include_str!("corpus/retry_after.txt"))) {
        let mut answer = Response::new(Bytes::new());
        *answer.status_mut() = http::StatusCode::TOO_MANY_REQUESTS;
        for (name, value) in [("retry-after", value), ("date", date)] {
            answer.headers_mut().extend(HeaderValue::from_bytes(&value).ok().map(|value| {
                (http::HeaderName::from_static(name), value)
            }));
        }
        prop_assert!(read(answer)?.is_err());
    }

    #[test]
    fn challenges(values in prop::collection::vec(damaged(include_str!("corpus/challenges.txt")), 1..4)) {
        let mut head = Response::builder().status(401).body(()).unwrap().into_parts().0;
        for value in &values {
            head.headers.extend(HeaderValue::from_bytes(value).ok().map(|value| {
                (http::header::WWW_AUTHENTICATE, value)
            }));
        }
        let length = values.iter().map(Vec::len).sum();
        in_proportion(length, || Verdict::of(&head))?;
    }
}

/// Reads an answer as the token endpoint's.
fn read(answer: Response<Bytes>) -> Result<Result<TokenSet, RefreshError>, TestCaseError> {
    let length = answer.body().len();
    let body = answer.body().clone();
    let endpoint = TokenEndpoint::refresh_token(
        Canned(Arc::new(answer)),
        "https://auth.example.com/token",
        ClientAuth::basic("id", "secret"),
    );
    let current = TokenSet::from_refresh_token("rt-1");
    let result = in_proportion(length, || {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime")
            .block_on(endpoint.refresh(Some(&current)))
    })?;
    if let Err(error) = &result {
        quotes_nothing(&format!("{error} {error:?}"), &body)?;
    }
    Ok(result)
}

/// An error names no word of the answer that a server could have put a secret into.
fn quotes_nothing(error: &str, body: &[u8]) -> TestCaseResult {
    let body = String::from_utf8_lossy(body);
    for word in ["at-1", "rt-2", "gho_16C7e42F", "ghr_1B4a2e77", "eyJhbGciOiJub25lIn0"] {
        prop_assert!(!(body.contains(word) && error.contains(word)), "{error}");
    }
    Ok(())
}

fn in_proportion<T>(length: usize, work: impl FnOnce() -> T) -> Result<T, TestCaseError> {
    let mut result = None;
    let seen = allocation_counter::measure(|| result = Some(work()));
    prop_assert!(
        seen.bytes_max <= PER_BYTE * length as u64 + FOR_ANY,
        "{} bytes for {length}",
        seen.bytes_max
    );
    result.ok_or_else(|| TestCaseError::fail("no result"))
}

/// An endpoint that has the answer already.
struct Canned(Arc<Response<Bytes>>);

impl HttpEndpoint for Canned {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        Ok((*self.0).clone())
    }
}
