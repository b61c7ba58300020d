use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut, BytesMut};
use http::HeaderValue;
use serde_json::{Map, Value};

use crate::clock::{Moment, since_epoch};
use crate::config_error::ConfigError;
use crate::secret::{AccessToken, RefreshToken, SeedFingerprint};
use crate::version::Version;

/// What a token endpoint answered (RFC 6749 §5.1), or what an application brings from a login of its own.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use token_core::TokenSet;
///
/// let tokens = TokenSet::new("access").with_refresh_token("refresh").with_expires_in(Duration::from_secs(3600));
/// assert!(tokens.refresh_token().is_some());
/// ```
#[derive(Clone)]
pub struct TokenSet {
    pub(crate) access_token: Option<AccessToken>,
    pub(crate) refresh_token: Option<RefreshToken>,
    pub(crate) token_type: Option<String>,
    pub(crate) expires: Option<Expiry>,
    pub(crate) refresh_expires: Option<Expiry>,
    pub(crate) scope: Option<String>,
    pub(crate) extra: Map<String, Value>,
}

/// When something ends: as the server said it, or fixed to the wall clock (time since the Unix epoch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    In(Duration),
    At(Duration),
}

impl Expiry {
    fn anchored(self, sent: Moment) -> Self {
        match self {
            Self::In(lifetime) => Self::At(sent.wall().saturating_add(lifetime)),
            at @ Self::At(_) => at,
        }
    }
}

impl TokenSet {
    /// Tokens with this access token and nothing else. Where nobody sets an end, the `exp` of one that is a JWT counts, once it
    /// is handed to a seed, [`login`](crate::TokenManager::login) or [`update`](crate::TokenManager::update); one without is used
    /// until it is refused.
    pub fn new(access_token: impl Into<AccessToken>) -> Self {
        Self { access_token: Some(access_token.into()), ..Self::empty() }
    }

    /// Only a refresh token: the first request gets the access token for it.
    pub fn from_refresh_token(refresh_token: impl Into<RefreshToken>) -> Self {
        Self { refresh_token: Some(refresh_token.into()), ..Self::empty() }
    }

    pub(crate) fn empty() -> Self {
        Self {
            access_token: None,
            refresh_token: None,
            token_type: None,
            expires: None,
            refresh_expires: None,
            scope: None,
            extra: Map::new(),
        }
    }

    /// Whether there is neither token.
    pub(crate) fn is_empty(&self) -> bool {
        self.access_token.is_none() && self.refresh_token.is_none()
    }

    /// Sets the refresh token.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: impl Into<RefreshToken>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }

