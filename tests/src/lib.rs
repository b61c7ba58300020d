//! What the end-to-end tests share: the kit's server with somebody logged in, a manager on it, a client with the layer,
//! and the means to wait for things instead of hoping for them.

mod client;
mod kit;
mod log;
mod oidc;
mod store;
mod wait;

pub use self::client::{
    Answer, ApiClient, HoldAnswer, Layered, Sends, TestBody, Wire, empty, whole,
};
pub use self::kit::{Gate, Gated, Http, Kit};
pub use self::log::Log;
pub use self::oidc::OidcProvider;
pub use self::store::GatedStore;
pub use self::wait::{event, poll_once, soon, until, waiting};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The README's program is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// And so is the code of `docs/composition.md`.
#[cfg(doctest)]
#[doc = include_str!("../../docs/composition.md")]
struct Composition;
