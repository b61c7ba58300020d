//! How new tokens are obtained, and what an attempt that failed means for the refresh token.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::config_error::ConfigError;
use crate::or_login::OrLogin;
use crate::token::TokenSet;

/// How new tokens are obtained: one exchange with an authorization server.
///
/// The stock one is [`TokenEndpoint`](crate::endpoint::TokenEndpoint). An implementation makes **one attempt**: no
/// retry, no redirect. It must not send its request through a client that authenticates with the very manager that
/// calls it. The manager bounds it in time and runs it detached from any caller; a panic or an overrun counts as
/// [`Outcome::Ambiguous`].
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use token_core::{RefreshError, Refresher, Spends, TokenSet};
///
/// struct Login;
///
/// impl Refresher for Login {
///     async fn refresh(&self, _current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
///         Ok(TokenSet::new("a token of the API's own").with_expires_in(Duration::from_secs(600)))
///     }
///
///     fn spends(&self, _current: Option<&TokenSet>) -> Spends {
///         Spends::Nothing
///     }
/// }
/// ```
pub trait Refresher: Send + Sync + 'static {
    /// Obtains the tokens that follow `current`.
    ///
    /// # Errors
    ///
    /// A [`RefreshError`] of the class that tells what may be done with the refresh token next. When in doubt,
    /// [`RefreshError::ambiguous`].
    fn refresh(
        &self,
        current: Option<&TokenSet>,
    ) -> impl Future<Output = Result<TokenSet, RefreshError>> + Send;

    /// What an attempt with these tokens uses up. Called often, under a lock: it must not block, nor ask the manager.
    fn spends(&self, current: Option<&TokenSet>) -> Spends;

    /// Falls back to a login: where there is no refresh token, and once it has died.
    ///
    /// The login is made by itself, so it must need nobody: a password, a client secret. Of the processes that share the
    /// grant one logs in, which the store decides; the others go on from its tokens, or take their turn after the time of an
    /// attempt. A store that cannot be read keeps a grant with a seed from logging in: a refresh token that lives may be
    /// there. If the login is refused, as with a wrong password, a process does not make it again by itself. A
    /// [`logout`](crate::TokenManager::logout) lasts, whatever login there is.
    ///
    /// # Example
    ///
    /// ```
    /// # use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
    /// use token_core::{Refresher, TokenManager};
    ///
    /// # fn build<H: HttpEndpoint + Clone>(http: H) -> Result<TokenManager, token_core::ConfigError> {
    /// let url = "https://auth.example.com/token";
    /// let refresh = TokenEndpoint::refresh_token(http.clone(), url, ClientAuth::none("my-app"));
    /// let login = TokenEndpoint::password(http, url, ClientAuth::none("my-app"), "robot", "its password");
    /// let tokens = TokenManager::builder(refresh.or_login(login)).build()?;
    /// # Ok(tokens)
    /// # }
    /// ```
    fn or_login<L: Refresher>(self, login: L) -> OrLogin<Self, L>
    where
        Self: Sized,
    {
        OrLogin::new(self, login)
    }

    /// Whether the settings can work; asked once, by [`build`](crate::TokenManagerBuilder::build).
    ///
    /// # Errors
    ///
    /// They cannot.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

/// What an attempt uses up, and so how carefully it has to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has a path for each, and no other")]
pub enum Spends {
    /// A refresh token that may be presented once: an intent is stored before, and nothing is sent without it.
    RefreshToken,
    /// A refresh token that the server takes again and again. As long as the store works one process presents it for all;
    /// without it each does.
    Reusable,
    /// Nothing: client credentials, a login. Asked for as a reusable refresh token is presented.
    Nothing,
}

/// What a failed attempt means for the refresh token.
///
/// | outcome | when may it be presented again |
/// |---|---|
/// | `NotSent` | after backoff |
/// | `Rejected` | after `Retry-After`, or backoff |
/// | `InvalidGrant` | never: a login is needed, unless somebody else has rotated it meanwhile |
/// | `Configuration` | not by itself: `refresh_now` or `login`; the tokens are kept |
/// | `Ambiguous` | by the rule for unknown outcomes; what spends nothing: after backoff |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the outcome table is the protocol's and is whole")]
pub enum Outcome {
    /// The request never left: refused, DNS, TLS, a refused HTTP/2 stream.
    NotSent,
    /// The server answered that it will not do it now, and has not.
    Rejected,
    /// The server answered `invalid_grant`.
    InvalidGrant,
    /// The server answered that it will never do it as it is asked: wrong client, password or scope.
    Configuration,
    /// The request was sent, and no answer says what came of it.
    Ambiguous,
}

