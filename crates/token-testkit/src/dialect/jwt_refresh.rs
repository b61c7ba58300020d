//! A FastAPI application that takes the ended JWT itself.

use super::{
    fastapi,
    wire::{Endpoint, Fields, Good, Problem, Refused, Sent, Wire, present},
};
use crate::{
    api, refusal::Refusal, response::Whole, token_answer::seconds, token_request::TokenRequest,
};

const ENDPOINTS: &[Endpoint] = &[Endpoint::tokens("/api/auth/refresh")];

pub(super) struct JwtRefresh;

impl Wire for JwtRefresh {
    fn endpoints(&self) -> &'static [Endpoint] {
        ENDPOINTS
    }

    fn read(&self, sent: &Sent<'_>) -> TokenRequest {
        let (parameters, flaw) = sent.json();
        let named = parameters.contains_key("token");
        let missing = (!named).then_some(Refusal::InvalidRequest("token is missing"));
        let read = (parameters, flaw.or(missing));
        let names = [("token", "refresh_token")];
        TokenRequest::of_grant("refresh_token", &sent.head.headers, read, &names)
    }

    fn issued(&self, _request: &TokenRequest, good: &Good<'_>) -> Fields {
        present([
            ("access_token", Some(good.access())),
            ("token_type", good.token_type("bearer")),
            ("expires_in", good.expiry(seconds(good.issued.access_lifetime))),
        ])
    }

    /// Its messages name the very reason.
    fn problem(&self, _request: &TokenRequest, refusal: Refusal) -> Problem {
        fastapi::problem(refusal, refusal.description())
    }

    fn refused(&self, problem: &Problem) -> Refused {
        fastapi::refused(problem)
    }

    fn api_refused(&self, refusal: api::Refusal) -> Whole {
        fastapi::api_refused(refusal)
    }
}
