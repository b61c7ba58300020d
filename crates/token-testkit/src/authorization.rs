//! The authorization endpoint (RFC 6749 §3.1, RFC 7636): a person that agrees at once, and a browser that is sent back.

use http::{HeaderValue, StatusCode, Uri, header};
use serde_json::json;

use crate::{
    dialect::{Parameters, query},
    response::{self, Reply},
    shared::Shared,
    tokens::{Authorized, Holder},
};

pub(crate) fn serve(shared: &Shared, uri: &Uri) -> Reply {
    let (mut parameters, flaw) = query(uri.query());
    let (Some(client), Some(redirect_uri)) =
        (parameters.remove("client_id"), parameters.remove("redirect_uri"))
    else {
        return not_sent_back("client_id or redirect_uri is missing");
    };
    // RFC 6749 §4.1.2.1: whose address is not to be trusted is not sent anywhere.
    if !shared.clients.contains(&client) {
        return not_sent_back("the client is unknown");
    }
    let state = parameters.remove("state");
    let outcome = match flaw {
        Some(_) => Err("invalid_request"),
        None => challenge(&mut parameters),
    };
    let (name, value) = match outcome {
        Err(error) => ("error", error.to_owned()),
        Ok(challenge) => {
            let location = parameters.remove("locationId");
            let holder = Holder { client: Some(client), location, ..Holder::default() };
            let redirect_uri = redirect_uri.clone();
            let authorized = Authorized { holder, redirect_uri, challenge };
            let now = shared.now();
            ("code", shared.state().tokens.authorize(authorized, now))
        }
    };
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    pairs.append_pair(name, &value);
    if let Some(state) = state {
        pairs.append_pair("state", &state);
    }
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    let Ok(location) =
        HeaderValue::from_str(&format!("{redirect_uri}{separator}{}", pairs.finish()))
    else {
        return not_sent_back("redirect_uri is no URL");
    };
    let mut response = response::empty(StatusCode::FOUND);
    response.headers_mut().insert(header::LOCATION, location);
    response.into()
}

/// What the code will have to be presented with.
fn challenge(parameters: &mut Parameters) -> Result<String, &'static str> {
    if parameters.get("response_type").is_none_or(|kind| kind != "code") {
        return Err("unsupported_response_type");
    }
    // RFC 9700 §2.1.1; `plain` would show the verifier to whoever sees the request.
    let method = parameters.remove("code_challenge_method");
    match (parameters.remove("code_challenge"), method.as_deref()) {
        (Some(challenge), Some("S256")) => Ok(challenge),
        _ => Err("invalid_request"),
    }
}

/// Told to the person, who can do nothing about it.
fn not_sent_back(why: &str) -> Reply {
    let error = json!({ "error": "invalid_request", "error_description": why });
    response::json(StatusCode::BAD_REQUEST, &error).into()
}
