use crate::refresher::{RefreshError, Refresher, Spends};
use crate::token::TokenSet;

/// A [`Refresher`] for tokens that nothing can be exchanged for: somebody supplies them, and supplies the next ones in time.
///
/// The manager serves such a token until its end, keeps it in its store and takes the next by
/// [`login`](crate::TokenManager::login), [`update`](crate::TokenManager::update) or a new seed. It warns before the end
/// ([`Event::EndsSoon`](crate::event::Event::EndsSoon)), and says once it has ended, or is refused, that a new one is needed.
/// A token without an end (RFC 7519 §4.1.4: a JWT without `exp`, or one that nobody gave an end) is eternal.
///
/// # Example
///
/// ```
/// use token_core::{NoRefresh, TokenManager, TokenSet};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = TokenManager::builder(NoRefresh).seed(TokenSet::new("a token for ever")).build()?;
/// let token = tokens.token().await?;
/// assert_eq!(tokens.status().days_left(), None);
/// // The API refused it: nothing is asked for, and the error says what to do.
/// assert!(tokens.renew(&token).await.unwrap_err().needs_login());
/// tokens.update(TokenSet::new("the next")).await?;
/// assert_eq!(tokens.token().await?.expose_secret(), "the next");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has no settings")]
pub struct NoRefresh;

impl Refresher for NoRefresh {
    async fn refresh(&self, _current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        // Only where somebody supplied a refresh token as well.
        Err(RefreshError::configuration(
            "these tokens are brought by hand and there is nowhere to refresh them; bring new ones by `login` or `update`",
        ))
    }

    /// Without a refresh token to spend, nothing is ever tried.
    fn spends(&self, _current: Option<&TokenSet>) -> Spends {
        Spends::RefreshToken
    }
}