    /// Sets the access token's type (`token_type`); `Bearer` where it is not set.
    #[must_use]
    pub fn with_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.token_type = Some(token_type.into());
        self
    }

    /// Sets the access token's lifetime, counted from the moment at which the request for it was sent, or from the call
    /// that hands these tokens over.
    #[must_use]
    pub fn with_expires_in(mut self, lifetime: Duration) -> Self {
        self.expires = Some(Expiry::In(lifetime));
        self
    }

    /// Sets the wall time at which the access token ends. Prefer [`with_expires_in`](Self::with_expires_in): it does not
    /// depend on two clocks that agree.
    #[must_use]
    pub fn with_expires_at(mut self, end: SystemTime) -> Self {
        self.expires = Some(Expiry::At(since_epoch(end)));
        self
    }

    /// Sets the refresh token's lifetime, counted as in [`with_expires_in`](Self::with_expires_in).
    #[must_use]
    pub fn with_refresh_expires_in(mut self, lifetime: Duration) -> Self {
        self.refresh_expires = Some(Expiry::In(lifetime));
        self
    }

    /// Sets the scope that was granted.
    #[must_use]
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Keeps a further field of the answer. It is stored with the tokens; `Debug` shows its name only.
    #[must_use]
    pub fn with_extra(mut self, name: impl Into<String>, value: Value) -> Self {
        self.extra.insert(name.into(), value);
        self
    }

    /// The access token, if there is one.
    pub fn access_token(&self) -> Option<&AccessToken> {
        self.access_token.as_ref()
    }

    /// The refresh token, if there is one.
    pub fn refresh_token(&self) -> Option<&RefreshToken> {
        self.refresh_token.as_ref()
    }

    /// The access token's type as the server named it.
    pub fn token_type(&self) -> Option<&str> {
        self.token_type.as_deref()
    }

    /// The wall time at which the access token ends, if it is known and was fixed to the wall clock already.
    pub fn expires_at(&self) -> Option<SystemTime> {
        wall_time(self.expires)
    }

    /// The access token's lifetime as the server said it; `None` once it was fixed to the wall clock, and where it is not known.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let tokens = token_core::TokenSet::new("access").with_expires_in(Duration::from_secs(60));
    /// assert_eq!(tokens.expires_in(), Some(Duration::from_secs(60)));
    /// ```
    pub fn expires_in(&self) -> Option<Duration> {
        match self.expires {
            Some(Expiry::In(lifetime)) => Some(lifetime),
            Some(Expiry::At(_)) | None => None,
        }
    }

    /// The wall time at which the refresh token ends, as in [`expires_at`](Self::expires_at).
    pub fn refresh_expires_at(&self) -> Option<SystemTime> {
        wall_time(self.refresh_expires)
    }

    /// The granted scope, if the server named it.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// The answer's further fields.
    pub fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    /// Fixes lifetimes to the wall clock. They count from when the request was **sent**: the server counts from when it
    /// answered (RFC 6749 §5.1), so the token never lasts longer here than there.
    pub(crate) fn anchored(mut self, sent: Moment) -> Self {
        self.expires = self.expires.map(|expiry| expiry.anchored(sent));
        self.refresh_expires = self.refresh_expires.map(|expiry| expiry.anchored(sent));
        self
    }

    /// The wall time at which the access token ends, once anchored.
    pub(crate) fn ends(&self) -> Option<Duration> {
        match self.expires {
            Some(Expiry::At(end)) => Some(end),
            Some(Expiry::In(_)) | None => None,
        }
    }

    /// As [`anchored`](Self::anchored), for tokens that somebody brought. A JWT's own end counts where nobody gave one
    /// (ADR 8).
    pub(crate) fn brought(mut self, now: Moment) -> Self {
        let text = self.access_token.as_ref().map(AccessToken::expose_secret);
        let own = || text.and_then(crate::endpoint::jwt::end).map(Expiry::At);
        self.expires = self.expires.or_else(own);
        self.anchored(now)
    }

    /// Whether requests can carry the access token, of tokens that somebody brings: else the mistake would be told by each
    /// request, and the token that is in force would be gone.
    pub(crate) fn check_brought(&self) -> Result<(), ConfigError> {
        match &self.access_token {
            Some(token) => Token::with_end(token, Version::FIRST, None).map(drop),
            None => Ok(()),
        }
    }

    /// The wall time at which the refresh token ends, once anchored.
    pub(crate) fn refresh_ends(&self) -> Option<Duration> {
        match self.refresh_expires {
            Some(Expiry::At(end)) => Some(end),
            Some(Expiry::In(_)) | None => None,
        }
    }

    /// What the next set inherits where the server left it out: "absent" means "keep" (RFC 6749 §6).
    pub(crate) fn inherit(mut self, previous: &Self) -> Self {
        if self.refresh_token.is_none() {
            self.refresh_token.clone_from(&previous.refresh_token);
            self.refresh_expires = self.refresh_expires.or(previous.refresh_expires);
        }
        if self.scope.is_none() {
            self.scope.clone_from(&previous.scope);
        }
        self
    }

    pub(crate) fn fingerprint(&self) -> SeedFingerprint {
        let access = self.access_token.as_ref().map_or("", AccessToken::expose_secret);
        let refresh = self.refresh_token.as_ref().map_or("", RefreshToken::expose_secret);
        // The access token beside a refresh token says nothing about which login this was.
        SeedFingerprint::of(
            if refresh.is_empty() { [access, ""] } else { ["", refresh] }.as_slice(),
        )
    }
}

