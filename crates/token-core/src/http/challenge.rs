use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode, response};

/// What an answer says of the token that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a token is refused or it is not")]
pub enum Verdict {
    /// The answer is the caller's, whatever it says.
    Accepted,
    /// The token was refused: a new one may be accepted.
    Refused,
}

impl Verdict {
    /// The default verdict on an answer to a request that carried a `Bearer` token, for a classifier that adds to it.
    ///
    /// # Example
    ///
    /// An API that answers 403 with a header of its own when a session has ended:
    ///
    /// ```
    /// use token_core::http::Verdict;
    ///
    /// let classifier = |head: &http::response::Parts| {
    ///     if head.headers.contains_key("x-session-expired") { Verdict::Refused } else { Verdict::of(head) }
    /// };
    /// let head = http::Response::builder().status(401).body(())?.into_parts().0;
    /// assert_eq!(classifier(&head), Verdict::Refused);
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn of(head: &response::Parts) -> Self {
        judge(head, Some("Bearer"))
    }
}

/// The gRPC code for "unauthenticated".
const GRPC_UNAUTHENTICATED: &[u8] = b"16";

/// The default verdict on an answer to a request that carried a token of this scheme.
pub(super) fn judge(head: &response::Parts, scheme: Option<&str>) -> Verdict {
    let refused = (head.status == StatusCode::UNAUTHORIZED
        && is_challenge_for(&head.headers, scheme))
        || is_grpc_unauthenticated(&head.headers);
    if refused { Verdict::Refused } else { Verdict::Accepted }
}

/// RFC 6750 §3.1: `invalid_token` asks for another token; `insufficient_scope` and `invalid_request` do not. A challenge
/// without an error, or none at all, is what many APIs answer to a bad token.
fn is_challenge_for(headers: &HeaderMap, scheme: Option<&str>) -> bool {
    let Some(scheme) = scheme else { return true };
    let mut other_scheme = false;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        // RFC 9110 §5.5: a quoted text may have bytes that are not ASCII.
        let value = String::from_utf8_lossy(value.as_bytes());
        let Some(challenges) = parse(&value) else { continue };
        for challenge in challenges {
            if !challenge.scheme.eq_ignore_ascii_case(scheme) {
                other_scheme = true;
            } else if challenge
                .error
                .is_none_or(|error| error.eq_ignore_ascii_case("invalid_token"))
            {
                return true;
            } else {
                // Our scheme, another error: a new token would not help.
                other_scheme = true;
            }
        }
    }
    !other_scheme
}

/// A trailers-only answer has its status in the head, which is all that can be seen before the body is passed on.
fn is_grpc_unauthenticated(headers: &HeaderMap) -> bool {
    headers.get("grpc-status").is_some_and(|status| status.as_bytes() == GRPC_UNAUTHENTICATED)
        && headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[derive(Debug, PartialEq, Eq)]
struct Challenge<'a> {
    scheme: &'a str,
    error: Option<String>,
}

/// Reads the challenges of one header value (RFC 9110 §11.6.1): a comma separates challenges as well as parameters, and
/// a word before it that no `=` follows begins a challenge. `None` if it is not of that form.
fn parse(value: &str) -> Option<Vec<Challenge<'_>>> {
    let mut challenges: Vec<Challenge<'_>> = Vec::new();
    let mut rest = value;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            return Some(challenges);
        }
        let (word, after) = take_word(rest)?;
        let next = after.trim_start_matches([' ', '\t']);
        if let Some(value) = next.strip_prefix('=').filter(|_| !challenges.is_empty()) {
            let (text, after) = take_value(value.trim_start_matches([' ', '\t']))?;
            if word.eq_ignore_ascii_case("error") {
                challenges.last_mut()?.error = Some(text);
            }
            rest = after;
        } else {
            challenges.push(Challenge { scheme: word, error: None });
            rest = skip_token68(next);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

fn take_word(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn take_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut plain = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((plain, &quoted[at + 1..])),
            '\\' => plain.push(chars.next()?.1),
            _ => plain.push(c),
        }
    }
    None
}

/// A scheme may be followed by one word of base 64 instead of parameters, as `Negotiate` is.
fn skip_token68(text: &str) -> &str {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "-._~+/=".contains(c)))
        .unwrap_or(text.len());
    let after = text[end..].trim_start_matches([' ', '\t']);
    if end > 0
        && (after.is_empty() || after.starts_with(','))
        && !text[..end].trim_end_matches('=').contains('=')
    {
        return after;
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(status: u16, headers: &[(&'static str, &'static str)]) -> Verdict {
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        judge(&answer.body(()).unwrap().into_parts().0, Some("Bearer"))
    }

    #[test]
    fn a_401_is_judged_by_its_challenges() {
        use Verdict::{Accepted, Refused};
        for (challenges, expected) in [
            (&[][..], Refused),
            (&["Bearer"], Refused),
            (&["bearer realm=\"x\""], Refused),
            (&["Bearer error=\"invalid_token\""], Refused),
            (&["Bearer realm=\"a, Basic b=\\\"c\\\"\", error=invalid_token"], Refused),
            (&["Basic realm=\"x\", Bearer error=\"invalid_token\""], Refused),
            (&["Basic realm=\"x\"", "Bearer"], Refused),
            (&["Negotiate YWJj==, Bearer"], Refused),
            (&["Bearer realm=\"x\", error=\"insufficient_scope\", scope=\"a b\""], Accepted),
            (&["Bearer error=\"invalid_request\""], Accepted),
            (&["Basic realm=\"x\""], Accepted),
            (&["DPoP error=\"use_dpop_nonce\""], Accepted),
            (&["Negotiate"], Accepted),
            // Nothing that can be understood says as much as nothing.
            (&["\"broken"], Refused),
            (&[""], Refused),
        ] {
            let headers: Vec<_> =
                challenges.iter().map(|value| ("www-authenticate", *value)).collect();
            assert_eq!(verdict(401, &headers), expected, "{challenges:?}");
        }
    }

    #[test]
    fn text_in_other_letters_does_not_hide_a_challenge() {
        for value in [
            "Bearer error=\"insufficient_scope\", error_description=\"nicht möglich\"".as_bytes(),
            b"Basic realm=\"Caf\xe9\"",
        ] {
            let value = http::HeaderValue::from_bytes(value).unwrap();
            let answer = http::Response::builder().status(401).header("www-authenticate", value);
            let head = answer.body(()).unwrap().into_parts().0;
            assert_eq!(judge(&head, Some("Bearer")), Verdict::Accepted);
        }
    }

    #[test]
    fn other_statuses_are_the_callers() {
        for status in [200, 302, 400, 403, 407, 500] {
            assert_eq!(
                verdict(status, &[("www-authenticate", "Bearer error=\"invalid_token\"")]),
                Verdict::Accepted
            );
        }
    }

    #[test]
    fn grpc_says_it_in_the_head() {
        let grpc = ("content-type", "application/grpc+proto");
        assert_eq!(verdict(200, &[grpc, ("grpc-status", "16")]), Verdict::Refused);
        assert_eq!(verdict(200, &[grpc, ("grpc-status", "7")]), Verdict::Accepted);
        assert_eq!(
            verdict(200, &[("content-type", "text/html"), ("grpc-status", "16")]),
            Verdict::Accepted
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in "\\PC*") {
            let _ = parse(&value);
        }

        #[test]
        fn no_likely_header_makes_it_panic(value in "[Ba=\", \\\\\t]*") {
            let _ = parse(&value);
        }
    }
}
