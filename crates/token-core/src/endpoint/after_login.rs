use std::fmt;

use bytes::Bytes;
use http::{Request, Response};

use super::HttpEndpoint;
use super::with_bearer::with_bearer;
use crate::config_error::ConfigError;
use crate::refresher::{Outcome, RefreshError, Refresher, Spends};
use crate::token::Token;
use crate::unsent::before_sending;
use crate::version::Version;

/// An HTTP client for a token endpoint that wants a login just for this: it logs in, sends the request with that login's access
/// token as the bearer token, and forgets the login.
///
/// For tokens that last for months and that only an administrator may make: each is replaced before its end by a login whose
/// own tokens are in no store and no log, and that nobody refreshes.
///
/// A login that fails means that the request was not sent. One that is refused, as with a wrong password, is not made again by
/// itself ([`Configuration`](Outcome::Configuration)); the operator is told, and the token that is to be replaced is used on
/// as long as it is good. Any other failure is tried again after the backoff.
///
/// # Example
///
/// ```
/// # #[cfg(feature = "profile")] {
/// use token_core::ConfigError;
/// use token_core::TokenManager;
/// use token_core::endpoint::profile::{Profile, ProfileEndpoint};
/// use token_core::endpoint::{AfterLogin, HttpEndpoint};
///
/// fn service_tokens(http: impl HttpEndpoint + Clone, url: &str) -> Result<TokenManager, ConfigError> {
///     let admin = ProfileEndpoint::new(http.clone(), Profile::shipped("nocturna")?.with_base_url(url)?);
///     let new = Profile::shipped("nocturna-new-service-token")?.with_base_url(url)?;
///     ProfileEndpoint::new(AfterLogin::new(http, admin), new).manager().build()
/// }
/// # }
/// ```
pub struct AfterLogin<H, L> {
    http: H,
    login: L,
}

impl<H: HttpEndpoint, L: Refresher> AfterLogin<H, L> {
    /// Sends over `http`, each request after a login of its own.
    pub const fn new(http: H, login: L) -> Self {
        Self { http, login }
    }
}

impl<H: HttpEndpoint, L: Refresher> HttpEndpoint for AfterLogin<H, L> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let login = before_sending("the login before the request", self.login.refresh(None));
        let tokens = login.await.map_err(failed)?;
        let Some(access) = tokens.access_token() else {
            return Err(RefreshError::configuration(
                "the login before the request gave no access token",
            ));
        };
        let token = Token::new(access, Version::FIRST, None)
            .map_err(|error| RefreshError::configuration(error.to_string()))?;
        self.http.send(with_bearer(request, token.bearer())?).await
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.http.check()?;
        self.login.check()?;
        if self.login.spends(None) == Spends::Nothing {
            return Ok(());
        }
        Err(ConfigError::new(
            "what logs in before each request presents a refresh token; it must be a login that needs none",
        ))
    }
}

impl<H: fmt::Debug, L> fmt::Debug for AfterLogin<H, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterLogin").field("http", &self.http).finish_non_exhaustive()
    }
}

/// Whatever became of the login, the request after it was not sent.
fn failed(error: RefreshError) -> RefreshError {
    let outcome = match error.outcome() {
        Outcome::Configuration | Outcome::InvalidGrant => Outcome::Configuration,
        Outcome::Rejected => Outcome::Rejected,
        Outcome::NotSent | Outcome::Ambiguous => Outcome::NotSent,
    };
    let mut failed =
        RefreshError::new(outcome, format!("the login before the request failed: {error}"));
    if let Some(status) = error.status() {
        failed = failed.with_status(status);
    }
    if let Some(wait) = error.retry_after() {
        failed = failed.with_retry_after(wait);
    }
    failed.with_source(error)
}
