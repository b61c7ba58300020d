//! What a token endpoint's answer without tokens means for the refresh token. Pure.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::refresher::{OAuthError, Outcome, RefreshError, Spends};

use super::retry_after::retry_after;

/// What an answer means that is no success: by the code of RFC 6749 §5.2, if it has one, and by its status.
pub(super) fn refused(
    answer: &Response<Bytes>,
    code: Option<&str>,
    spends: Spends,
    now: SystemTime,
) -> RefreshError {
    let status = answer.status();
    let wait = retry_after(answer.headers(), now);
    let (outcome, message) = match code {
        Some(code) if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            refusal(code, spends)
        }
        _ => failure(status, wait),
    };
    let mut error = RefreshError::new(outcome, message).with_status(status);
    if let Some(code) = code {
        error = error.with_oauth_error(OAuthError::from_code(code));
    }
    if let Some(wait) = wait {
        error = error.with_retry_after(wait);
    }
    error
}

/// What refuses who logs in, in a way of the server's own: another try would lock the account.
pub(super) fn refused_login(status: StatusCode, code: Option<&str>) -> Option<RefreshError> {
    let refuses = matches!(status.as_u16(), 400 | 401 | 403 | 422);
    (refuses && !code.is_some_and(is_of_rfc_6749)).then(|| {
        let message =
            "the login was refused; check its credentials, and that the account is active";
        RefreshError::configuration(message).with_status(status)
    })
}

/// Whether RFC 6749 says what this code means (§5.2, and §4.1.2.1 for a server that cannot now). Many servers write a text of
/// their own into `error`, such as the status once more.
fn is_of_rfc_6749(code: &str) -> bool {
    matches!(code, "server_error" | "temporarily_unavailable")
        || !matches!(OAuthError::from_code(code), OAuthError::Other(_) | OAuthError::Unreadable)
}

fn refusal(code: &str, spends: Spends) -> (Outcome, &'static str) {
    match OAuthError::from_code(code) {
        OAuthError::InvalidGrant if spends == Spends::Nothing => {
            (Outcome::Configuration, "the token endpoint refused the credentials")
        }
        OAuthError::InvalidGrant => {
            (Outcome::InvalidGrant, "the token endpoint refused the refresh token")
        }
        OAuthError::InvalidClient | OAuthError::UnauthorizedClient => {
            (Outcome::Configuration, "the token endpoint refused the client")
        }
        OAuthError::InvalidScope => {
            (Outcome::Configuration, "the token endpoint refused the scope")
        }
        OAuthError::UnsupportedGrantType => {
            (Outcome::Configuration, "the token endpoint does not support this grant type")
        }
        OAuthError::InvalidRequest | OAuthError::Unreadable | OAuthError::Other(_) => {
            (Outcome::Rejected, "the token endpoint refused the request")
        }
    }
}

/// A status without a refusal that says more. Whether the refresh token was used up is known only where the server
/// says that it did nothing.
fn failure(status: StatusCode, wait: Option<Duration>) -> (Outcome, &'static str) {
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            (Outcome::Rejected, "the token endpoint asks for fewer requests")
        }
        StatusCode::SERVICE_UNAVAILABLE if wait.is_some() => {
            (Outcome::Rejected, "the token endpoint is not available")
        }
        StatusCode::REQUEST_TIMEOUT => {
            (Outcome::Ambiguous, "the token endpoint gave up on the request")
        }
        status if status.is_server_error() => (Outcome::Ambiguous, "the token endpoint failed"),
        status if status.is_redirection() => (
            Outcome::Configuration,
            "the token endpoint redirects, which is not followed; set its final URL",
        ),
        _ => (Outcome::Rejected, "the token endpoint refused the request"),
    }
}
