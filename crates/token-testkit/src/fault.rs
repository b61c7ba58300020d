//! What can go wrong with a token request, on demand.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

/// What becomes of one token request.
///
/// A constructor says what happens; [`with_delay_before`](Self::with_delay_before),
/// [`with_delay_after`](Self::with_delay_after) and [`retry_after`](Self::retry_after) add to it:
///
/// ```
/// use std::time::Duration;
/// use token_testkit::Fault;
///
/// let overloaded = Fault::status(503).retry_after(2).with_delay_before(Duration::from_millis(50));
/// # let _ = overloaded;
/// ```
///
/// A request whose sender gives up during a delay is carried out all the same.
#[derive(Clone, Debug, Default)]
#[must_use = "a fault does nothing until it is given to a server"]
pub struct Fault {
    pub(crate) delay_before: Duration,
    pub(crate) action: Action,
    pub(crate) delay_after: Duration,
    pub(crate) retry_after: Option<HeaderValue>,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum Action {
    /// The server's own rules decide.
    #[default]
    Process,
    /// They do, but nobody learns what they decided.
    ProcessThenReset,
    Reset,
    Hang,
    Answer {
        status: StatusCode,
        content_type: Option<HeaderValue>,
        body: Bytes,
    },
    OAuthError(String),
}

impl Fault {
    /// None: the request is carried out and answered.
    pub fn none() -> Self {
        Self::default()
    }

    /// Waits, then carries the request out.
    pub fn delay_before(delay: Duration) -> Self {
        Self::none().with_delay_before(delay)
    }

    /// Carries the request out (the refresh token is rotated), then waits before it answers.
    pub fn delay_after(delay: Duration) -> Self {
        Self::none().with_delay_after(delay)
    }

    /// Answers with this status and no body. The request is not carried out.
    ///
    /// A status outside 200 to 999 cannot end a request; 500 is sent in its place.
    pub fn status(status: u16) -> Self {
        Self::answer(status, None, Bytes::new())
    }

    /// Answers with this status, `Content-Type` and body, byte for byte. The request is not carried
    /// out.
    ///
    /// A status outside 200 to 999 cannot end a request; 500 is sent in its place. A content type
    /// that no header can carry is left out.
    pub fn body(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self::answer(status, HeaderValue::from_str(content_type).ok(), body.into())
    }

    /// Answers with this error code: 401 for `invalid_client`, 400 for any other (RFC 6749 §5.2).
    /// The request is not carried out.
    pub fn oauth_error(error: impl Into<String>) -> Self {
        Self::of(Action::OAuthError(error.into()))
    }

    /// Closes the connection without an answer. The request is not carried out.
    ///
    /// Over HTTP/2 everything else on the connection goes with it.
    pub fn reset_before() -> Self {
        Self::of(Action::Reset)
    }

    /// Carries the request out (the refresh token is rotated), then closes the connection without
    /// an answer.
    ///
    /// Over HTTP/2 everything else on the connection goes with it.
    pub fn reset_after() -> Self {
        Self::of(Action::ProcessThenReset)
    }

    /// Neither carries the request out nor answers it, until the client gives up or the server is
    /// dropped.
    pub fn hang() -> Self {
        Self::of(Action::Hang)
    }

    /// Waits before anything else happens. Default: no delay.
    pub fn with_delay_before(mut self, delay: Duration) -> Self {
        self.delay_before = delay;
        self
    }

    /// Waits before the answer, or the end of the connection. Default: no delay.
    pub fn with_delay_after(mut self, delay: Duration) -> Self {
        self.delay_after = delay;
        self
    }

    /// Adds `Retry-After` in seconds to the answer. Default: none.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(HeaderValue::from(seconds));
        self
    }

    /// Adds `Retry-After` with this very text to the answer: an HTTP date, or nonsense.
    ///
    /// A text that no header can carry is left out.
    pub fn retry_after_header(mut self, value: &str) -> Self {
        self.retry_after = HeaderValue::from_str(value).ok();
        self
    }

    fn of(action: Action) -> Self {
        Self { action, ..Self::default() }
    }

    fn answer(status: u16, content_type: Option<HeaderValue>, body: Bytes) -> Self {
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::of(Action::Answer { status, content_type, body })
    }
}

/// The faults to come: a queue first, then one that stays.
#[derive(Default)]
pub(crate) struct Script {
    queue: VecDeque<Fault>,
    always: Option<Fault>,
}

impl Script {
    pub(crate) fn append(&mut self, faults: impl IntoIterator<Item = Fault>) {
        self.queue.extend(faults);
    }

    pub(crate) fn set_always(&mut self, fault: Option<Fault>) {
        self.always = fault;
    }

    pub(crate) fn next(&mut self) -> Fault {
        self.queue.pop_front().or_else(|| self.always.clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_cannot_end_a_request_becomes_500() {
        for (given, sent) in [(0, 500), (101, 500), (200, 200), (503, 503), (999, 999), (1000, 500)]
        {
            let Action::Answer { status, .. } = Fault::status(given).action else {
                panic!("not an answer");
            };
            assert_eq!(status.as_u16(), sent);
        }
    }

    #[test]
    fn a_script_comes_before_what_is_always_so() {
        let mut script = Script::default();
        let is_hang = |fault: Fault| matches!(fault.action, Action::Hang);
        assert!(!is_hang(script.next()));
        script.set_always(Some(Fault::hang()));
        script.append([Fault::none(), Fault::reset_before()]);
        assert!(!is_hang(script.next()));
        assert!(!is_hang(script.next()));
        assert!(is_hang(script.next()));
        assert!(is_hang(script.next()));
        script.set_always(None);
        assert!(!is_hang(script.next()));
    }
}
