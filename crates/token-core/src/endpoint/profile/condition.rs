use std::borrow::Cow;

use http::header::LOCATION;
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;

use super::pointer::Pointer;

/// What an answer looks like: all that is named has to be so.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    /// One of these; none means any.
    pub(super) status: Vec<StatusCode>,
    pub(super) header: Option<HeaderTest>,
    /// A redirect to this path, or to one below it.
    pub(super) redirect: Option<String>,
    pub(super) json: Option<JsonTest>,
}

/// A header that is there, and has this text in it.
#[derive(Clone, Debug)]
pub(super) struct HeaderTest {
    pub(super) name: HeaderName,
    pub(super) contains: Option<String>,
}

/// A value in the body's JSON.
#[derive(Clone, Debug)]
pub(super) struct JsonTest {
    pub(super) at: Pointer,
    pub(super) expected: Expected,
}

/// What a value has to be. Values are compared by their text: servers write `0` one day and `"0"` the next.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    There,
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
}

impl Condition {
    /// Whether the head is as the condition says; what it says of the body is another question.
    pub(super) fn fits_head(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        (self.status.is_empty() || self.status.contains(&status))
            && self.header.as_ref().is_none_or(|test| test.holds(headers))
            && self.redirect.as_ref().is_none_or(|path| {
                status.is_redirection()
                    && location(headers).is_some_and(|to| is_below(path_of(&to), path))
            })
    }

    /// Whether the body is as the condition says.
    pub(super) fn fits_body(&self, body: &str) -> bool {
        self.json.as_ref().is_none_or(|test| test.holds(body))
    }

    pub(super) fn holds(&self, status: StatusCode, headers: &HeaderMap, body: &str) -> bool {
        self.fits_head(status, headers) && self.fits_body(body)
    }

    /// The same of an answer of which the body begins so: `None` if the rest decides.
    pub(super) fn holds_for_prefix(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        prefix: &str,
    ) -> Option<bool> {
        match &self.json {
            Some(test) if self.fits_head(status, headers) => test.holds_for_prefix(prefix),
            _ => Some(self.fits_head(status, headers)),
        }
    }

    /// Whether a redirect of this status to this path may be what the condition means.
    pub(super) fn fits_redirect(&self, status: StatusCode, path: &str) -> bool {
        (self.status.is_empty() || self.status.contains(&status))
            && self.redirect.as_ref().is_some_and(|to| is_below(path, to))
    }
}

impl HeaderTest {
    fn holds(&self, headers: &HeaderMap) -> bool {
        headers.get_all(&self.name).iter().any(|value| match &self.contains {
            None => true,
            Some(part) => String::from_utf8_lossy(value.as_bytes()).contains(part.as_str()),
        })
    }
}

impl JsonTest {
    pub(super) fn holds(&self, body: &str) -> bool {
        self.at.find(body).is_some_and(|found| self.expected.is(&found))
    }

    fn holds_for_prefix(&self, prefix: &str) -> Option<bool> {
        let found = self.at.find_in_prefix(prefix)?;
        Some(found.is_some_and(|found| self.expected.is(&found)))
    }

    /// The value found, where it may be shown: a short code, which no secret is.
    pub(super) fn shown(&self, body: &str) -> Option<String> {
        let text = text_of(&self.at.find(body)?)?;
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        let plain = text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte)
        });
        (plain && !text.is_empty() && text.len() <= 40 && digits <= 8).then_some(text)
    }
}

impl Expected {
    fn is(&self, found: &Value) -> bool {
        match self {
            Self::There => true,
            Self::OneOf(texts) => text_of(found).is_some_and(|text| texts.contains(&text)),
            Self::NoneOf(texts) => text_of(found).is_some_and(|text| !texts.contains(&text)),
        }
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Where an answer redirects to. RFC 9110 §5.5: it may have bytes that are not ASCII, which clients follow all the same.
fn location(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    headers.get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()))
}

/// The path of a URL or of a reference to one. Its host does not matter: a login page may have one of its own.
fn path_of(to: &str) -> &str {
    let to = to.split(['?', '#']).next().unwrap_or_default();
    match to.split_once("//") {
        // Before a host there is a scheme or nothing (RFC 3986 §4.2), and no path.
        Some((scheme, after)) if !scheme.contains('/') => {
            after.find('/').map_or("/", |path| &after[path..])
        }
        _ => to,
    }
}

