//! Keeps a service's outgoing requests authenticated: everything that decides, and no HTTP client.

mod error;
mod flight;
mod freshness;
mod guard;
mod key;
mod manager;
mod protocol;
mod record;
mod refresher;
mod secret;
mod source;
mod token;
mod version;

pub mod clock;
pub mod endpoint;
pub mod event;
pub mod http;
pub mod store;

pub use self::error::{ConfigError, Error, ErrorKind};
pub use self::freshness::Freshness;
pub use self::key::TokenKey;
pub use self::manager::{Health, Shutdown, Status, TokenManager, TokenManagerBuilder};
pub use self::protocol::UnknownOutcome;
pub use self::refresher::{OAuthError, Outcome, RefreshError, Refresher, Spends};
pub use self::secret::{AccessToken, RefreshToken, Secret};
pub use self::source::TokenSource;
pub use self::token::{Token, TokenSet};
pub use self::version::Version;