/// A failed attempt to obtain tokens.
///
/// It carries what helps an operator and no secret: no body, no token, no query string.
#[derive(Clone)]
pub struct RefreshError {
    outcome: Outcome,
    message: Cow<'static, str>,
    oauth: Option<OAuthError>,
    status: Option<http::StatusCode>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl RefreshError {
    /// A failure of this class; the message says what happened and must hold no secret.
    pub fn new(outcome: Outcome, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            outcome,
            message: message.into(),
            oauth: None,
            status: None,
            retry_after: None,
            source: None,
        }
    }

    /// The request never left.
    pub fn not_sent(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::NotSent, message)
    }

    /// The server said: not now.
    pub fn rejected(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::Rejected, message)
    }

    /// The server said that the refresh token is of no more use.
    pub fn invalid_grant() -> Self {
        let mut error = Self::new(Outcome::InvalidGrant, "the token endpoint refused the grant");
        error.oauth = Some(OAuthError::InvalidGrant);
        error
    }

    /// The server will never do it as it is asked.
    pub fn configuration(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::Configuration, message)
    }

    /// Sent, and the outcome is unknown.
    pub fn ambiguous(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Outcome::Ambiguous, message)
    }

    pub(crate) fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Adds the server's OAuth error code.
    #[must_use]
    pub fn with_oauth_error(mut self, error: OAuthError) -> Self {
        self.oauth = Some(error);
        self
    }

    /// Adds the answer's status.
    #[must_use]
    pub fn with_status(mut self, status: http::StatusCode) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds the time for which the server wants to be left alone. More than an hour counts as an hour.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds the error below this one. It must hold no secret: strip URLs of their query first.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// What it means for the refresh token.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The server's OAuth error code, if it sent one.
    pub fn oauth_error(&self) -> Option<&OAuthError> {
        self.oauth.as_ref()
    }

    /// The status of the server's answer, if there was one.
    pub fn status(&self) -> Option<http::StatusCode> {
        self.status
    }

    /// How long the server wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match (&self.oauth, self.status) {
            (Some(oauth), Some(status)) => write!(f, " ({oauth}, HTTP {})", status.as_u16()),
            (Some(oauth), None) => write!(f, " ({oauth})"),
            (None, Some(status)) => write!(f, " (HTTP {})", status.as_u16()),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for RefreshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshError")
            .field("outcome", &self.outcome)
            .field("message", &self.message)
            .field("oauth", &self.oauth)
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .finish_non_exhaustive()
    }
}

impl StdError for RefreshError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// An error code of RFC 6749 §5.2.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OAuthError {
    /// `invalid_request`
    InvalidRequest,
    /// `invalid_client`
    InvalidClient,
    /// `invalid_grant`
    InvalidGrant,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `unsupported_grant_type`
    UnsupportedGrantType,
    /// `invalid_scope`
    InvalidScope,
    /// An `error` that is no code, such as prose. Its text is not kept.
    Unreadable,
    /// A code of the server's own, at most 64 characters of `a-z _ - .`.
    Other(String),
}

impl OAuthError {
    /// Reads a code as a server sent it. What does not look like a code, of lower-case letters and `_`, `-`, `.`, is not
    /// kept: an answer must not put a secret or a line break into a log.
    pub fn from_code(code: &str) -> Self {
        let fits = |c: char| c.is_ascii_lowercase() || matches!(c, '_' | '-' | '.');
        match code {
            "invalid_request" => Self::InvalidRequest,
            "invalid_client" => Self::InvalidClient,
            "invalid_grant" => Self::InvalidGrant,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "invalid_scope" => Self::InvalidScope,
            code if code.len() <= 64 && code.chars().all(fits) => Self::Other(code.to_owned()),
            _ => Self::Unreadable,
        }
    }

    /// The code's text; `unreadable` where there is none.
    pub fn as_code(&self) -> &str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::Unreadable => "unreadable",
            Self::Other(code) => code,
        }
    }
}

impl fmt::Display for OAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable => f.write_str("an `error` that is no OAuth error code"),
            code => f.write_str(code.as_code()),
        }
    }
}

/// The boxed twin, so that a manager is one nameable type.
pub(crate) trait ErasedRefresher: Send + Sync + 'static {
    fn refresh<'a>(
        &'a self,
        current: Option<&'a TokenSet>,
    ) -> Pin<Box<dyn Future<Output = Result<TokenSet, RefreshError>> + Send + 'a>>;

    fn spends(&self, current: Option<&TokenSet>) -> Spends;

    fn check(&self) -> Result<(), ConfigError>;
}

impl<R: Refresher> ErasedRefresher for R {
    fn refresh<'a>(
        &'a self,
        current: Option<&'a TokenSet>,
    ) -> Pin<Box<dyn Future<Output = Result<TokenSet, RefreshError>> + Send + 'a>> {
        Box::pin(Refresher::refresh(self, current))
    }

    fn spends(&self, current: Option<&TokenSet>) -> Spends {
        Refresher::spends(self, current)
    }

    fn check(&self) -> Result<(), ConfigError> {
        Refresher::check(self)
    }
}
