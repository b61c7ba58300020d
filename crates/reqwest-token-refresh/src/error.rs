use std::error::Error as StdError;
use std::fmt;

use reqwest_middleware::Error;

/// Why a request was not sent: no token could be had. Its [`source`](StdError::source) is the [`token_core::Error`].
///
/// A type of its own, because errors of middleware above show what is below them by `source` alone, which begins one step
/// further down.
#[derive(Clone, Debug)]
struct NotSent(token_core::Error);

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Programs that print an error print this alone, more often than not.
        write!(f, "the request was not sent, because no token could be had: {}", self.0)
    }
}

impl StdError for NotSent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

pub(crate) fn not_sent(error: token_core::Error) -> Error {
    Error::middleware(NotSent(error))
}

/// The error of the token, if the request failed for want of one: also below what other middleware, such as reqwest-retry,
/// made of it.
///
/// # Example
///
/// ```
/// use reqwest_middleware::ClientWithMiddleware;
/// use reqwest_token_refresh::token_error;
///
/// async fn invoices(client: &ClientWithMiddleware) -> Result<(), reqwest_middleware::Error> {
///     let answer = client.get("https://api.example.com/invoices").send().await;
///     if let Some(error) = answer.as_ref().err().and_then(token_error)
///         && error.needs_login()
///     {
///         eprintln!("somebody has to log in: {error}");
///     }
///     answer.map(drop)
/// }
/// ```
pub fn token_error(error: &Error) -> Option<&token_core::Error> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}
