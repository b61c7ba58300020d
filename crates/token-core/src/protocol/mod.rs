//! The refresh protocol, pure: what a process knows of a grant ([`Replica`]) takes an event and answers the next action.
//!
//! No async, no clock, no I/O: the shell (`manager/flight.rs`) performs one action at a time and reports what came of it,
//! and the explorer (`explorer/`) performs them in every order. One refresh of a one-time refresh token is
//!
//! ```text
//! load ─► swap Idle(g) → InFlight(g) ─► gate ─► exchange ─► swap InFlight(g) → Idle(g+1) ─► finish
//!         the intent                            once        the commit, fenced by generation
//! ```
//!
//! What only several hosts need is to come here and nowhere else: the settle barrier after a store has regressed, grace
//! windows in the rule for unknown outcomes, and takeover at once from a holder that the store knows to be dead.

mod backoff;
mod bucket;
mod change;
mod commit;
mod failure;
mod flight;
mod present;
mod replica;
mod unanswered;

#[cfg(test)]
pub(crate) mod explorer;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::backoff::{Backoff, BackoffPolicy};
pub(crate) use self::bucket::TokenBucket;
pub(crate) use self::change::Change;
pub(crate) use self::failure::{Failure, LoginReason};
pub(crate) use self::flight::{Action, Context, Event, Swapped};
pub use self::replica::UnknownOutcome;
pub(crate) use self::replica::{Demand, Note, Policy, Replica, Seed};
