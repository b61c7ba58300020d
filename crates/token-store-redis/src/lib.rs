#![doc = include_str!("../README.md")]

mod builder;
mod failure;
mod key_name;
mod link;
mod listing;
mod record;
mod script;
mod server;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod wake;

pub use builder::Builder;
pub use store::RedisStore;
