//! How a FastAPI application refuses, for the dialects that are one.

use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::wire::{Problem, Refused, text};
use crate::{
    api,
    refusal::Refusal,
    response::{self, Whole},
};

/// What is the same for every endpoint; `unauthorized` is what the others answer 401.
pub(super) fn problem(refusal: Refusal, unauthorized: &'static str) -> Problem {
    match refusal {
        Refusal::InvalidRequest(why) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why),
        Refusal::TooLarge => Problem::new(refusal.status(), refusal.description()),
        Refusal::UserDisabled => Problem::new(StatusCode::FORBIDDEN, "Inactive user"),
        _ => Problem::new(StatusCode::UNAUTHORIZED, unauthorized),
    }
}

/// A text, or for a malformed request a list. A scripted error is told by its code.
pub(super) fn refused(problem: &Problem) -> Refused {
    let detail = match problem.status {
        StatusCode::UNPROCESSABLE_ENTITY => {
            json!([{ "type": "value_error", "loc": ["body"], "msg": problem.description }])
                .to_string()
        }
        _ if problem.code.is_empty() => text(&problem.description),
        _ => text(&problem.code),
    };
    let challenge = HeaderValue::from_static("Bearer");
    let unauthorized = problem.status == StatusCode::UNAUTHORIZED;
    let refused = Refused::new(problem.status, vec![("detail", detail)]);
    Refused { challenge: unauthorized.then_some(challenge), ..refused }
}

pub(super) fn api_refused(refusal: api::Refusal) -> Whole {
    let detail = match refusal {
        api::Refusal::NoToken => "Not authenticated",
        api::Refusal::InvalidToken => "Could not validate credentials",
        api::Refusal::InvalidRequest => "More than one Authorization header",
        api::Refusal::InsufficientScope => "Not enough permissions",
    };
    let mut response = response::json(refusal.status(), &json!({ "detail": detail }));
    if refusal.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
