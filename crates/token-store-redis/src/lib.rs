#![doc = include_str!("../README.md")]

mod address;
mod builder;
mod cluster;
mod failure;
mod key_name;
mod link;
mod listing;
mod nodes;
mod record;
mod script;
mod sentinel;
mod server;
mod source;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod wake;

pub use builder::Builder;
pub use store::RedisStore;
