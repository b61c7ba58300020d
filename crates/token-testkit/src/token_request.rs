//! What a token request says. Pure: from header and bytes to parameters and credentials.

use std::collections::{HashMap, hash_map::Entry};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};

use crate::{client::Credentials, refusal::Refusal};

/// A token request, as far as it could be understood.
pub(crate) struct TokenRequest {
    parameters: HashMap<String, String>,
    credentials: Credentials,
    flaw: Option<Refusal>,
    id: Option<String>,
}

impl TokenRequest {
    pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Self {
        let mut parameters = HashMap::new();
        let mut flaw = None;
        if !is_form(headers) {
            flaw = Some(Refusal::InvalidRequest(
                "the content type is not application/x-www-form-urlencoded",
            ));
        }
        for (name, value) in form_urlencoded::parse(body) {
            // RFC 6749 §3.2: parameters without a value are as good as omitted, and none may be
            // included more than once.
            if value.is_empty() {
                continue;
            }
            match parameters.entry(name.into_owned()) {
                Entry::Vacant(entry) => _ = entry.insert(value.into_owned()),
                Entry::Occupied(_) => {
                    flaw = Some(Refusal::InvalidRequest("a parameter is repeated"));
                }
            }
        }
        let credentials = credentials(headers, &parameters).unwrap_or_else(|refusal| {
            flaw = flaw.or(Some(refusal));
            Credentials::None
        });
        let id = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        Self { parameters, credentials, flaw, id: id.map(str::to_owned) }
    }

    /// A request that was not read.
    pub(crate) fn unread(flaw: Refusal) -> Self {
        Self {
            parameters: HashMap::new(),
            credentials: Credentials::None,
            flaw: Some(flaw),
            id: None,
        }
    }

    /// Who sent it, unless it is malformed.
    pub(crate) fn credentials(&self) -> Result<&Credentials, Refusal> {
        match self.flaw {
            Some(refusal) => Err(refusal),
            None => Ok(&self.credentials),
        }
    }

    /// The client that the request claims to come from, proven or not.
    pub(crate) fn claimed_client(&self) -> Option<&str> {
        self.credentials.id().or_else(|| self.parameter("client_id"))
    }

    /// The `X-Request-Id` header.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub(crate) fn required(&self, name: &str, refusal: Refusal) -> Result<&str, Refusal> {
        self.parameter(name).ok_or(refusal)
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn credentials(
    headers: &HeaderMap,
    parameters: &HashMap<String, String>,
) -> Result<Credentials, Refusal> {
    let id = parameters.get("client_id").cloned();
    let secret = parameters.get("client_secret").cloned();
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(match (id, secret) {
            (Some(id), Some(secret)) => Credentials::Post { id, secret },
            (Some(id), None) => Credentials::IdOnly(id),
            (None, _) => Credentials::None,
        });
    };
    // RFC 6749 §2.3: no more than one method in each request.
    if secret.is_some() {
        return Err(Refusal::InvalidRequest("the client authenticates in two ways at once"));
    }
    let (basic_id, basic_secret) = value
        .to_str()
        .ok()
        .and_then(parse_basic)
        .ok_or(Refusal::InvalidClient("the Authorization header is not well-formed Basic"))?;
    if id.is_some_and(|id| id != basic_id) {
        return Err(Refusal::InvalidRequest("header and form name different clients"));
    }
    Ok(Credentials::Basic { id: basic_id, secret: basic_secret })
}

fn parse_basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

/// Undoes the form-urlencoding of one value (RFC 6749 §2.3.1 and appendix B).
fn form_decode(encoded: &str) -> Option<String> {
    // A bare `&` would end the value: no encoder writes one.
    if encoded.contains('&') {
        return None;
    }
    let pair = format!("value={encoded}");
    form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(authorization: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("Application/X-WWW-Form-Urlencoded; charset=UTF-8"),
        );
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    fn parse(authorization: Option<&str>, body: &str) -> TokenRequest {
        TokenRequest::parse(&headers(authorization), body.as_bytes())
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn basic_values_are_form_decoded() {
        for (encoded, id, secret) in [
            ("id:secret", "id", "secret"),
            ("a%3Ab:c%3Ad", "a:b", "c:d"),
            ("a+b:%2B+%25", "a b", "+ %"),
            ("id:colons:stay", "id", "colons:stay"),
            ("id:equals=stay=", "id", "equals=stay="),
            ("%C3%BC:", "ü", ""),
        ] {
            let request = parse(Some(&basic(encoded)), "");
            let expected = Credentials::Basic { id: id.into(), secret: secret.into() };
            assert!(request.credentials() == Ok(&expected), "{encoded}");
        }
    }

    #[test]
    fn a_malformed_header_is_no_authentication() {
        for value in ["Bearer x", "Basic", "Basic !", &basic("no colon"), &basic("a&b:c")] {
            let refusal = parse(Some(value), "").credentials().err();
            assert!(matches!(refusal, Some(Refusal::InvalidClient(_))), "{value}");
        }
    }

    #[test]
    fn two_ways_at_once_are_an_invalid_request() {
        for body in ["client_secret=s", "client_id=id&client_secret=s", "client_id=other"] {
            let request = parse(Some(&basic("id:s")), body);
            assert!(
                matches!(request.credentials().err(), Some(Refusal::InvalidRequest(_))),
                "{body}"
            );
        }
        let request = parse(Some(&basic("id:s")), "client_id=id");
        assert!(request.credentials().is_ok(), "naming the same client again is allowed");
    }

    #[test]
    fn a_repeated_parameter_is_refused_and_an_empty_one_omitted() {
        let request = parse(None, "grant_type=a&grant_type=b&client_id=c");
        assert!(matches!(request.credentials().err(), Some(Refusal::InvalidRequest(_))));
        assert_eq!(request.claimed_client(), Some("c"), "the history still names the client");
        let request = parse(None, "scope=&client_id=c&refresh_token=a%2Bb");
        assert_eq!(request.parameter("scope"), None);
        assert_eq!(request.parameter("refresh_token"), Some("a+b"));
        assert!(request.credentials() == Ok(&Credentials::IdOnly("c".into())));
    }

    #[test]
    fn any_other_content_type_is_refused() {
        let request = TokenRequest::parse(&HeaderMap::new(), b"client_id=c");
        assert!(matches!(request.credentials().err(), Some(Refusal::InvalidRequest(_))));
    }
}
