//! What can go wrong with a token request, on demand.

use std::{num::NonZeroUsize, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use crate::refusal::Refusal;

mod action;
mod catalogue;
mod text;

pub(crate) use action::{Action, Body, Changes, Drip, Field, RefreshField, RetryAfter, Scripted};

/// What becomes of one token request.
///
/// A constructor says what happens, the other methods add to it, and [`and`](Self::and) joins two:
///
/// ```
/// use std::time::Duration;
/// use token_testkit::Fault;
///
/// let overloaded = Fault::status(503).retry_after(2).with_delay_before(Duration::from_millis(50));
/// let odd = Fault::expires_in("null").and(Fault::token_type("mac"));
/// # let _ = (overloaded, odd);
/// ```
///
/// Each has a text, for scripts and for programs that are not written in Rust: words, joined by
/// spaces. The [crate docs](crate#faults) have the table of all words.
///
/// ```
/// # use token_testkit::{Fault, ParseError};
/// let fault: Fault = "status=503 retry-after=7 delay-before=2s".parse()?;
/// assert_eq!(fault.to_string(), "delay-before=2s status=503 retry-after=7");
/// # Ok::<_, ParseError>(())
/// ```
///
/// A request whose sender gives up during a delay is carried out all the same.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use = "a fault does nothing until it is given to a server"]
pub struct Fault {
    pub(crate) delay_before: Duration,
    pub(crate) action: Action,
    /// The request is carried out although its answer does not tell so.
    pub(crate) carried_out: bool,
    pub(crate) delay_after: Duration,
    pub(crate) retry_after: Option<RetryAfter>,
    pub(crate) form: bool,
    pub(crate) drip: Option<Drip>,
}

/// What happens.
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
        Self::reset_before().carried_out()
    }

    /// Neither carries the request out nor answers it, until the client gives up or the server is
    /// dropped.
    pub fn hang() -> Self {
        Self::of(Action::Hang)
    }

    /// Revokes the family of the presented refresh token, as an administrator does, then carries
    /// the request out: it is refused with `invalid_grant`.
    pub fn kill_family() -> Self {
        Self::changed(Changes { kill_family: true, ..Changes::default() })
    }
}

/// Answers that the server's rules have no part in. The request is not carried out, unless
/// [`carried_out`](Self::carried_out) is added.
impl Fault {
    /// Answers with this status and no body, or gives another scripted answer this status.
    ///
    /// A status outside 200 to 999 cannot end a request; 500 is sent in its place.
    pub fn status(status: u16) -> Self {
        let status = final_status(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::scripted(Scripted { status: Some(status), ..Scripted::default() })
    }

    /// Answers with this status, `Content-Type` and body, byte for byte.
    ///
    /// The status is as in [`status`](Self::status). A content type that no header can carry is
    /// left out.
    pub fn body(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_str(content_type).ok();
        let body = Body::Bytes(body.into());
        Self::status(status).and(Self::scripted(Scripted { status: None, content_type, body }))
    }

    /// Answers with this error code: 401 for `invalid_client`, 400 for any other (RFC 6749 §5.2).
    ///
    /// Joined with `Fault::status(200)` it is what some servers send in place of a 400. A [`Dialect`](crate::Dialect) writes
    /// it where it has its own errors: as `err_code` with status 200, as `detail`, as `message`.
    pub fn oauth_error(error: impl Into<String>) -> Self {
        Self::sends(Body::OAuthError(error.into()))
    }

    /// Answers as to a wrong password, in the words of the [`Dialect`](crate::Dialect).
    pub fn wrong_password() -> Self {
        Self::sends(Body::Refusal(Refusal::WrongPassword))
    }

    /// Answers as to a user that was disabled, in the words of the [`Dialect`](crate::Dialect).
    ///
    /// [`set_user_active`](crate::AuthorizationServer::set_user_active) does it for good.
    pub fn disabled_user() -> Self {
        Self::sends(Body::Refusal(Refusal::UserDisabled))
    }

    /// Answers 200 with a page, as a proxy or a login wall does.
    pub fn html() -> Self {
        Self::sends(Body::Html)
    }

    /// Answers 200 with `Content-Type: application/json` and no body.
    pub fn empty() -> Self {
        Self::sends(Body::Empty)
    }

    /// Answers 200 with `Content-Type: application/json` and bytes that are neither JSON nor UTF-8.
    pub fn garbage() -> Self {
        Self::sends(Body::Garbage)
    }

    /// Answers 200 with half of the body that `Content-Length` promises, then closes the
    /// connection. Over HTTP/2 the stream is reset, and the half may be lost as well.
    pub fn truncated() -> Self {
        Self::sends(Body::Truncated)
    }

    /// Answers 200 with half of a JSON body, whose `Content-Length` is right.
    pub fn cut_json() -> Self {
        Self::sends(Body::CutJson)
    }

    /// Answers with this status, usually 301, 302, 303, 307 or 308, and this `Location`.
    ///
    /// A status outside 200 to 999 becomes 500, a location that no header can carry `/`.
    pub fn redirect(status: u16, location: &str) -> Self {
        let location =
            HeaderValue::from_str(location).unwrap_or(const { HeaderValue::from_static("/") });
        Self::sends(Body::Redirect(location)).and(Self::status(status))
    }

    /// Answers 200 with JSON of exactly this many bytes, made while it is sent: an access token
    /// without end. Below 59 bytes there is no room for JSON, and the body is just that long.
    pub fn huge(bytes: u64) -> Self {
        Self::sends(Body::Huge(bytes))
    }
}

/// Changes of an otherwise good answer. The request is carried out; a refusal is not changed.
impl Fault {
    /// Answers with this raw JSON as `expires_in`: `null`, `"3600"`, `-1`. It is not checked.
    pub fn expires_in(raw_json: impl Into<String>) -> Self {
        let expires_in = Some(Field::Is(raw_json.into()));
        Self::changed(Changes { expires_in, ..Changes::default() })
    }

