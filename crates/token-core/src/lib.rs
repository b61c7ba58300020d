//! Keeps a service's outgoing requests authenticated: everything that decides, and no HTTP client.
//!
//! - [`TokenManager`] is the handle on one grant's tokens: it refreshes them ahead of time and when they are refused, once
//!   for everybody who asks.
//! - [`endpoint`] asks an OAuth token endpoint; [`Refresher`] is any other way to get tokens. [`Refresher::or_login`] falls
//!   back to a login, [`NoRefresh`] is for tokens that somebody supplies, and [`endpoint::WithBearer`] and
//!   [`endpoint::AfterLogin`] are for token endpoints whose credential is a token too.
//! - [`store`] is where tokens are kept, with the feature `sealing` also encrypted.
//! - [`http`] has the rules that adapters share: which requests get a token, what counts as a refusal, what is sent again.
//!   `tower-token-refresh` and `reqwest-token-refresh` are such adapters.
//! - [`event`] and [`Status`] are for those who watch; [`failures`] says what to do about each; [`clock`] is for tests.
//!
//! [`TokenManager`] has an example.

mod config_error;
mod days_left;
mod error;
mod flight;
mod freshness;
mod guard;
mod key;
mod manager;
mod no_refresh;
mod or_login;
mod protocol;
mod record;
mod refresher;
mod secret;
mod source;
mod token;
mod unsent;
mod version;

pub mod clock;
pub mod endpoint;
pub mod event;
pub mod http;
pub mod store;

#[doc = include_str!("../docs/failures.md")]
pub mod failures {}

pub use self::config_error::ConfigError;
pub use self::days_left::days_left;
pub use self::error::{Error, ErrorKind};
pub use self::freshness::Freshness;
pub use self::key::TokenKey;
pub use self::manager::{Health, Shutdown, Status, TokenManager, TokenManagerBuilder};
pub use self::no_refresh::NoRefresh;
pub use self::or_login::OrLogin;
pub use self::protocol::{GraceWindow, UnknownOutcome};
pub use self::refresher::{OAuthError, Outcome, RefreshError, Refresher, Spends};
pub use self::secret::{AccessToken, RefreshToken, Secret};
pub use self::source::TokenSource;
pub use self::token::{Token, TokenSet};
pub use self::version::Version;
