//! Runnable examples, `cargo run --example NAME`, and what they have in common: how they end, and for those that start other
//! processes, both ends of that.

mod ending;
mod parent;
mod replica;

pub use self::ending::end;
pub use self::parent::{Parent, tell_parent};
pub use self::replica::Replica;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// In the environment of a replica: its name.
const NAME: &str = "TOKEN_REFRESH_REPLICA";