fn is_below(to: &str, path: &str) -> bool {
    to.strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn json(expected: Expected) -> Condition {
        let at = Pointer::parse("/err_code").unwrap();
        Condition { json: Some(JsonTest { at, expected }), ..Condition::default() }
    }

    #[test]
    fn values_are_compared_by_their_text() {
        let is = json(Expected::OneOf(vec!["0".to_owned(), "true".to_owned()]));
        let is_not = json(Expected::NoneOf(vec!["0".to_owned(), "true".to_owned()]));
        for (body, there, equal) in [
            (r#"{"err_code":"0"}"#, true, true),
            (r#"{"err_code":0}"#, true, true),
            (r#"{"err_code":true}"#, true, true),
            (r#"{"err_code":"1"}"#, true, false),
            (r#"{"err_code":0.5}"#, true, false),
        ] {
            assert_eq!(json(Expected::There).fits_body(body), there, "{body}");
            assert_eq!(is.fits_body(body), equal, "{body}");
            assert_eq!(is_not.fits_body(body), !equal, "{body}");
        }
        // What is not there, or is no single value, is neither equal nor different: the server did not say it.
        for body in [r#"{"err_code":null}"#, r#"{"code":1}"#, "<html>", "", r#"{"err_code":[1]}"#] {
            assert!(!is.fits_body(body) && !is_not.fits_body(body), "{body}");
        }
    }

    #[test]
    fn a_redirect_is_known_by_its_path() {
        let login = Condition { redirect: Some("/login".to_owned()), ..Condition::default() };
        let fits = |status: u16, to: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, HeaderValue::from_bytes(to.as_bytes()).unwrap());
            login.fits_head(StatusCode::from_u16(status).unwrap(), &headers)
        };
        for to in [
            "/login",
            "/login?next=/x",
            "/login/",
            "/login/sso",
            "https://id.example/login#top",
            "//id.example/login",
            // Not every server encodes what it appends.
            "/login?next=/größe",
            // Two slashes begin a host only where a host can be.
            "/login//",
            "https://id.example/login//sso",
        ] {
            assert!(fits(302, to), "{to}");
            assert!(!fits(200, to), "{to}");
        }
        for to in [
            "/",
            "/logins",
            "/app/login",
            "https://login",
            "https://login.example/",
            "login",
            "/home?to=/login",
            "/home//x/login",
            "/größe",
        ] {
            assert!(!fits(302, to), "{to}");
        }
        assert!(!login.fits_head(StatusCode::FOUND, &HeaderMap::new()));
    }

    #[test]
    fn a_header_is_there_or_has_a_text_in_it() {
        let test = |contains: Option<&str>| Condition {
            header: Some(HeaderTest {
                name: HeaderName::from_static("x-session"),
                contains: contains.map(str::to_owned),
            }),
            ..Condition::default()
        };
        let mut headers = HeaderMap::new();
        assert!(!test(None).fits_head(StatusCode::OK, &headers));
        headers.append("x-session", "alive".parse().unwrap());
        headers.append("x-session", "and expired".parse().unwrap());
        assert!(test(None).fits_head(StatusCode::OK, &headers));
        assert!(test(Some("expired")).fits_head(StatusCode::OK, &headers));
        assert!(!test(Some("revoked")).fits_head(StatusCode::OK, &headers));
    }

    #[test]
    fn all_that_is_named_has_to_be_so() {
        let mut both = json(Expected::OneOf(vec!["7".to_owned()]));
        both.status = vec![StatusCode::OK];
        let holds = |status, body| both.holds(status, &HeaderMap::new(), body);
        assert!(holds(StatusCode::OK, r#"{"err_code":7}"#));
        assert!(!holds(StatusCode::ACCEPTED, r#"{"err_code":7}"#));
        assert!(!holds(StatusCode::OK, r#"{"err_code":8}"#));
    }

    #[test]
    fn a_code_is_shown_and_what_may_be_a_secret_is_not() {
        let test = JsonTest { at: Pointer::to_field("c"), expected: Expected::There };
        for (value, shown) in [
            (r#""token_expired""#, Some("token_expired")),
            ("1001", Some("1001")),
            (r#""CANARY""#, None),
            (r#""a b""#, None),
            (r#""""#, None),
            ("123456789", None),
            (r#""a1b2c3d4e5f6a7b8c9d0e1f2""#, None),
        ] {
            assert_eq!(test.shown(&format!(r#"{{"c":{value}}}"#)).as_deref(), shown, "{value}");
        }
    }
}
