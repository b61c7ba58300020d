//! Akuvox: everything in an envelope, failures with status 200.

use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use serde_json::json;

use super::{
    encoding,
    wire::{Endpoint, Fields, Good, Problem, Refused, Sent, Serves, Wire, present, text},
};
use crate::{
    api,
    refusal::Refusal,
    response::{self, Whole},
    token_answer::{object, seconds},
    token_request::TokenRequest,
};

/// The one `User-Agent` that a server of [`Dialect::Akuvox`](crate::Dialect::Akuvox) talks to.
pub const AKUVOX_USER_AGENT: &str = "VBell/6.61.2 (iPhone; iOS 16.6; Scale/3.00)";

const REFRESH: &str = "/refresh_token";

const ENDPOINTS: &[Endpoint] = &[
    Endpoint::tokens(REFRESH),
    Endpoint { method: Method::GET, path: "/sms_login", serves: Serves::Tokens },
];

/// The error code of a token or login that is not accepted, or not any more.
const REFUSED: &str = "-1";
/// That of a request which is wrong in itself.
const MALFORMED: &str = "-2";

pub(super) struct Akuvox {
    token_header: HeaderName,
}

impl Akuvox {
    pub(super) fn new(token_header: HeaderName) -> Self {
        Self { token_header }
    }
}

impl Wire for Akuvox {
    fn endpoints(&self) -> &'static [Endpoint] {
        ENDPOINTS
    }

    fn read(&self, sent: &Sent<'_>) -> TokenRequest {
        let headers = &sent.head.headers;
        let request = if sent.path() == REFRESH {
            let current = encoding::only(headers, &self.token_header).map_err(|_| {
                Refusal::InvalidRequest("the header with the current token is missing, or repeated")
            });
            let names = [("refresh_token", "refresh_token")];
            TokenRequest::of_grant("refresh_token", headers, sent.json(), &names)
                .with("current_token", current)
        } else {
            let names = [("phone", "username"), ("code", "password")];
            TokenRequest::of_grant("password", headers, sent.query(), &names)
        };
        if is_app(headers) {
            return request;
        }
        request.flawed(Refusal::InvalidRequest("the user agent is not that of the app"))
    }

    fn issued(&self, _request: &TokenRequest, good: &Good<'_>) -> Fields {
        let lifetime = seconds(good.issued.access_lifetime);
        let datas = present([
            ("token", Some(good.access())),
            ("refresh_token", good.refresh()),
            ("token_valid", good.expiry(text(&lifetime))),
        ]);
        vec![("datas", object(&datas)), ("err_code", text("0")), ("message", text("success"))]
    }

    fn problem(&self, _request: &TokenRequest, refusal: Refusal) -> Problem {
        let code = match refusal.error() {
            "invalid_grant" | "invalid_client" => REFUSED,
            _ => MALFORMED,
        };
        Problem { code: code.into(), ..Problem::new(StatusCode::OK, refusal.description()) }
    }

    /// Whatever went wrong: the status does not tell.
    fn refused(&self, problem: &Problem) -> Refused {
        let fields =
            vec![("err_code", text(&problem.code)), ("message", text(&problem.description))];
        Refused::new(StatusCode::OK, fields)
    }

    fn token_header(&self) -> HeaderName {
        self.token_header.clone()
    }

    fn credential<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, api::Refusal> {
        if !is_app(headers) {
            return Err(api::Refusal::InvalidRequest);
        }
        encoding::only(headers, &self.token_header)
    }

    fn api_refused(&self, refusal: api::Refusal) -> Whole {
        let (code, message) = match refusal {
            api::Refusal::NoToken => (REFUSED, "no token"),
            api::Refusal::InvalidToken => (REFUSED, "the token is invalid or has expired"),
            api::Refusal::InvalidRequest => {
                (MALFORMED, "the user agent or the token header is wrong")
            }
            api::Refusal::InsufficientScope => (MALFORMED, "not allowed"),
        };
        response::json(StatusCode::OK, &json!({ "err_code": code, "message": message }))
    }

    fn api_accepted(&self, echo: &api::Echo<'_>) -> Whole {
        let answer = json!({ "datas": echo, "err_code": "0", "message": "success" });
        response::json(StatusCode::OK, &answer)
    }
}

fn is_app(headers: &HeaderMap) -> bool {
    headers.get(header::USER_AGENT).is_some_and(|value| value == AKUVOX_USER_AGENT)
}
