//! The answers of the token endpoint, good, bad and odd. Pure: from a decision to a response.

use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Number;

use crate::{
    fault::{Body, Changes, Field, RefreshField, Scripted},
    refusal::Refusal,
    streamed::Content,
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

/// RFC 6749 §5.1, with these changes.
pub(crate) fn issued(tokens: &Issued, changes: &Changes, scope: Option<&str>, form: bool) -> Made {
    let mut fields = vec![("access_token", text(&tokens.access))];
    match &changes.token_type {
        None => fields.push(("token_type", text("Bearer"))),
        Some(Field::Is(token_type)) => fields.push(("token_type", text(token_type))),
        Some(Field::Absent) => {}
    }
    match &changes.expires_in {
        None => fields.push(("expires_in", seconds(tokens.access_lifetime).to_string())),
        Some(Field::Is(raw)) => fields.push(("expires_in", raw.clone())),
        Some(Field::Absent) => {}
    }
    match (changes.refresh_token, &tokens.refresh) {
        (None | Some(RefreshField::Repeated), Some(token)) => {
            fields.push(("refresh_token", text(token)));
        }
        (Some(RefreshField::Null), _) => fields.push(("refresh_token", "null".to_owned())),
        (Some(RefreshField::Empty), _) => fields.push(("refresh_token", text(""))),
        _ => {}
    }
    if let Some(lifetime) = tokens.refresh_lifetime {
        fields.push(("refresh_expires_in", seconds(lifetime).to_string()));
    }
    if let Some(scope) = changes.scope.as_deref().or(scope) {
        fields.push(("scope", text(scope)));
    }
    encoded(StatusCode::OK, &fields, form)
}

/// The refresh token that such an answer has.
pub(crate) fn answered_refresh<'a>(tokens: &'a Issued, changes: &Changes) -> Option<&'a str> {
    let told = matches!(changes.refresh_token, None | Some(RefreshField::Repeated));
    tokens.refresh.as_deref().filter(|_| told)
}

/// A refusal by the server's own rules.
pub(crate) fn refused(refusal: Refusal, form: bool) -> Made {
    error(refusal.status(), refusal.error(), refusal.description(), form)
}

/// An answer that the rules have no part in. If the request was carried out, `own` is what the
/// rules would have answered.
pub(crate) fn scripted(answer: &Scripted, own: Option<Made>, form: bool) -> Response<Content> {
    let mut response = match &answer.body {
        Body::Nothing => whole(None, Bytes::new()),
        Body::Bytes(bytes) => whole(None, bytes.clone()),
        Body::OAuthError(code) => {
            let status = answer.status.unwrap_or(match code.as_str() {
                "invalid_client" => StatusCode::UNAUTHORIZED,
                _ => StatusCode::BAD_REQUEST,
            });
            error(status, code, "scripted", form).map(Content::Whole)
        }
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

/// RFC 6749 §5.2.
fn error(status: StatusCode, code: &str, description: &str, form: bool) -> Made {
    let fields = [("error", text(code)), ("error_description", text(description))];
    let mut response = encoded(status, &fields, form);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"token-testkit\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
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
        let members: Vec<_> =
            fields.iter().map(|(name, raw)| format!("{}:{raw}", text(name))).collect();
        (JSON, format!("{{{}}}", members.join(",")))
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

/// A JSON string.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whole seconds as an integer, as most servers write them; a fraction is kept.
fn seconds(duration: Duration) -> Number {
    let whole = Number::from(duration.as_secs());
    match duration.subsec_nanos() {
        0 => whole,
        _ => Number::from_f64(duration.as_secs_f64()).unwrap_or(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_an_integer_unless_it_has_a_fraction() {
        for (milliseconds, written) in [(1000, "1"), (1500, "1.5"), (300, "0.3"), (0, "0")] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)).to_string(), written);
        }
        assert_eq!(seconds(Duration::MAX).to_string().parse(), Ok(Duration::MAX.as_secs_f64()));
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
