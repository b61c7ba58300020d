//! What a person's login gives.

use std::{fmt, time::Duration};

use crate::{Fingerprint, tokens::Issued};

/// The first tokens of a new family, as the authorization-code flow would hand them over.
///
/// Its `Debug` shows fingerprints in place of the tokens.
#[derive(Clone)]
pub struct Login {
    refresh_token: String,
    access_token: String,
    expires_in: Duration,
    family: u64,
}

impl Login {
    pub(crate) fn new(issued: Issued) -> Self {
        Self {
            refresh_token: issued.refresh.unwrap_or_default(),
            access_token: issued.access,
            expires_in: issued.access_lifetime,
            family: issued.family,
        }
    }

    /// The refresh token, of generation 0.
    pub fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    /// The access token that came with it.
    pub fn access_token(&self) -> &str {
        &self.access_token
    }

    /// How long the access token is valid, from the login on.
    pub fn expires_in(&self) -> Duration {
        self.expires_in
    }

    /// The number of the new family, as [`Presentation::family`](crate::Presentation) shows it.
    pub fn family(&self) -> u64 {
        self.family
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("refresh_token", &Fingerprint::of(&self.refresh_token))
            .field("access_token", &Fingerprint::of(&self.access_token))
            .field("expires_in", &self.expires_in)
            .field("family", &self.family)
            .finish()
    }
}
