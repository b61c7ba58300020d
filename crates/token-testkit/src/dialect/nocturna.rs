//! A FastAPI application with logins and service tokens.

use super::{
    encoding, fastapi,
    wire::{Endpoint, Fields, Good, Problem, Refused, Sent, Wire, present},
};
use crate::{
    api, refusal::Refusal, response::Whole, token_answer::seconds, token_request::TokenRequest,
};

const LOGIN: &str = "/api/auth/login";
const SERVICE_REFRESH: &str = "/api/auth/service-token/refresh";
const NEW_SERVICE_TOKEN: &str = "/api/auth/admin/service-tokens";

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::tokens("/api/auth/refresh"),
    Endpoint::tokens(LOGIN),
    Endpoint::tokens(SERVICE_REFRESH),
    Endpoint::tokens(NEW_SERVICE_TOKEN),
];

pub(super) struct Nocturna;

impl Wire for Nocturna {
    fn endpoints(&self) -> &'static [Endpoint] {
        ENDPOINTS
    }

    fn read(&self, sent: &Sent<'_>) -> TokenRequest {
        let headers = &sent.head.headers;
        let missing = Refusal::InvalidClient("the bearer token is missing");
        let bearer = || encoding::bearer(headers).map_err(|_| missing);
        match sent.path() {
            LOGIN => {
                let names = [("username", "username"), ("password", "password")];
                TokenRequest::of_grant("password", headers, sent.form(), &names)
            }
            SERVICE_REFRESH => {
                TokenRequest::of_grant("service_token", headers, Default::default(), &[])
                    .with("refresh_token", bearer())
            }
            NEW_SERVICE_TOKEN => {
                let names = [("days", "days"), ("eternal", "eternal")];
                TokenRequest::of_grant("new_service_token", headers, sent.json(), &names)
                    .with("access_token", bearer())
            }
            _ => {
                let names = [("refresh_token", "refresh_token")];
                TokenRequest::of_grant("refresh_token", headers, sent.query(), &names)
            }
        }
    }

    fn issued(&self, request: &TokenRequest, good: &Good<'_>) -> Fields {
        let lifetime = seconds(good.issued.access_lifetime);
        if request.grant_type() == Some("new_service_token") {
            let ends = good.issued.refresh_lifetime.is_some();
            let expires_in = if ends { lifetime } else { "null".to_owned() };
            return present([
                ("service_token", Some(good.access())),
                ("token_type", good.token_type("bearer")),
                ("expires_in", good.expiry(expires_in)),
            ]);
        }
        present([
            ("access_token", Some(good.access())),
            ("refresh_token", good.refresh()),
            ("token_type", good.token_type("bearer")),
            ("expires_in", good.expiry(lifetime)),
        ])
    }

    fn problem(&self, request: &TokenRequest, refusal: Refusal) -> Problem {
        let unauthorized = match request.grant_type() {
            _ if refusal == Refusal::WrongPassword => "Incorrect email or password",
            Some("service_token") => "Service token expired or invalid",
            Some("new_service_token") => "Could not validate credentials",
            _ => "Invalid or expired refresh token",
        };
        fastapi::problem(refusal, unauthorized)
    }

    fn refused(&self, problem: &Problem) -> Refused {
        fastapi::refused(problem)
    }

    fn api_refused(&self, refusal: api::Refusal) -> Whole {
        fastapi::api_refused(refusal)
    }
}
