//! The handle that users hold: one grant's life.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::event::Events;
use crate::guard::Guard;
use crate::key::TokenKey;
use crate::protocol::{Change, Demand};
use crate::refresher::Refresher;
use crate::source::TokenSource;
use crate::token::{Token, TokenSet};

mod boarding;
mod builder;
mod change;
mod driver;
mod flight;
mod inner;
mod published;
mod report;
mod status;
#[cfg(test)]
pub(crate) mod tests;

use self::boarding::Cause;
pub use self::builder::TokenManagerBuilder;
use self::inner::Inner;
pub use self::status::{Health, Shutdown, Status};

/// One grant's tokens: attached, refreshed before they end, renewed when they are refused, kept in a store.
///
/// Clones share everything; a clone for each request is the ordinary use. Dropping the last one ends the refreshing
/// ahead of time, not a refresh that is under way.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use token_core::{RefreshError, Refresher, Spends, TokenManager, TokenSet};
///
/// struct Login;
///
/// impl Refresher for Login {
///     async fn refresh(&self, _current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
///         Ok(TokenSet::new("fresh").with_expires_in(Duration::from_secs(600)))
///     }
///
///     fn spends(&self, _current: Option<&TokenSet>) -> Spends {
///         Spends::Nothing
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tokens = TokenManager::builder(Login).build()?;
/// assert_eq!(tokens.token().await?.bearer(), "Bearer fresh");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct TokenManager {
    inner: Arc<Inner>,
}

impl TokenManager {
    /// Starts to build a manager whose tokens come from this refresher.
    pub fn builder(refresher: impl Refresher) -> TokenManagerBuilder {
        TokenManagerBuilder::new(Box::new(refresher))
    }

    /// The grant's key.
    pub fn key(&self) -> &TokenKey {
        &self.inner.key
    }

    /// A token that is good to send now, if one is at hand. Takes no lock and allocates nothing, but for the first call of
    /// each thread after a refresh, which copies the token.
    pub fn cached(&self) -> Option<Token> {
        self.inner.published.cached(|| self.inner.clock.coarse())
    }

    /// A token that is good to send now, obtained if need be.
    ///
    /// A stale token is answered at once; the next one is obtained behind it.
    ///
    /// # Concurrent calls
    ///
    /// However many callers ask, one refresh is made; all get its result, success or failure. After a failure nothing is
    /// tried before the backoff is over, and callers get that failure at once.
    ///
    /// # Errors
    ///
    /// None could be had. See [`Error`] for what to do.
    ///
    /// # Cancel safety
    ///
    /// The refresh runs in a task of its own: dropping one caller, or all, loses no answer.
    pub async fn token(&self) -> Result<Token, Error> {
        if let Some(token) = self.cached() {
            self.inner.start_driver();
            // Without a driver nobody obtains the next one behind this one.
            if !self.inner.settings.one_shot || !self.inner.is_stale() {
                return Ok(token);
            }
            let newer_than = Some(token.version());
            let newer = Demand { newer_than, at_hand: true, ..Demand::default() };
            return self.inner.obtain(newer, Cause::Need).await.or(Ok(token));
        }
        self.inner.obtain(Demand::default(), Cause::Need).await
    }

    /// A token newer than one that the protected resource refused. Answered at once where there already is one.
    ///
    /// # Concurrent calls
    ///
    /// As for [`token`](Self::token): any number of requests refused with one token cause one refresh.
    ///
    /// # Errors
    ///
    /// None could be had, or the server refuses token after token: then the kind is
    /// [`Throttled`](crate::ErrorKind::Throttled).
    ///
    /// # Cancel safety
    ///
    /// Polled once, it goes on when it is dropped, as for [`token`](Self::token).
    pub async fn renew(&self, rejected: &Token) -> Result<Token, Error> {
        let rejected = rejected.version();
        let newer_than =
            if Guard::RejectedVersion.on() { Some(rejected) } else { self.inner.known_version() };
        let demand = Demand { newer_than, refused: true, ..Demand::default() };
        self.inner.obtain(demand, Cause::Refusal).await
    }

    /// A token that is sure to last for `min_life`, for an upload that takes long. Where the server issues none that
    /// lasts so long, one that is not stale.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    ///
    /// # Cancel safety
    ///
    /// As for [`token`](Self::token).
    pub async fn token_for(&self, min_life: Duration) -> Result<Token, Error> {
        self.inner
            .obtain(Demand { lasting: Some(min_life), ..Demand::default() }, Cause::Need)
            .await
    }

