use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::key::TokenKey;
use crate::refresher::RefreshError;
use crate::store::StoreError;

/// No token could be had. Cheap to clone: everyone who waited for the same refresh gets the same error.
///
/// It is opaque on purpose: what to do is asked with [`needs_login`](Self::needs_login),
/// [`is_transient`](Self::is_transient) and [`retry_after`](Self::retry_after); [`kind`](Self::kind) tells what happened.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    retry_after: Option<Duration>,
}

struct Inner {
    kind: ErrorKind,
    grant: String,
    message: Cow<'static, str>,
    source: Option<Source>,
}

enum Source {
    Refresh(RefreshError),
    Store(StoreError),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The grant is of no more use, or there never was one. [More](crate::failures#needs-login)
    NeedsLogin,
    /// The authorization server refuses this client, or it answers, or somebody brought, tokens that no request can carry. [More](crate::failures#configuration)
    Configuration,
    /// The authorization server could not be reached, or said: not now. [More](crate::failures#unavailable)
    Unavailable,
    /// A refresh was sent and nobody knows what came of it; it is not sent again yet. [More](crate::failures#outcome-unknown)
    OutcomeUnknown,
    /// The store refused, or holds what is not to be trusted. [More](crate::failures#store)
    Store,
    /// The API refuses even new tokens; the refresh is put off. [More](crate::failures#throttled)
    Throttled,
    /// The refresh was cut short on our side: its runtime went away, or there is none. [More](crate::failures#interrupted)
    Interrupted,
    /// The manager was shut down. [More](crate::failures#shut-down)
    ShutDown,
}

impl ErrorKind {
    /// The kind's heading in [`failures`](crate::failures).
    const fn heading(self) -> &'static str {
        match self {
            Self::NeedsLogin => "needs-login",
            Self::Configuration => "configuration",
            Self::Unavailable => "unavailable",
            Self::OutcomeUnknown => "outcome-unknown",
            Self::Store => "store",
            Self::Throttled => "throttled",
            Self::Interrupted => "interrupted",
            Self::ShutDown => "shut-down",
        }
    }
}

impl Error {
    pub(crate) fn new(
        key: &TokenKey,
        kind: ErrorKind,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let inner = Inner { kind, grant: key.to_string(), message: message.into(), source: None };
        Self { inner: Arc::new(inner), retry_after: None }
    }

    pub(crate) fn refresh(
        key: &TokenKey,
        kind: ErrorKind,
        message: impl Into<Cow<'static, str>>,
        source: RefreshError,
    ) -> Self {
        let inner = Inner {
            kind,
            grant: key.to_string(),
            message: message.into(),
            source: Some(Source::Refresh(source)),
        };
        Self { inner: Arc::new(inner), retry_after: None }
    }

    pub(crate) fn store(
        key: &TokenKey,
        message: impl Into<Cow<'static, str>>,
        source: StoreError,
    ) -> Self {
        let inner = Inner {
            kind: ErrorKind::Store,
            grant: key.to_string(),
            message: message.into(),
            source: Some(Source::Store(source)),
        };
        Self { inner: Arc::new(inner), retry_after: None }
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The grant's key, as text.
    pub fn grant(&self) -> &str {
        &self.inner.grant
    }

    /// Whether a person, or a login of the application's own, has to bring new tokens.
    pub fn needs_login(&self) -> bool {
        self.kind() == ErrorKind::NeedsLogin
    }

    /// Whether it may go away by itself: the manager goes on trying, and a later request may succeed.
    pub fn is_transient(&self) -> bool {
        match self.kind() {
            ErrorKind::Unavailable
            | ErrorKind::OutcomeUnknown
            | ErrorKind::Store
            | ErrorKind::Throttled
            | ErrorKind::Interrupted => true,
            ErrorKind::NeedsLogin | ErrorKind::Configuration | ErrorKind::ShutDown => false,
        }
    }

    /// How long nothing will be tried, counted from when this error was returned; `None` where that is not known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// What the refresher reported, if it was the refresher that failed.
    pub fn refresh_error(&self) -> Option<&RefreshError> {
        match &self.inner.source {
            Some(Source::Refresh(error)) => Some(error),
            Some(Source::Store(_)) | None => None,
        }
    }

    /// What the store reported, if it was the store that failed.
    pub fn store_error(&self) -> Option<&StoreError> {
        match &self.inner.source {
            Some(Source::Store(error)) => Some(error),
            Some(Source::Refresh(_)) | None => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grant `{}`: {}", self.inner.grant, self.inner.message)?;
        if let Some(wait) = self.retry_after {
            write!(f, " (next try in {:.1} s)", wait.as_secs_f64())?;
        }
        write!(f, "; see token_core::failures#{}", self.kind().heading())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("grant", &self.inner.grant)
            .field("message", &self.inner.message)
            .field("retry_after", &self.retry_after)
            .field("source", &self.source().map(ToString::to_string))
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.inner.source {
            Some(Source::Refresh(error)) => Some(error),
            Some(Source::Store(error)) => Some(error),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_place_on_the_page_of_failures() {
        let page = include_str!("../docs/failures.md");
        for kind in [
            ErrorKind::NeedsLogin,
            ErrorKind::Configuration,
            ErrorKind::Unavailable,
            ErrorKind::OutcomeUnknown,
            ErrorKind::Store,
            ErrorKind::Throttled,
            ErrorKind::Interrupted,
            ErrorKind::ShutDown,
        ] {
            let heading = kind.heading();
            let place = format!("\n## {}\n\n**What happened.**", heading.replace('-', " "));
            assert!(page.contains(&place), "{kind:?}");
            assert!(page.contains(&format!("](#{heading})")), "{kind:?}");
            let error = Error::new(&TokenKey::new("k").unwrap(), kind, "x").to_string();
            assert!(error.ends_with(&format!("token_core::failures#{heading}")), "{error}");
        }
    }
}
