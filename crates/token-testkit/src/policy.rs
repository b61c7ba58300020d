//! How the server issues tokens.

use std::time::Duration;

/// How long an access token lives unless set otherwise.
const DEFAULT_ACCESS_LIFETIME: Duration = Duration::from_secs(3600);

/// What becomes of the refresh token when it is presented.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Rotation {
    /// It is spent, and a new one is answered.
    #[default]
    Rotate,
    /// It stays valid and is answered again.
    Repeat,
    /// It stays valid, and the answer has no `refresh_token`.
    Omit,
}

/// What newly issued tokens are like. The builder documents each field.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh_lifetime: Option<Duration>,
    pub(crate) rotation: Rotation,
    pub(crate) revoke_on_refresh: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access_lifetime: DEFAULT_ACCESS_LIFETIME,
            refresh_lifetime: None,
            rotation: Rotation::default(),
            revoke_on_refresh: false,
        }
    }
}
