//! Services that keep their tokens in a directory: what their operators hear when something is wrong with it, that they go
//! on by themselves when it is mended, and that they follow each other.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod limits;
mod login;
mod process;
mod site;
mod six;
mod stopped;
mod troubles;
mod versions;

/// The other processes: this binary, told to run this test alone.
#[test]
fn process() {
    process::run_if_told();
}
