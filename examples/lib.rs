//! Runnable examples, `cargo run --example NAME`, and what those have in common that start other processes.

mod parent;
mod replica;

pub use self::parent::{Parent, tell_parent};
pub use self::replica::Replica;

/// In the environment of a replica: its name.
const NAME: &str = "TOKEN_REFRESH_REPLICA";
