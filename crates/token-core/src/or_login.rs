use crate::config_error::ConfigError;
use crate::refresher::{Outcome, RefreshError, Refresher, Spends};
use crate::token::TokenSet;

/// A [`Refresher`] that falls back to a login; made by [`or_login`](Refresher::or_login).
#[derive(Debug)]
pub struct OrLogin<R, L> {
    refresh: R,
    login: L,
}

impl<R, L> OrLogin<R, L> {
    pub(crate) fn new(refresh: R, login: L) -> Self {
        Self { refresh, login }
    }
}

fn has_refresh_token(tokens: Option<&TokenSet>) -> bool {
    tokens.is_some_and(|tokens| tokens.refresh_token().is_some())
}

impl<R: Refresher, L: Refresher> Refresher for OrLogin<R, L> {
    async fn refresh(&self, current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        if has_refresh_token(current) {
            return self.refresh.refresh(current).await;
        }
        // A login presents no grant that could be invalid: its credentials are wrong.
        self.login.refresh(None).await.map_err(|error| match error.outcome() {
            Outcome::InvalidGrant => error.with_outcome(Outcome::Configuration),
            _ => error,
        })
    }

    /// That the login spends nothing is how the protocol knows that there is one.
    fn spends(&self, current: Option<&TokenSet>) -> Spends {
        if has_refresh_token(current) { self.refresh.spends(current) } else { Spends::Nothing }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.refresh.check()?;
        self.login.check()?;
        if self.login.spends(None) == Spends::Nothing {
            return Ok(());
        }
        Err(ConfigError::new(
            "what a grant falls back to presents a refresh token; it must be a login that needs none",
        ))
    }
}
