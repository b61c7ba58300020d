use std::fmt;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};

use super::{HttpEndpoint, answer};
use crate::config_error::ConfigError;
use crate::error::Error;
use crate::refresher::{OAuthError, RefreshError};
use crate::source::TokenSource;
use crate::unsent::before_sending;

/// Two tiers: an HTTP client for a token endpoint whose credential is the token of another manager.
///
/// Each request gets the lower tier's token as its bearer token. A 401 renews the lower tier once, and the request is
/// presented again, once.
///
/// | what happens | what becomes of the attempt |
/// |---|---|
/// | the lower tier has no token | [`NotSent`](crate::Outcome::NotSent), with the lower tier's whole text, and its [`Error`] as the source |
/// | 401, and the lower tier has no newer token | [`Rejected`](crate::Outcome::Rejected), likewise |
/// | 401 to the newer token too, or with the OAuth error `invalid_grant` | the answer, for the endpoint above to judge |
/// | the time of the attempt ([`exchange_deadline`](crate::TokenManagerBuilder::exchange_deadline)) ends while the lower tier refreshes | `NotSent`; the lower tier's refresh goes on, and the next attempt finds its token |
/// | any other answer, or none | as without this |
///
/// The first two are tried again after the backoff, so that this tier recovers by itself once somebody has logged in at the
/// lower one. Who has to act is told by the lower tier's own events and errors: to this one it is an endpoint that is
/// unavailable.
///
/// That a 401 may be presented again assumes what RFC 9110 §15.5.2 says of it: the server refused the bearer token, and did
/// nothing with the rest. Nothing but a 401 is presented again, for that could use a one-time refresh token twice.
///
/// A manager must not be handed to itself, nor may two be handed to each other: each refresh would wait for itself, until its
/// deadline.
///
/// # Example
///
/// A long-lived service token that gets short access tokens:
///
/// ```
/// use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint, WithBearer};
/// use token_core::{ConfigError, NoRefresh, TokenKey, TokenManager, TokenSet};
///
/// fn tiers(http: impl HttpEndpoint, service_token: String) -> Result<TokenManager, ConfigError> {
///     let service = TokenManager::builder(NoRefresh)
///         .key(TokenKey::new("service")?)
///         .seed(TokenSet::new(service_token))
///         .build()?;
///     let url = "https://auth.example.com/token";
///     let endpoint = TokenEndpoint::client_credentials(WithBearer::new(http, service), url, ClientAuth::none("bot"));
///     TokenManager::builder(endpoint).key(TokenKey::new("access")?).build()
/// }
/// ```
pub struct WithBearer<H, S> {
    http: H,
    source: S,
}

impl<H: HttpEndpoint, S: TokenSource> WithBearer<H, S> {
    /// Sends over `http` with the tokens of `source`, the lower tier.
    pub const fn new(http: H, source: S) -> Self {
        Self { http, source }
    }
}

impl<H: HttpEndpoint, S: TokenSource> HttpEndpoint for WithBearer<H, S> {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let token = before_sending("the lower tier's token", self.source.token());
        let token = token.await.map_err(|error| {
            RefreshError::not_sent(format!("there is no token of the lower tier: {error}"))
                .with_source(error)
        })?;
        let answer = self.http.send(with_bearer(request.clone(), token.bearer())?).await?;
        if !refuses_bearer(&answer) {
            return Ok(answer);
        }
        let renewed = before_sending("a newer token of the lower tier", self.source.renew(&token));
        let newer = renewed.await.map_err(|error| no_newer(&answer, error))?;
        self.http.send(with_bearer(request, newer.bearer())?).await
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.http.check()
    }
}

impl<H: fmt::Debug, S> fmt::Debug for WithBearer<H, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithBearer").field("http", &self.http).finish_non_exhaustive()
    }
}

/// The request with this bearer token. Two credentials in one header cannot be.
pub(super) fn with_bearer(
    mut request: Request<Bytes>,
    bearer: &HeaderValue,
) -> Result<Request<Bytes>, RefreshError> {
    if request.headers().contains_key(AUTHORIZATION) {
        return Err(RefreshError::configuration(
            "the request has an `Authorization` of its own besides the bearer token; leave one out: `bearer` of the profile, or \
             the client's id and secret by `ClientAuth::form`",
        ));
    }
    request.headers_mut().insert(AUTHORIZATION, bearer.clone());
    Ok(request)
}

/// A server that names the grant as what it refuses has taken the bearer token.
fn refuses_bearer(answer: &Response<Bytes>) -> bool {
    answer.status() == StatusCode::UNAUTHORIZED
        && answer::code(answer).as_deref() != Some(OAuthError::InvalidGrant.as_code())
}

fn no_newer(answer: &Response<Bytes>, error: Error) -> RefreshError {
    RefreshError::rejected(format!(
        "the token endpoint refused the lower tier's token, and there is no newer one: {error}"
    ))
    .with_status(answer.status())
    .with_source(error)
}
