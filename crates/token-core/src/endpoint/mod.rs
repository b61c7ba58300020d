//! The stock [`Refresher`](crate::Refresher): the token endpoint of RFC 6749, over any HTTP client.
//!
//! It makes one attempt: no retry, no redirect, and no probing of authentication styles, each of which would present a
//! one-time refresh token twice. What it needs of an HTTP client is [`HttpEndpoint`]; `tower-token-refresh` has one over
//! hyper. [`WithBearer`] and [`AfterLogin`] are HTTP clients around one, for endpoints whose credential is itself a token: that
//! of another manager, or of a login made just for this. Endpoints that speak no OAuth are described as data, with the feature `profile`.
//!
//! # Example: an endpoint over a client of your own
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use token_core::endpoint::{ClientAuth, HttpEndpoint, TokenEndpoint};
//! use token_core::{RefreshError, TokenManager};
//!
//! struct Canned;
//!
//! impl HttpEndpoint for Canned {
//!     async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
//!         assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
//!         Ok(Response::new(Bytes::from_static(br#"{"access_token":"at","token_type":"Bearer","expires_in":3600}"#)))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let endpoint = TokenEndpoint::client_credentials(Canned, "https://auth.example.com/token", ClientAuth::basic("id", "secret"));
//! let tokens = TokenManager::builder(endpoint.with_scope("invoices:read")).build()?;
//! assert_eq!(tokens.token().await?.bearer(), "Bearer at");
//! # Ok(())
//! # }
//! ```

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};

use crate::config_error::ConfigError;
use crate::refresher::RefreshError;

mod after_login;
mod answer;
mod client_auth;
pub(crate) mod jwt;
mod oauth;
#[cfg(feature = "profile")]
pub mod profile;
mod refusal;
mod retry_after;
mod with_bearer;

pub use self::after_login::AfterLogin;
pub use self::client_auth::ClientAuth;
pub use self::jwt::jwt_expires_at;
pub use self::oauth::TokenEndpoint;
pub use self::with_bearer::WithBearer;

/// The largest answer, in bytes, that an endpoint should read: tokens are small, and a server that sends more without end
/// must not fill the memory.
pub const LARGEST_ANSWER: usize = 1024 * 1024;

/// One request to a token endpoint, over some HTTP client.
///
/// An implementation sends the request once. It follows no redirect and retries nothing, and it reads no more than
/// [`LARGEST_ANSWER`].
pub trait HttpEndpoint: Send + Sync + 'static {
    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// [`RefreshError::not_sent`] if not a byte of the request can have reached the server; in every other case, and in
    /// doubt, [`RefreshError::ambiguous`]. An answer of any status is no error.
    fn send(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Response<Bytes>, RefreshError>> + Send;

    /// Whether the settings can work; asked once, when the manager above is built.
    ///
    /// # Errors
    ///
    /// They cannot.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}
