//! How the parts of a request are read, whatever they are called.

use std::collections::{HashMap, hash_map::Entry};

use http::{HeaderMap, HeaderName, header};
use serde_json::Value;

use crate::{api, refusal::Refusal};

/// Parameters by name.
pub(crate) type Parameters = HashMap<String, String>;

/// A form in the body. What could be read is there even if there is a flaw.
pub(crate) fn form(headers: &HeaderMap, body: &[u8]) -> (Parameters, Option<Refusal>) {
    let (parameters, flaw) = pairs(body);
    if is(headers, "application/x-www-form-urlencoded") {
        return (parameters, flaw);
    }
    let media = "the content type is not application/x-www-form-urlencoded";
    (parameters, flaw.or(Some(Refusal::InvalidRequest(media))))
}

/// The same in a URL's query.
pub(crate) fn query(query: Option<&str>) -> (Parameters, Option<Refusal>) {
    pairs(query.unwrap_or_default().as_bytes())
}

/// The members of a JSON object: texts, numbers and truth values; others are left out.
pub(crate) fn json(headers: &HeaderMap, body: &[u8]) -> (Parameters, Option<Refusal>) {
    let flaw = |why| (Parameters::new(), Some(Refusal::InvalidRequest(why)));
    if !is(headers, "application/json") {
        return flaw("the content type is not application/json");
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(body) else {
        return flaw("the body is not a JSON object");
    };
    let scalar = |value| match value {
        Value::String(text) => Some(text),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    let members = members.into_iter().filter_map(|(name, value)| Some((name, scalar(value)?)));
    (members.filter(|(_, value)| !value.is_empty()).collect(), None)
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, api::Refusal> {
    let value = only(headers, &header::AUTHORIZATION)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(token.trim()),
        _ => Err(api::Refusal::NoToken),
    }
}

/// The value of a header that must be there once.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, api::Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(api::Refusal::NoToken)?;
    // Who adds a header to another one gets to know it.
    if values.next().is_some() {
        return Err(api::Refusal::InvalidRequest);
    }
    value.to_str().map_err(|_| api::Refusal::NoToken)
}

fn pairs(encoded: &[u8]) -> (Parameters, Option<Refusal>) {
    let (mut parameters, mut flaw) = (Parameters::new(), None);
    for (name, value) in form_urlencoded::parse(encoded) {
        // RFC 6749 §3.2: parameters without a value are as good as omitted, and none may be
        // included more than once.
        if value.is_empty() {
            continue;
        }
        match parameters.entry(name.into_owned()) {
            Entry::Vacant(entry) => _ = entry.insert(value.into_owned()),
            Entry::Occupied(_) => flaw = Some(Refusal::InvalidRequest("a parameter is repeated")),
        }
    }
    (parameters, flaw)
}

fn is(headers: &HeaderMap, media: &str) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case(media))
}
