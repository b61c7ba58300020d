#![doc = include_str!("../README.md")]

mod alive;
mod directory;
mod envelope;
mod failure;
mod file_name;
mod lock;
mod platform;
mod store;

#[cfg(test)]
mod tests;

pub use store::{Builder, FileStore};
