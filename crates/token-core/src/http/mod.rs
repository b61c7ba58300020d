//! What every HTTP adapter shares: which requests get a token, what counts as a refusal, what is sent again.
//!
//! 1. A request gets a token if its origin is allowed, it is not a `CONNECT`, it carries no header of that name of its
//!    own, and it has no [`NoToken`] extension. Otherwise it passes untouched.
//! 2. An answer refuses the token if it is a 401 with a bare or an `invalid_token` challenge of our scheme, or a gRPC
//!    answer with `grpc-status: 16` in its head. `insufficient_scope`, or a challenge of another scheme only, is not for
//!    us: a new token would have the same scope. A profile knows refusals of other forms, also in a body, whose beginning is
//!    then [looked at](Peek) first.
//! 3. A refused request is sent again once, with the same method, URI, version, headers, extensions and body, if its
//!    body can be sent again and it has no [`NoReplay`] extension. Otherwise the caller gets the refusal once the
//!    renewal is over, so that the caller's next request has the new token.

mod attach;
mod body;
mod challenge;
mod drain;
mod exchange;
mod origin;
mod peek;
mod policy;
mod replay;

pub use self::attach::Scheme;
pub use self::body::{Replay, ReplayBody, Superseded};
pub use self::challenge::Verdict;
pub use self::drain::Drain;
pub use self::exchange::{Refused, Sent};
pub use self::origin::Origins;
pub(crate) use self::origin::check_url;
pub use self::peek::{Peek, PeekedBody};
pub use self::policy::{NoReplay, NoToken, Policy};
pub use self::replay::{Attempt, Next};

#[cfg(test)]
pub(crate) mod tests {
    //! The tests that switch guards off, by the file that they are in.
    pub(crate) use super::body::tests as body;
    pub(crate) use super::policy::tests as policy;
    pub(crate) use super::replay::tests as replay;
}
