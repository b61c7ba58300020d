#![doc = include_str!("../README.md")]

mod api;
mod api_fault;
mod api_history;
mod body;
mod builder;
mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connection;
mod control;
mod counters;
mod date;
mod doors;
mod duration_text;
mod fault;
mod fingerprint;
mod grants;
mod history;
mod listener;
mod login;
mod mint;
mod parse_error;
mod policy;
mod refusal;
mod response;
mod script;
mod server;
mod shared;
mod streamed;
mod token_answer;
mod token_endpoint;
mod token_request;
mod tokens;

pub use api_fault::ApiFault;
pub use api_history::{ApiRequest, BodyEnd};
pub use builder::Builder;
pub use client::{Client, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
pub use counters::Counters;
pub use fault::Fault;
pub use fingerprint::Fingerprint;
pub use history::{Answer, Presentation};
pub use login::Login;
pub use parse_error::ParseError;
pub use policy::{Grace, Rotation};
pub use script::RandomFaults;
pub use server::AuthorizationServer;
