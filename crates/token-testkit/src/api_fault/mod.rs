//! What can go wrong with a request to the API, on demand.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::Full;

use crate::{
    fault::final_status,
    response::{self, Whole},
};

mod text;

/// What becomes of one request to the API.
///
/// A constructor says what is answered; [`at_once`](Self::at_once) and [`after_bytes`](Self::after_bytes) say when.
/// Default: after the whole body was read.
///
/// ```
/// use token_testkit::ApiFault;
///
/// let early = ApiFault::unauthorized("Bearer error=\"invalid_token\"").after_bytes(0);
/// # let _ = early;
/// ```
///
/// Each has a text, as a [`Fault`](crate::Fault) has. The [crate docs](crate#faults-of-the-api) have the table of its
/// words.
///
/// ```
/// # use token_testkit::{ApiFault, ParseError};
/// let early: ApiFault = "status=401 challenge=Bearer%20error=%22invalid_token%22 after-bytes=0".parse()?;
/// assert_eq!(early, ApiFault::unauthorized("Bearer error=\"invalid_token\"").after_bytes(0));
/// # Ok::<_, ParseError>(())
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "a fault does nothing until it is given to a server"]
pub struct ApiFault {
    pub(crate) action: Action,
    pub(crate) when: When,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) enum Action {
    /// The server's own rules decide.
    #[default]
    Process,
    Answer(Answer),
    Refused,
    Close,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Answer {
    status: Option<StatusCode>,
    headers: HeaderMap,
    grpc_status: Option<u8>,
    body: Option<Bytes>,
}

/// How much of the request's body is read before the answer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum When {
    #[default]
    AfterBody,
    /// The rest is read beside the answer.
    AfterBytes(u64),
    AtOnce,
}

impl ApiFault {
    /// None: the token decides.
    pub fn none() -> Self {
        Self::default()
    }

    /// Answers with this status, whatever the token.
    ///
    /// A status outside 200 to 999 cannot end a request; 500 is sent in its place.
    pub fn status(status: u16) -> Self {
        let status = final_status(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::answer(Answer { status: Some(status), ..Answer::default() })
    }

    /// Answers 401 with this `WWW-Authenticate`, whatever the token.
    pub fn unauthorized(challenge: &str) -> Self {
        Self::status(401).with_header(header::WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// Answers as to a token that is not valid, in the words of the [`Dialect`](crate::Dialect): a challenge, or an error with
    /// status 200.
    pub fn refused() -> Self {
        Self { action: Action::Refused, ..Self::default() }
    }

    /// Answers with this redirect to `location`.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).with_header(header::LOCATION.as_str(), location)
    }

    /// Answers as a gRPC server that ends a call before its first message: 200, and the code in the head.
    pub fn grpc_status(code: u8) -> Self {
        Self::answer(Answer { grpc_status: Some(code), ..Answer::default() })
    }

    /// Closes the connection without an answer.
    pub fn close() -> Self {
        Self { action: Action::Close, ..Self::default() }
    }

    /// Adds a header to the answer, beside others of its name. What no header can carry is left out, and so are
    /// `Content-Length` and `Transfer-Encoding`: the server sends what is true of the body.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Action::Answer(answer) = &mut self.action
            && let Ok(value) = HeaderValue::from_str(value)
        {
            // `None` is what is left out.
            _ = answer.add_header(name.as_bytes(), value);
        }
        self
    }

    /// Sets the answer's body. Default: none.
    pub fn with_body(mut self, bytes: impl Into<Bytes>) -> Self {
        if let Action::Answer(answer) = &mut self.action {
            answer.body = Some(bytes.into());
        }
        self
    }

    /// Answers without reading the body, which costs an HTTP/1 connection its life.
    pub fn at_once(mut self) -> Self {
        self.when = When::AtOnce;
        self
    }

    /// Answers once this many bytes of the body were read, and goes on reading to its end; or closes the connection then.
    pub fn after_bytes(mut self, bytes: u64) -> Self {
        self.when = When::AfterBytes(bytes);
        self
    }

    fn answer(answer: Answer) -> Self {
        Self { action: Action::Answer(answer), ..Self::default() }
    }
}

impl Answer {
    pub(crate) fn response(self) -> Whole {
        let mut response = response::empty(self.status());
        let headers = response.headers_mut();
        *headers = self.headers;
        if let Some(code) = self.grpc_status {
            headers.append(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            headers.append("grpc-status", HeaderValue::from(u16::from(code)));
        }
        *response.body_mut() = Full::from(self.body.unwrap_or_default());
        response
    }

    fn status(&self) -> StatusCode {
        self.status.unwrap_or(if self.headers.contains_key(header::LOCATION) {
            StatusCode::TEMPORARY_REDIRECT
        } else if self.headers.contains_key(header::WWW_AUTHENTICATE) {
            StatusCode::UNAUTHORIZED
        } else {
            StatusCode::OK
        })
    }

    /// `None` if it cannot be sent.
    fn add_header(&mut self, name: &[u8], value: HeaderValue) -> Option<()> {
        let name = HeaderName::from_bytes(name).ok()?;
        // hyper panics in debug builds if the length is not the body's.
        if name == header::CONTENT_LENGTH || name == header::TRANSFER_ENCODING {
            return None;
        }
        // A map has an end, at some 24,000 names, and panics there.
        self.headers.try_append(name, value).ok().map(drop)
    }
}
