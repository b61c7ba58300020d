//! Sealed records through whole managers, over memory and files: what is refused, what a login does, and keys that change.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod found;
mod migration;
mod rotation;
mod site;
mod tampered;
