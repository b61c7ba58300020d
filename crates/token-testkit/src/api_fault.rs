//! What can go wrong with a request to the API, on demand.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

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
#[derive(Clone, Debug, Default)]
#[must_use = "a fault does nothing until it is given to a server"]
pub struct ApiFault {
    pub(crate) action: Action,
    pub(crate) when: When,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Action {
    /// The server's own rules decide.
    #[default]
    Process,
    Answer {
        status: StatusCode,
        headers: HeaderMap,
        body: Bytes,
    },
    Close,
}

/// How much of the request's body is read before the answer.
#[derive(Clone, Copy, Debug, Default)]
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
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::of(Action::Answer { status, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// Answers 401 with this `WWW-Authenticate`, whatever the token.
    pub fn unauthorized(challenge: &str) -> Self {
        Self::status(401).with_header(header::WWW_AUTHENTICATE.as_str(), challenge)
    }

    /// Answers with this redirect to `location`.
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::status(status).with_header(header::LOCATION.as_str(), location)
    }

    /// Answers as a gRPC server that ends a call before its first message: 200, and the code in the head.
    pub fn grpc_status(code: u8) -> Self {
        Self::status(200)
            .with_header(header::CONTENT_TYPE.as_str(), "application/grpc")
            .with_header("grpc-status", &code.to_string())
    }

    /// Closes the connection without an answer.
    pub fn close() -> Self {
        Self::of(Action::Close)
    }

    /// Adds a header to the answer, beside others of its name. What no header can carry is left out.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Action::Answer { headers, .. } = &mut self.action
            && let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
        self
    }

    /// Sets the answer's body. Default: none.
    pub fn with_body(mut self, bytes: impl Into<Bytes>) -> Self {
        if let Action::Answer { body, .. } = &mut self.action {
            *body = bytes.into();
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

    fn of(action: Action) -> Self {
        Self { action, ..Self::default() }
    }
}
