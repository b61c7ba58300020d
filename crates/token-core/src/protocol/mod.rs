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
//! Another's intent is left alone until its request must be over (`present.rs`); a token whose outcome is unknown is
//! presented again by the rule of its server (`unknown_outcome.rs`); a store that fell back is repaired, and nothing is sent
//! before everybody has had the time to do so (`settle.rs`). Where an exchange uses nothing up, processes take turns in the
//! same way (`turn.rs`).

mod action;
mod backoff;
mod bucket;
mod by_hand;
mod change;
mod commit;
mod decide;
mod failure;
mod flight;
mod log_in;
mod policy;
mod present;
mod replica;
mod seed;
mod settle;
mod turn;
mod unanswered;
mod unknown_outcome;

#[cfg(test)]
pub(crate) mod explorer;
#[cfg(test)]
mod simulator;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use self::action::{Action, Context, Event, Swapped};
pub(crate) use self::backoff::{Backoff, BackoffPolicy};
pub(crate) use self::bucket::TokenBucket;
pub(crate) use self::by_hand::{Warned, Warning, cannot_refresh, warning};
pub(crate) use self::change::Change;
pub(crate) use self::failure::{Failure, LoginReason};
pub(crate) use self::log_in::logs_in;
pub(crate) use self::policy::Policy;
pub(crate) use self::replica::{Demand, History, Known, Note, Replica, Stored};
pub(crate) use self::seed::Seed;
pub use self::unknown_outcome::{GraceWindow, UnknownOutcome};
