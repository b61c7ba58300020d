//! How often what happened.

use serde::Serialize;

/// Totals since the server's start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Requests to the token endpoint, refused, faulty and unreadable ones included.
    pub token_requests: u64,
    /// Token requests that were carried out with success, even if the answer was then lost.
    pub tokens_issued: u64,
    /// The most token requests that were ever in progress at once.
    pub token_requests_in_flight_max: u64,
    /// Spent refresh tokens that were presented again within a [`Grace`](crate::Grace) window, and
    /// got tokens.
    pub accepted_in_grace: u64,
    /// Spent refresh tokens and codes that were presented again, which ended their family.
    pub reuse_detected: u64,
    /// Families that ended, by reuse, by
    /// [`revoke_family_of`](crate::AuthorizationServer::revoke_family_of) or by
    /// [`Fault::kill_family`](crate::Fault::kill_family).
    pub families_revoked: u64,
    /// Requests to the API.
    pub api_requests: u64,
    /// API requests whose token was accepted.
    pub api_ok: u64,
    /// API requests answered 401, or whatever a [`Dialect`](crate::Dialect) answers where there is no valid token.
    pub api_unauthorized: u64,
    /// Connections accepted.
    pub connections: u64,
}
