//! A Laravel application for points of sale.

use std::sync::{Mutex, PoisonError};

use http::{Method, StatusCode};
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use super::wire::{Endpoint, Fields, Good, Problem, Refused, Sent, Serves, Wire, present, text};
use crate::{
    api,
    refusal::Refusal,
    response::{self, Whole},
    token_answer::object,
    token_request::TokenRequest,
};

mod invoices;

use invoices::Invoices;

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::tokens("/api/login"),
    Endpoint { method: Method::GET, path: "/login", serves: Serves::LoginPage },
];

const NO_EMAIL: &str = "The email field is required.";
const NO_PASSWORD: &str = "The password field is required.";

pub(super) struct PosConnector {
    time_zone: TimeZone,
    invoices: Mutex<Invoices>,
}

impl PosConnector {
    pub(super) fn new(time_zone: TimeZone) -> Self {
        Self { time_zone, invoices: Mutex::default() }
    }
}

impl Wire for PosConnector {
    fn endpoints(&self) -> &'static [Endpoint] {
        ENDPOINTS
    }

    fn read(&self, sent: &Sent<'_>) -> TokenRequest {
        let (parameters, flaw) = sent.json();
        let required = |name, why| match parameters.contains_key(name) {
            true => None,
            false => Some(Refusal::InvalidRequest(why)),
        };
        let flaw = flaw
            .or_else(|| required("email", NO_EMAIL))
            .or_else(|| required("password", NO_PASSWORD));
        let names = [("email", "username"), ("password", "password")];
        TokenRequest::of_grant("password", &sent.head.headers, (parameters, flaw), &names)
    }

    fn issued(&self, _request: &TokenRequest, good: &Good<'_>) -> Fields {
        // A time that no calendar has is left out.
        let ends = good.now.checked_add(good.issued.access_lifetime);
        let ends = ends.and_then(|time| Timestamp::try_from(time).ok()).map(|time| {
            let local = time.to_zoned(self.time_zone.clone());
            text(&local.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string())
        });
        present([
            ("token", Some(good.access())),
            ("token_expiry", good.expiry(ends.unwrap_or_else(|| "null".to_owned()))),
        ])
    }

    fn problem(&self, _request: &TokenRequest, refusal: Refusal) -> Problem {
        match refusal {
            Refusal::WrongPassword => Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "These credentials do not match our records.",
            ),
            Refusal::InvalidRequest(why) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why),
            Refusal::UserDisabled => {
                Problem::new(StatusCode::FORBIDDEN, "Your account has been disabled.")
            }
            _ => Problem::new(refusal.status(), refusal.description()),
        }
    }

    /// A scripted error is told by its code.
    fn refused(&self, problem: &Problem) -> Refused {
        let (code, description) = (&problem.code, &problem.description);
        let message = text(if code.is_empty() { description } else { code });
        let field = if **description == *NO_PASSWORD { "password" } else { "email" };
        let invalid = problem.status == StatusCode::UNPROCESSABLE_ENTITY;
        let errors = invalid.then(|| object(&[(field, format!("[{message}]"))]));
        let fields = present([("message", Some(message)), ("errors", errors)]);
        Refused::new(problem.status, fields)
    }

    fn api_refused(&self, refusal: api::Refusal) -> Whole {
        let message = match refusal {
            api::Refusal::NoToken | api::Refusal::InvalidToken => "Unauthenticated.",
            api::Refusal::InvalidRequest => "Bad Request",
            api::Refusal::InsufficientScope => "This action is unauthorized.",
        };
        response::json(refusal.status(), &json!({ "message": message }))
    }

    fn api_accepted(&self, echo: &api::Echo<'_>) -> Whole {
        // No code panics while it holds the lock.
        let mut invoices = self.invoices.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = invoices.answer(echo.method, echo.path);
        answer.unwrap_or_else(|| response::json(StatusCode::OK, echo))
    }
}
