//! What the parent and its replicas tell each other.

use std::fmt;

use examples::Store;
use serde::{Deserialize, Serialize};
use token_core::event::Event;

/// The first order: what a service has in its settings.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Settings {
    pub(crate) store: Store,
    pub(crate) token_url: String,
    pub(crate) api_url: String,
    pub(crate) origin: String,
    /// Of the login. It can be used once, so it is of use to the first replica only.
    pub(crate) refresh_token: String,
}

/// The second order, and the last.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Leave;

/// What a replica tells.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) enum Told {
    Joined,
    /// It sends a refresh token to the authorization server.
    Asks,
    /// What its manager reports as `Refreshed`, with the number of refreshes since the login.
    Refreshed(u64),
    /// What its manager reports as `Adopted`.
    Followed(u64),
    /// What its manager reports as `TakenOver`.
    TookOver,
    /// Anything else that its manager reports.
    Reported(String),
    /// One of its calls to the API failed.
    CallFailed(String),
    /// It has stored all that it knew.
    Left,
}

impl From<Event> for Told {
    fn from(event: Event) -> Self {
        match event {
            Event::Refreshed { version } => Self::Refreshed(version.generation()),
            Event::Adopted { version } => Self::Followed(version.generation()),
            Event::TakenOver => Self::TookOver,
            Event::SeedTaken { .. } => Self::Reported("begins with the login".to_owned()),
            other => Self::Reported(format!("{other:?}")),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Joined => f.write_str("joined"),
            Self::Asks => f.write_str("asks for new tokens"),
            Self::Refreshed(generation) => write!(f, "refreshed: generation {generation}"),
            Self::Followed(generation) => write!(f, "followed: generation {generation}"),
            Self::TookOver => f.write_str("takes over from one that is gone"),
            Self::Reported(report) => f.write_str(report),
            Self::CallFailed(error) => write!(f, "a call failed: {error}"),
            Self::Left => f.write_str("left"),
        }
    }
}
