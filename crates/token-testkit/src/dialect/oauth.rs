//! OAuth 2.0: RFC 6749, RFC 6750.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    encoding::Parameters,
    wire::{Endpoint, Fields, Good, Problem, Refused, Sent, Serves, Wire, present, text},
};
use crate::{
    api,
    client::Credentials,
    refusal::Refusal,
    response::{self, Whole},
    token_answer::seconds,
    token_request::TokenRequest,
};

pub(super) struct OAuth;

impl Wire for OAuth {
    fn endpoints(&self) -> &'static [Endpoint] {
        const {
            &[
                Endpoint::tokens("/token"),
                Endpoint { method: Method::GET, path: "/authorize", serves: Serves::Authorization },
            ]
        }
    }

    fn read(&self, sent: &Sent<'_>) -> TokenRequest {
        let (parameters, mut flaw) = sent.form();
        let headers = &sent.head.headers;
        let credentials = credentials(headers, &parameters).unwrap_or_else(|refusal| {
            flaw = flaw.or(Some(refusal));
            Credentials::None
        });
        TokenRequest::new(headers, parameters, credentials, flaw)
    }

    /// RFC 6749 §5.1.
    fn issued(&self, request: &TokenRequest, good: &Good<'_>) -> Fields {
        let refresh_expires_in = good.issued.refresh_lifetime.map(seconds);
        present([
            ("access_token", Some(good.access())),
            ("token_type", good.token_type("Bearer")),
            ("expires_in", good.expiry(seconds(good.issued.access_lifetime))),
            ("refresh_token", good.refresh()),
            ("refresh_expires_in", refresh_expires_in),
            ("scope", good.scope(request.parameter("scope"))),
        ])
    }

    fn problem(&self, _request: &TokenRequest, refusal: Refusal) -> Problem {
        Problem::of(refusal)
    }

    /// RFC 6749 §5.2.
    fn refused(&self, problem: &Problem) -> Refused {
        let fields =
            vec![("error", text(&problem.code)), ("error_description", text(&problem.description))];
        let challenge = HeaderValue::from_static("Basic realm=\"token-testkit\"");
        let unauthorized = problem.status == StatusCode::UNAUTHORIZED;
        Refused {
            challenge: unauthorized.then_some(challenge),
            ..Refused::new(problem.status, fields)
        }
    }

    /// RFC 6750 §3.
    fn api_refused(&self, refusal: api::Refusal) -> Whole {
        let mut response = response::empty(refusal.status());
        let challenge = HeaderValue::from_static(match refusal {
            api::Refusal::NoToken => "Bearer",
            api::Refusal::InvalidRequest => "Bearer error=\"invalid_request\"",
            api::Refusal::InvalidToken => "Bearer error=\"invalid_token\"",
            api::Refusal::InsufficientScope => {
                "Bearer error=\"insufficient_scope\", scope=\"admin\""
            }
        });
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        response
    }
}

fn credentials(headers: &HeaderMap, parameters: &Parameters) -> Result<Credentials, Refusal> {
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

    fn read(headers: HeaderMap, body: &str) -> TokenRequest {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.headers = headers;
        OAuth.read(&Sent { head: &head, body: body.as_bytes() })
    }

    fn parse(authorization: Option<&str>, body: &str) -> TokenRequest {
        read(headers(authorization), body)
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
        let request = read(HeaderMap::new(), "client_id=c");
        assert!(matches!(request.credentials().err(), Some(Refusal::InvalidRequest(_))));
    }
}
