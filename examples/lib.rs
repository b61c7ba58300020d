//! Runnable examples, `cargo run --example NAME`, and what they have in common: how they speak and end, a profile with the
//! secrets of a server of the kit, stores, TLS, and for those that start other processes, both ends of that.

mod ending;
mod kit;
mod parent;
mod replica;
mod said;
mod store;
mod tls;

pub use self::ending::{end, told_whole};
pub use self::kit::{kit_profile, with_secrets, write_secret};
pub use self::parent::{Parent, tell_parent};
pub use self::replica::Replica;
pub use self::said::{state_of, time};
pub use self::store::{STORES, Store};
pub use self::tls::{Https, connector};

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// In the environment of a replica: its name.
const NAME: &str = "TOKEN_REFRESH_REPLICA";

/// Prints a line as `println!` does, and returns from the function if nobody reads it any more.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {
        std::io::Write::write_fmt(&mut std::io::stdout().lock(), format_args!("{}\n", format_args!($($text)*)))?
    };
}

/// Ends the function with an error unless a claim of an example holds.
#[macro_export]
macro_rules! claim {
    ($holds:expr, $($otherwise:tt)*) => {
        if !$holds {
            return Err(format!($($otherwise)*).into());
        }
    };
}