    /// Refreshes now, fresh token or not, also during a backoff that this side chose; joins a refresh under way.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    ///
    /// # Cancel safety
    ///
    /// As for [`token`](Self::token).
    pub async fn refresh_now(&self) -> Result<Token, Error> {
        if self.inner.known_version().is_none() {
            // What the store holds is not new, however fresh it is.
            self.inner.look().await;
        }
        let mut newer_than = self.inner.known_version();
        loop {
            let demand = Demand { newer_than, ..Demand::default() };
            let token = self.inner.obtain(demand, Cause::Hand).await?;
            // A seed that was taken over just now has a new version, and is as old as the login that it comes from.
            if !self.inner.is_brought(token.version()) {
                return Ok(token);
            }
            newer_than = Some(token.version());
        }
    }

    /// Waits until there is a token: at the start of a service, before it says that it is ready. Also starts the
    /// refreshing ahead of time where the manager was built outside a runtime.
    ///
    /// # Errors
    ///
    /// As for [`token`](Self::token).
    ///
    /// # Cancel safety
    ///
    /// As for [`token`](Self::token).
    pub async fn ready(&self) -> Result<(), Error> {
        self.token().await.map(drop)
    }

    /// Takes the tokens of a login: a new epoch, whatever was under way. Also revives a grant that was dead.
    ///
    /// # Errors
    ///
    /// The store did not take them; nothing was changed, or, where it did not answer, perhaps it was. Or no request could carry
    /// the access token, such as one with a line break at its end; nothing was changed
    /// ([`Configuration`](crate::ErrorKind::Configuration)).
    ///
    /// # Cancel safety
    ///
    /// Once polled it goes on when the future is dropped.
    pub async fn login(&self, tokens: TokenSet) -> Result<(), Error> {
        self.inner.clone().change(Change::Login(tokens)).await
    }

    /// Takes tokens that were brought by hand; a refresh token that they leave out is kept. Otherwise as
    /// [`login`](Self::login).
    ///
    /// # Errors
    ///
    /// As for [`login`](Self::login).
    ///
    /// # Cancel safety
    ///
    /// As for [`login`](Self::login).
    pub async fn update(&self, tokens: TokenSet) -> Result<(), Error> {
        self.inner.clone().change(Change::Update(tokens)).await
    }

    /// Forgets the tokens, here and in the store, until the next login. Does not tell the authorization server.
    ///
    /// # Errors
    ///
    /// As for [`login`](Self::login).
    ///
    /// # Cancel safety
    ///
    /// As for [`login`](Self::login).
    pub async fn logout(&self) -> Result<(), Error> {
        self.inner.clone().change(Change::Logout).await
    }

    /// Treats the current access token as expired in this process: the next request obtains another.
    pub fn expire_locally(&self) {
        let mut state = self.inner.state();
        state.replica.expire();
        self.inner.publish(&mut state);
    }

    /// How the grant stands.
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// What happens to the grant from now on.
    pub fn events(&self) -> Events {
        self.inner.events.subscribe()
    }

    /// Starts no further refresh, waits until the one under way is stored, at most for `deadline`, and says what was
    /// left. Tokens at hand are served on.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops the waiting only.
    pub async fn shutdown(&self, deadline: Duration) -> Shutdown {
        let flight = {
            let mut state = self.inner.state();
            state.shut_down = true;
            state.flight.clone()
        };
        self.inner.wake.notify_one();
        if let Some(flight) = flight {
            let timeout = self.inner.clock.sleep(deadline);
            let _ = first(flight.ended(), timeout).await;
        }
        let state = self.inner.state();
        if state.replica.has_unsaved_answer() {
            Shutdown::UnsavedTokens
        } else if state.flight.is_some() {
            Shutdown::RefreshLeft
        } else {
            Shutdown::Clean
        }
    }
}

impl TokenSource for TokenManager {
    fn cached(&self) -> Option<Token> {
        self.cached()
    }

    async fn token(&self) -> Result<Token, Error> {
        self.token().await
    }

    async fn renew(&self, rejected: &Token) -> Result<Token, Error> {
        self.renew(rejected).await
    }
}

impl std::fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenManager").field("key", &self.inner.key).finish_non_exhaustive()
    }
}

/// Waits for the first of two futures; the other is dropped.
async fn first<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> Result<A, B> {
    let mut a = std::pin::pin!(a);
    let mut b = std::pin::pin!(b);
    std::future::poll_fn(|cx| {
        if let std::task::Poll::Ready(output) = a.as_mut().poll(cx) {
            return std::task::Poll::Ready(Ok(output));
        }
        b.as_mut().poll(cx).map(Err)
    })
    .await
}
