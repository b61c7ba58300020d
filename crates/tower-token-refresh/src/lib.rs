//! A tower layer that attaches an access token to requests, refreshes it once for everybody, and sends a refused request
//! again.
//!
//! [`TokenRefreshLayer`] goes around any HTTP client that is a tower service: hyper-util's, a tonic channel, a stack of
//! middleware over either. [`HyperEndpoint`] is how the token endpoint is asked, by a client of its own, below the layer,
//! so that a refresh cannot wait for itself.
//!
//! The rules are those of [`token_core::http`]; this crate translates types and holds none of its own:
//!
//! 1. Before the call: the token at hand, or the one that a refresh brings. A request that should have a token and for
//!    which none can be had fails with [`token_core::Error`]; it is never sent without.
//! 2. After it: a refused token is renewed, and the request is sent again, once, if its body can be. Where no new token
//!    can be had, the caller gets the refusal as the server sent it.
//! 3. The instance that was polled ready makes the first call; a clone, polled ready in its turn, makes the replay.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Empty;
//! use hyper_util::client::legacy::Client;
//! use hyper_util::client::legacy::connect::HttpConnector;
//! use hyper_util::rt::TokioExecutor;
//! use token_core::endpoint::{ClientAuth, TokenEndpoint};
//! use token_core::http::Origins;
//! use token_core::{TokenManager, TokenSet};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_token_refresh::{HyperEndpoint, TokenRefreshLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! # let server = token_testkit::AuthorizationServer::start()?;
//! # let login = server.sign_in(token_testkit::DEFAULT_CLIENT_ID);
//! # let (token_url, api) = (server.token_url(), server.api_url());
//! # let (id, secret) = (token_testkit::DEFAULT_CLIENT_ID, token_testkit::DEFAULT_CLIENT_SECRET);
//! let auth = TokenEndpoint::refresh_token(
//!     HyperEndpoint::new(HttpConnector::new()),
//!     token_url,
//!     ClientAuth::basic(id, secret),
//! );
//! let tokens = TokenManager::builder(auth).seed(TokenSet::from_refresh_token(login.refresh_token())).build()?;
//! let mut client = ServiceBuilder::new()
//!     .layer(TokenRefreshLayer::new(tokens, Origins::only(server.origin())?))
//!     .service(Client::builder(TokioExecutor::new()).build(HttpConnector::new()));
//!
//! let request = http::Request::get(api).body(Empty::<Bytes>::new())?;
//! assert_eq!(client.ready().await?.call(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! # Refusals that are no 401
//!
//! The feature `profile` adds `TokenRefreshLayer::for_profile`, for an API that a profile (`token_core::endpoint::profile`)
//! describes: a header of its own, and refusals known by a status, a header, a redirect or a value in the body's JSON.
//!
//! # Runtime
//!
//! tokio with time enabled, as `#[tokio::main]` makes it, which the manager needs too.
//!
//! # Which use is fast
//!
//! A service that is kept and called again costs the least. Cloning it for each request costs what cloning the service
//! below costs, and one reference count more.

#[cfg(feature = "profile")]
mod bodies;
mod endpoint;
mod future;
mod kept;
mod layer;
mod service;

#[cfg(feature = "profile")]
pub use self::bodies::{LookAtBodies, LookAtBodiesLayer, Looking};
pub use self::endpoint::HyperEndpoint;
pub use self::future::ResponseFuture;
pub use self::layer::TokenRefreshLayer;
pub use self::service::TokenRefresh;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