    /// Answers without `expires_in`.
    pub fn without_expires_in() -> Self {
        Self::changed(Changes { expires_in: Some(Field::Absent), ..Changes::default() })
    }

    /// Answers with this `token_type` in place of `Bearer`: `mac`, `bEaReR`.
    pub fn token_type(token_type: impl Into<String>) -> Self {
        let token_type = Some(Field::Is(token_type.into()));
        Self::changed(Changes { token_type, ..Changes::default() })
    }

    /// Answers without `token_type`.
    pub fn without_token_type() -> Self {
        Self::changed(Changes { token_type: Some(Field::Absent), ..Changes::default() })
    }

    /// Answers without `refresh_token`. The presented one stays valid, as with
    /// [`Rotation::Omit`](crate::Rotation::Omit).
    pub fn without_refresh_token() -> Self {
        Self::refresh_token(RefreshField::Absent)
    }

    /// Answers with the presented `refresh_token`, which stays valid, as with
    /// [`Rotation::Repeat`](crate::Rotation::Repeat).
    pub fn repeated_refresh_token() -> Self {
        Self::refresh_token(RefreshField::Repeated)
    }

    /// Answers with `"refresh_token":null`. The presented one stays valid.
    pub fn null_refresh_token() -> Self {
        Self::refresh_token(RefreshField::Null)
    }

    /// Answers with `"refresh_token":""`. The presented one stays valid.
    pub fn empty_refresh_token() -> Self {
        Self::refresh_token(RefreshField::Empty)
    }

    /// Answers with this `scope`, whatever was asked for.
    pub fn scope(scope: impl Into<String>) -> Self {
        Self::changed(Changes { scope: Some(scope.into()), ..Changes::default() })
    }

    /// Answers form-encoded in place of JSON, as GitHub does: the good answer, a refusal, or an
    /// [`oauth_error`](Self::oauth_error) that this is joined with.
    pub fn form() -> Self {
        Self { form: true, ..Self::default() }
    }
}

/// What is added.
impl Fault {
    /// Both faults in one. Where they contradict each other, the other one counts.
    pub fn and(self, other: Self) -> Self {
        let either = |own: Duration, others: Duration| if others.is_zero() { own } else { others };
        Self {
            delay_before: either(self.delay_before, other.delay_before),
            action: self.action.and(other.action),
            carried_out: self.carried_out || other.carried_out,
            delay_after: either(self.delay_after, other.delay_after),
            retry_after: other.retry_after.or(self.retry_after),
            form: self.form || other.form,
            drip: other.drip.or(self.drip),
        }
    }

    /// Carries the request out (the refresh token is rotated) before the scripted answer, the reset
    /// or the silence: what was issued is lost. Nothing to a fault that carries it out anyway.
    pub fn carried_out(mut self) -> Self {
        self.carried_out = true;
        self
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
        self.retry_after = Some(RetryAfter::Text(HeaderValue::from(seconds)));
        self
    }

    /// Adds `Retry-After` as an HTTP date so many seconds after the answer's own `Date`, which is
    /// the server's skewed one; before it, if negative.
    pub fn retry_after_date(mut self, seconds: i64) -> Self {
        self.retry_after = Some(RetryAfter::Date(seconds));
        self
    }

    /// Adds `Retry-After` with this very text to the answer, sense or nonsense.
    ///
    /// A text that no header can carry is left out.
    pub fn retry_after_header(mut self, value: &str) -> Self {
        self.retry_after = HeaderValue::from_str(value).ok().map(RetryAfter::Text);
        self
    }

    /// Sends the body in pieces of so many bytes (at least one), and waits after each.
    pub fn dripped(mut self, bytes: usize, every: Duration) -> Self {
        self.drip =
            Some(Drip { bytes: NonZeroUsize::new(bytes).unwrap_or(NonZeroUsize::MIN), every });
        self
    }

    fn of(action: Action) -> Self {
        Self { action, ..Self::default() }
    }

    fn changed(changes: Changes) -> Self {
        Self::of(Action::Rules(changes))
    }

    fn scripted(answer: Scripted) -> Self {
        Self::of(Action::Answer(answer))
    }

    fn sends(body: Body) -> Self {
        Self::scripted(Scripted { body, ..Scripted::default() })
    }

    fn refresh_token(field: RefreshField) -> Self {
        Self::changed(Changes { refresh_token: Some(field), ..Changes::default() })
    }
}

/// A status that ends a request.
pub(crate) fn final_status(status: u16) -> Option<StatusCode> {
    StatusCode::from_u16(status).ok().filter(|status| !status.is_informational())
}

#[cfg(test)]
mod tests;
