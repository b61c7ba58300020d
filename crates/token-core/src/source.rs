use std::future::Future;

use crate::error::Error;
use crate::token::Token;

/// What a middleware asks for tokens. [`TokenManager`](crate::TokenManager) is the one to use; implement it for tokens
/// that come from elsewhere.
///
/// Clones share their state: a clone for each request is the ordinary use.
pub trait TokenSource: Clone + Send + Sync + 'static {
    /// A token that is good to send now, if one is at hand. For the request path: no await, no lock.
    fn cached(&self) -> Option<Token>;

    /// A token that is good to send now, obtained if need be.
    ///
    /// # Errors
    ///
    /// None could be had. The request must not be sent without one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for anybody else.
    fn token(&self) -> impl Future<Output = Result<Token, Error>> + Send;

    /// A token newer than one that the protected resource refused. Answered at once where there already is one.
    ///
    /// # Errors
    ///
    /// None could be had.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing for anybody else, and the renewal goes on once it was polled: a middleware
    /// that cannot replay a request polls it once, so that the next request finds a new token.
    fn renew(&self, rejected: &Token) -> impl Future<Output = Result<Token, Error>> + Send;
}
