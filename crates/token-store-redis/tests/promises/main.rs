//! What a service notices of its Redis: what a refresh costs, and what becomes of the grant when the server is gone, comes back
//! empty or from a backup, or has its passwords changed.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod commands;
mod emptied;
mod outage;
mod passwords;
mod site;
mod wire;