impl fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSet")
            .field("access_token", &self.access_token)
            .field("refresh_token", &self.refresh_token)
            .field("token_type", &self.token_type)
            .field("expires", &self.expires)
            .field("refresh_expires", &self.refresh_expires)
            .field("scope", &self.scope)
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

fn wall_time(expiry: Option<Expiry>) -> Option<SystemTime> {
    match expiry {
        Some(Expiry::At(end)) => UNIX_EPOCH.checked_add(end),
        Some(Expiry::In(_)) | None => None,
    }
}

/// An access token as requests carry it: the ready-made header value, its end and its version. Cheap to clone.
#[derive(Clone)]
pub struct Token {
    bearer: HeaderValue,
    version: Version,
    ends: Option<Duration>,
}

const BEARER: &str = "Bearer ";

/// What is wrong with an access token that is no part of a header value (RFC 9110 §5.5).
fn why_not_carried(text: &str) -> &'static str {
    let breaks = ['\r', '\n'];
    if text.is_empty() {
        "is empty"
    } else if text.ends_with(breaks) && !text.trim_end_matches(breaks).contains(breaks) {
        "ends with a line break, as a file that was read whole does, which no header can carry; trim it"
    } else if text.contains(breaks) {
        "has a line break in it, which no header can carry"
    } else if text.contains(char::REPLACEMENT_CHARACTER) {
        "had a byte in it that is no UTF-8, so nobody knows how it was meant"
    } else {
        "has a control character in it, which no header can carry"
    }
}

impl Token {
    /// Makes a token from what a [`TokenSource`](crate::TokenSource) of your own knows.
    ///
    /// # Errors
    ///
    /// The access token has a character that no header can carry.
    pub fn new(
        access_token: &AccessToken,
        version: Version,
        expires_at: Option<SystemTime>,
    ) -> Result<Self, ConfigError> {
        Self::with_end(access_token, version, expires_at.map(since_epoch))
    }

    pub(crate) fn with_end(
        access_token: &AccessToken,
        version: Version,
        ends: Option<Duration>,
    ) -> Result<Self, ConfigError> {
        let text = access_token.expose_secret();
        let mut bytes = BytesMut::with_capacity(BEARER.len() + text.len());
        bytes.put_slice(BEARER.as_bytes());
        bytes.put_slice(text.as_bytes());
        let mut bearer = HeaderValue::from_maybe_shared(bytes.freeze())
            .ok()
            .filter(|_| !text.is_empty() && !text.contains(char::REPLACEMENT_CHARACTER))
            .ok_or_else(|| {
                ConfigError::new(format!("the access token {}", why_not_carried(text)))
            })?;
        bearer.set_sensitive(true);
        Ok(Self { bearer, version, ends })
    }

    /// The header value `Bearer <token>` (RFC 6750 §2.1), marked as sensitive.
    pub fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }

    /// The access token's text, for a scheme or a place of the API's own.
    pub fn expose_secret(&self) -> &str {
        // Made from a `str` in `new`, behind an ASCII prefix.
        std::str::from_utf8(&self.bearer.as_bytes()[BEARER.len()..]).unwrap_or_default()
    }

    /// Which of the grant's tokens this is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The wall time at which the token ends, if that is known.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.ends.and_then(|end| UNIX_EPOCH.checked_add(end))
    }

    /// The same token in memory of its own, so that two threads that attach it do not share a reference count.
    pub(crate) fn unshared(&self) -> Self {
        let mut bearer =
            HeaderValue::from_bytes(self.bearer.as_bytes()).unwrap_or_else(|_| self.bearer.clone()); // A valid value's bytes make a valid value.
        bearer.set_sensitive(true);
        Self { bearer, ..*self }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("version", &self.version)
            .field("expires_at", &self.expires_at())
            .finish_non_exhaustive()
    }
}
