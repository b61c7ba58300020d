//! HighLevel: OAuth for one location each.

use http::{Method, StatusCode};
use serde_json::json;

use super::{
    oauth::OAuth,
    wire::{Endpoint, Fields, Good, Problem, Refused, Sent, Serves, Wire, text},
};
use crate::{
    api,
    refusal::Refusal,
    response::{self, Whole},
    token_request::TokenRequest,
};

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::tokens("/oauth/token"),
    Endpoint { method: Method::GET, path: "/oauth/chooselocation", serves: Serves::Authorization },
];

pub(super) struct HighLevel;

impl Wire for HighLevel {
    fn endpoints(&self) -> &'static [Endpoint] {
        ENDPOINTS
    }

    fn read(&self, sent: &Sent<'_>) -> TokenRequest {
        OAuth.read(sent)
    }

    fn issued(&self, request: &TokenRequest, good: &Good<'_>) -> Fields {
        let mut fields = OAuth.issued(request, good);
        if let Some(location) = &good.issued.location {
            fields.push(("userType", text("Location")));
            fields.push(("locationId", text(location)));
        }
        fields
    }

    fn problem(&self, request: &TokenRequest, refusal: Refusal) -> Problem {
        let problem = OAuth.problem(request, refusal);
        // It calls a dead refresh token unauthorized, where RFC 6749 §5.2 has 400.
        match &*problem.code {
            "invalid_grant" => Problem { status: StatusCode::UNAUTHORIZED, ..problem },
            _ => problem,
        }
    }

    fn refused(&self, problem: &Problem) -> Refused {
        OAuth.refused(problem)
    }

    fn api_refused(&self, refusal: api::Refusal) -> Whole {
        let message = match refusal {
            api::Refusal::NoToken | api::Refusal::InvalidRequest => "Invalid Authorization header",
            api::Refusal::InvalidToken => "Invalid JWT",
            api::Refusal::InsufficientScope => "The token is not authorized for this scope.",
        };
        let status = refusal.status();
        response::json(status, &json!({ "statusCode": status.as_u16(), "message": message }))
    }
}
