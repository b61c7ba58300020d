//! Which API a server speaks like. The rules are the same for all; a dialect is what they look like on the wire.

use std::{fmt, str::FromStr, time::Duration};

use http::HeaderName;
use jiff::tz::TimeZone;

use crate::{
    Grace, ParseError,
    policy::{Policy, Renewal},
};

mod akuvox;
mod encoding;
mod fastapi;
mod high_level;
mod jwt_refresh;
mod nocturna;
mod oauth;
mod pos_connector;
mod wire;

pub use akuvox::AKUVOX_USER_AGENT;
pub(crate) use encoding::{Parameters, query};
pub(crate) use wire::{Good, Problem, Refused, Sent, Serves, Wire, text};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the server looks like on the wire. Default: [`Dialect::OAuth`].
///
/// A dialect changes paths, how requests are written and where credentials are, what answers and refusals look like, and
/// what the API says to a token that is not valid. It sets the lifetimes and the rest as that API has them; the builder and
/// the handle change them. Families, rotation, reuse, grace windows, history, counters, holds, faults and control are those
/// of the [crate docs](crate), and the [crate docs](crate#dialects) have the wire of each dialect in full.
///
/// Where a dialect knows no clients, a family belongs to a user: [`sign_in`](crate::AuthorizationServer::sign_in) takes a
/// user's name in place of a client's id.
///
/// As text: `oauth`, `pos-connector`, `akuvox`, `high-level`, `jwt-refresh` or `nocturna`.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use token_testkit::{AuthorizationServer, Dialect};
///
/// let dialect: Dialect = "akuvox".parse()?;
/// let hub = AuthorizationServer::builder().dialect(dialect).user("5550123", "4711").start()?;
/// assert!(hub.token_url().ends_with("/refresh_token"));
/// let login = hub.sign_in("5550123");
/// assert_eq!(login.expires_in().as_secs(), 604_800);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dialect {
    /// OAuth 2.0: RFC 6749, 6750 and 7636. Access tokens of 1 hour.
    #[default]
    OAuth,
    /// A Laravel application for points of sale: a login with e-mail and password, no refresh token, and an expiry as local
    /// time without a zone. Tokens of 24 hours. Invoices are created, submitted, polled and downloaded.
    PosConnector,
    /// A smart-home hub: answers in an envelope, failures with status 200 and an `err_code`, the token in a header of its own
    /// beside a fixed user agent. Tokens of 7 days, rotated refresh tokens.
    Akuvox,
    /// OAuth whose every grant is for one location, which the answer names; authorization at `/oauth/chooselocation`.
    /// Tokens of 24 hours, rotated refresh tokens.
    HighLevel,
    /// A FastAPI application whose access token, an HS256 JWT, is presented for its successor, ended or not, up to 7 days
    /// after it was issued. Tokens of 30 minutes. A token may be presented again: [`Grace::NewPair`] as long as it is good.
    JwtRefresh,
    /// A FastAPI application with logins (JWTs of 15 minutes, rotated refresh tokens of 7 days, presented in the query) and
    /// with service tokens, which get access tokens and live for days or for ever.
    Nocturna,
}

const NAMES: [(&str, Dialect); 6] = [
    ("oauth", Dialect::OAuth),
    ("pos-connector", Dialect::PosConnector),
    ("akuvox", Dialect::Akuvox),
    ("high-level", Dialect::HighLevel),
    ("jwt-refresh", Dialect::JwtRefresh),
    ("nocturna", Dialect::Nocturna),
];

/// What the builder sets of one dialect only.
pub(crate) struct WireSettings {
    pub(crate) time_zone: TimeZone,
    pub(crate) token_header: HeaderName,
}

impl Dialect {
    /// Every dialect, for tests that go through them all.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(_, dialect)| dialect)
    }

    /// Whether token requests come from clients with credentials of their own.
    pub(crate) fn has_clients(self) -> bool {
        matches!(self, Self::OAuth | Self::HighLevel)
    }

    pub(crate) fn wire(self, settings: WireSettings) -> Box<dyn Wire> {
        match self {
            Self::OAuth => Box::new(oauth::OAuth),
            Self::PosConnector => Box::new(pos_connector::PosConnector::new(settings.time_zone)),
            Self::Akuvox => Box::new(akuvox::Akuvox::new(settings.token_header)),
            Self::HighLevel => Box::new(high_level::HighLevel),
            Self::JwtRefresh => Box::new(jwt_refresh::JwtRefresh),
            Self::Nocturna => Box::new(nocturna::Nocturna),
        }
    }

    pub(crate) fn policy(self) -> Policy {
        let policy = Policy::default();
        match self {
            Self::OAuth => policy,
            Self::PosConnector => {
                Policy { access_lifetime: DAY, renewal: Renewal::Login, ..policy }
            }
            Self::Akuvox => Policy { access_lifetime: DAY * 7, ..policy },
            Self::HighLevel => Policy { access_lifetime: DAY, locations: true, ..policy },
            Self::JwtRefresh => Policy {
                access_lifetime: Duration::from_secs(1800),
                refresh_lifetime: Some(DAY * 7),
                grace: Grace::NewPair(DAY * 7),
                renewal: Renewal::Itself,
                jwt: true,
                ..policy
            },
            Self::Nocturna => Policy {
                access_lifetime: Duration::from_secs(900),
                refresh_lifetime: Some(DAY * 7),
                jwt: true,
                ..policy
            },
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, dialect)| dialect == self).map(|(name, _)| name);
        f.write_str(name.unwrap_or(&"oauth"))
    }
}

impl FromStr for Dialect {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let known = NAMES.iter().find(|(name, _)| *name == text).map(|(_, dialect)| *dialect);
        known.ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            ParseError::expected(&format!("one of {}", names.join(", ")), text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_are_read_as_they_are_written() {
        for dialect in Dialect::all() {
            assert_eq!(dialect.to_string().parse(), Ok(dialect));
        }
        let error = "OAuth".parse::<Dialect>().unwrap_err().to_string();
        assert!(error.contains("`jwt-refresh`"), "{error}");
    }
}
