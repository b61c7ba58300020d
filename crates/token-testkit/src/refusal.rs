//! Why a token request is refused.

use http::StatusCode;

/// A refusal by the token endpoint (RFC 6749 §5.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// The request itself is wrong; the text says how.
    InvalidRequest(&'static str),
    /// The body is longer than the endpoint reads.
    TooLarge,
    /// The client did not authenticate, or not as it must.
    InvalidClient(&'static str),
    /// The client may not use this grant.
    UnauthorizedClient(&'static str),
    /// The refresh token or the code is worth nothing.
    InvalidGrant(&'static str),
    /// There is no such user, or the password is another.
    WrongPassword,
    /// The user may not get tokens any more.
    UserDisabled,
    /// The presented refresh token or code was spent before: its family has been revoked just now.
    ReuseDetected,
    /// No such grant here.
    UnsupportedGrantType,
}

impl Refusal {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient(_) => StatusCode::UNAUTHORIZED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The code of RFC 6749 §5.2.
    pub(crate) fn error(self) -> &'static str {
        match self {
            Self::InvalidRequest(_) | Self::TooLarge => "invalid_request",
            Self::InvalidClient(_) => "invalid_client",
            Self::UnauthorizedClient(_) => "unauthorized_client",
            Self::InvalidGrant(_)
            | Self::WrongPassword
            | Self::UserDisabled
            | Self::ReuseDetected => "invalid_grant",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::InvalidRequest(why)
            | Self::InvalidClient(why)
            | Self::UnauthorizedClient(why)
            | Self::InvalidGrant(why) => why,
            Self::WrongPassword => "wrong user name or password",
            Self::UserDisabled => "the user is disabled",
            Self::TooLarge => "the request body is too large",
            Self::ReuseDetected => "the token or code was used before; its family is revoked",
            Self::UnsupportedGrantType => "the grant type is not supported",
        }
    }
}
