//! The answers of token endpoints, good, bad and odd. Pure: from a decision to a response; a [`Wire`] has the shapes.

use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Number;

use crate::{
    dialect::{Good, Problem, Refused, Wire, text},
    fault::{Body, Changes, RefreshField, Scripted},
    refusal::Refusal,
    streamed::Content,
    token_request::TokenRequest,
    tokens::Issued,
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

const PAGE: &[u8] = b"<!DOCTYPE html>\n<title>Sign in</title>\n<p>Please sign in.</p>\n";

/// Neither UTF-8 nor JSON, nor anything else.
const GARBAGE: &[u8] = b"\x80\xff\x00{\"access_token\":\xfe garbage \xc3\x28";

/// What is cut when nothing was issued.
const SAMPLE: &[u8] = br#"{"access_token":"kit-at-sample","token_type":"Bearer","expires_in":3600,"refresh_token":"kit-rt-sample"}"#;

/// An answer whose body is in memory.
pub(crate) type Made = Response<Bytes>;

/// Who is answered, and in which dialect.
pub(crate) struct Asked<'a> {
    pub(crate) wire: &'a dyn Wire,
    pub(crate) request: &'a TokenRequest,
    /// A fault wants the answer form-encoded.
    pub(crate) form: bool,
}

impl Asked<'_> {
    pub(crate) fn issued(&self, good: &Good<'_>) -> Made {
        encoded(StatusCode::OK, &self.wire.issued(self.request, good), self.form)
    }

    /// A refusal by the server's own rules.
    pub(crate) fn refused(&self, refusal: Refusal) -> Made {
        self.problem(&self.wire.problem(self.request, refusal))
    }

    fn problem(&self, problem: &Problem) -> Made {
        let Refused { status, challenge, fields } = self.wire.refused(problem);
        let mut response = encoded(status, &fields, self.form);
        if let Some(challenge) = challenge {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }

    /// An answer that the rules have no part in. If the request was carried out, `own` is what the
    /// rules would have answered.
    pub(crate) fn scripted(&self, answer: &Scripted, own: Option<Made>) -> Response<Content> {
        let mut response = match &answer.body {
            Body::Nothing => whole(None, Bytes::new()),
            Body::Bytes(bytes) => whole(None, bytes.clone()),
            Body::OAuthError(code) => {
                let status = answer.status.unwrap_or(match code.as_str() {
                    "invalid_client" => StatusCode::UNAUTHORIZED,
                    _ => StatusCode::BAD_REQUEST,
                });
                let problem =
                    Problem { code: code.clone().into(), ..Problem::new(status, "scripted") };
                self.problem(&problem).map(Content::Whole)
            }
            Body::Refusal(refusal) => self.refused(*refusal).map(Content::Whole),
            Body::Html => whole(Some(HTML), Bytes::from_static(PAGE)),
            Body::Empty => whole(Some(JSON), Bytes::new()),
            Body::Garbage => whole(Some(JSON), Bytes::from_static(GARBAGE)),
            Body::Truncated => {
                let body = to_cut(own);
                let promised = HeaderValue::from(body.len());
                let mut response =
                    whole(Some(JSON), Bytes::new()).map(|_| Content::CutOff(first_half(&body)));
                response.headers_mut().insert(header::CONTENT_LENGTH, promised);
                response
            }
            Body::CutJson => whole(Some(JSON), first_half(&to_cut(own))),
            Body::Redirect(location) => {
                let mut response = whole(None, Bytes::new());
                *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                response.headers_mut().insert(header::LOCATION, location.clone());
                response
            }
            Body::Huge(bytes) => whole(Some(JSON), Bytes::new()).map(|_| Content::Huge(*bytes)),
        };
        if let Some(status) = answer.status {
            *response.status_mut() = status;
        }
        if let Some(content_type) = &answer.content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type.clone());
        }
        response
    }
}

/// The refresh token that such an answer has.
pub(crate) fn answered_refresh<'a>(tokens: &'a Issued, changes: &Changes) -> Option<&'a str> {
    let told = matches!(changes.refresh_token, None | Some(RefreshField::Repeated));
    tokens.refresh.as_deref().filter(|_| told)
}

/// A page for people, as a login wall has it.
pub(crate) fn login_page() -> Response<Content> {
    whole(Some(HTML), Bytes::from_static(PAGE))
}

/// Members of raw JSON as a JSON object.
pub(crate) fn object(fields: &[(&str, String)]) -> String {
    let members: Vec<_> =
        fields.iter().map(|(name, raw)| format!("{}:{raw}", text(name))).collect();
    format!("{{{}}}", members.join(","))
}

/// Whole seconds as an integer, as most servers write them; a fraction is kept.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = Number::from(duration.as_secs());
    let number = match duration.subsec_nanos() {
        0 => whole,
        _ => Number::from_f64(duration.as_secs_f64()).unwrap_or(whole),
    };
    number.to_string()
}

/// Fields of raw JSON as a JSON object or a form.
fn encoded(status: StatusCode, fields: &[(&str, String)], form: bool) -> Made {
    let (content_type, body) = if form {
        let mut pairs = Serializer::new(String::new());
        for (name, raw) in fields {
            // A form has no types: the content of a string, the text of everything else.
            let value = serde_json::from_str(raw).unwrap_or_else(|_| raw.clone());
            pairs.append_pair(name, &value);
        }
        (FORM, pairs.finish())
    } else {
        (JSON, object(fields))
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    uncached(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn uncached(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

fn whole(content_type: Option<HeaderValue>, body: Bytes) -> Response<Content> {
    let mut response = Response::new(Content::Whole(body));
    if let Some(content_type) = content_type {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

fn to_cut(own: Option<Made>) -> Bytes {
    own.map_or(Bytes::from_static(SAMPLE), Response::into_body)
}

fn first_half(bytes: &Bytes) -> Bytes {
    bytes.slice(..bytes.len() / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_an_integer_unless_it_has_a_fraction() {
        for (milliseconds, written) in [(1000, "1"), (1500, "1.5"), (300, "0.3"), (0, "0")] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)), written);
        }
        assert_eq!(seconds(Duration::MAX).parse(), Ok(Duration::MAX.as_secs_f64()));
    }

    #[test]
    fn a_form_has_the_content_of_strings_and_the_text_of_everything_else() {
        let fields = [("a", text("b \"c\" &")), ("d", "3600.5".into()), ("e", "null".into())];
        let form = encoded(StatusCode::OK, &fields, true);
        assert_eq!(form.body(), "a=b+%22c%22+%26&d=3600.5&e=null");
        let json = encoded(StatusCode::OK, &fields, false);
        assert_eq!(json.body(), r#"{"a":"b \"c\" &","d":3600.5,"e":null}"#);
    }
}
