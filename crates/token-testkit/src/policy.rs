//! How the server issues tokens.

use std::{fmt, str::FromStr, time::Duration};

use crate::{ParseError, duration_text};

/// How long an access token lives unless set otherwise.
const DEFAULT_ACCESS_LIFETIME: Duration = Duration::from_secs(3600);

/// What becomes of the refresh token when it is presented.
///
/// As text: `rotate`, `repeat` or `omit`.
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

/// What becomes of a refresh token that was spent before and is presented again.
///
/// A window opens when a token is first spent; use within it does not make it longer, and at its
/// end it is closed. Outside every window such a token is reuse, which ends its family. A token
/// that is accepted within a window counts in
/// [`accepted_in_grace`](crate::Counters::accepted_in_grace), and
/// [`presentations_per_generation`](crate::AuthorizationServer::presentations_per_generation) still
/// counts it twice.
///
/// As text: `none`, `same-pair=30s`, `new-pair=30s` or `previous-only=30s`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Grace {
    /// It is reuse (RFC 9700 §4.14.2).
    #[default]
    None,
    /// Within the window it gets the answer of its first use again, to the letter: nothing is
    /// issued, `expires_in` is not counted down, and what has been revoked meanwhile stays revoked.
    /// WorkOS does so.
    SamePair(Duration),
    /// Within the window it gets a new pair. The pairs are branches: each lives on, with
    /// generations of its own, until the family ends. Ory Hydra does so.
    NewPair(Duration),
    /// As `NewPair`, but only until one of its successors has been used: then it is no longer the
    /// one before the current one, and presenting it is reuse even within the window. A successor
    /// that nobody has used lives on. Auth0 does so.
    PreviousOnly(Duration),
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rotate => "rotate",
            Self::Repeat => "repeat",
            Self::Omit => "omit",
        })
    }
}

impl FromStr for Rotation {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "rotate" => Ok(Self::Rotate),
            "repeat" => Ok(Self::Repeat),
            "omit" => Ok(Self::Omit),
            _ => Err(ParseError::expected("`rotate`, `repeat` or `omit`", text)),
        }
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, window) = match self {
            Self::None => return f.write_str("none"),
            Self::SamePair(window) => ("same-pair", window),
            Self::NewPair(window) => ("new-pair", window),
            Self::PreviousOnly(window) => ("previous-only", window),
        };
        write!(f, "{kind}={}", duration_text::write(*window))
    }
}

impl FromStr for Grace {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let expected = || {
            ParseError::expected(
                "`none`, or `same-pair`, `new-pair` or `previous-only` with a duration, as in `same-pair=30s`",
                text,
            )
        };
        if text == "none" {
            return Ok(Self::None);
        }
        let (kind, window) = text.split_once('=').ok_or_else(expected)?;
        let window = duration_text::read(window).ok_or_else(expected)?;
        match kind {
            "same-pair" => Ok(Self::SamePair(window)),
            "new-pair" => Ok(Self::NewPair(window)),
            "previous-only" => Ok(Self::PreviousOnly(window)),
            _ => Err(expected()),
        }
    }
}

/// How it goes on when an access token has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Renewal {
    /// With the refresh token beside it.
    RefreshToken,
    /// The access token itself is presented, ended or not.
    Itself,
    /// With a new login only.
    Login,
}

/// What newly issued tokens are like. The builder documents each field that it sets; a
/// [`Dialect`](crate::Dialect) sets the others.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh_lifetime: Option<Duration>,
    pub(crate) rotation: Rotation,
    pub(crate) grace: Grace,
    pub(crate) revoke_on_refresh: bool,
    pub(crate) renewal: Renewal,
    /// Access tokens are JWTs.
    pub(crate) jwt: bool,
    /// Each family is for one location, which the answer names.
    pub(crate) locations: bool,
    /// The server's clock is off by so many seconds.
    pub(crate) date_skew: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            access_lifetime: DEFAULT_ACCESS_LIFETIME,
            refresh_lifetime: None,
            rotation: Rotation::default(),
            grace: Grace::default(),
            revoke_on_refresh: false,
            renewal: Renewal::RefreshToken,
            jwt: false,
            locations: false,
            date_skew: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_as_they_are_written() {
        for rotation in [Rotation::Rotate, Rotation::Repeat, Rotation::Omit] {
            assert_eq!(rotation.to_string().parse(), Ok(rotation));
        }
        let window = Duration::from_millis(1500);
        for grace in [
            Grace::None,
            Grace::SamePair(window),
            Grace::NewPair(window),
            Grace::PreviousOnly(window),
        ] {
            assert_eq!(grace.to_string().parse(), Ok(grace));
        }
    }

    #[test]
    fn an_error_says_what_is_expected() {
        let error = "same-pair".parse::<Grace>().unwrap_err().to_string();
        assert!(error.contains("same-pair=30s") && error.contains("`same-pair`"), "{error}");
        for text in ["", "same-pair=", "same-pair=30", "other=30s", "none=30s"] {
            assert!(text.parse::<Grace>().is_err(), "{text}");
        }
        assert!("Rotate".parse::<Rotation>().is_err());
    }
}
