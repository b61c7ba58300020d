//! An authorization server with rotating refresh tokens, reuse detection and scripted faults, and
//! an API that it protects, on loopback, for the tests of anything that uses tokens.
//!
//! [`AuthorizationServer::start`] opens one listener on `127.0.0.1` that serves `POST /token` and
//! everything under `/api`, over HTTP/1.1 and HTTP/2 with prior knowledge. It runs on a thread of
//! its own, so it can be started from a plain `#[test]` as well as from an async one, and lives
//! until it is dropped.
//!
//! # The rules it plays by
//!
//! 1. [`sign_in`](AuthorizationServer::sign_in) is what a person's login gives: a new *family* with
//!    a refresh token of generation 0.
//! 2. Each refresh rotates: the presented token is spent and its successor, one generation up, is
//!    answered ([`Rotation`] has the servers that do not).
//! 3. Who presents a spent refresh token ends the family: none of its refresh and access tokens is
//!    worth anything from then on (RFC 9700 §4.14.2).
//! 4. A token request that has been read is carried out even if its sender has gone, as real
//!    servers do.
//! 5. Everything presented to the token endpoint is in [`history`](AuthorizationServer::history),
//!    by [`Fingerprint`], in the order of arrival, with what became of it.
//!
//! # Example
//!
//! A refresh token works once; its second use is noticed and costs the whole family.
//!
//! ```
//! use bytes::Bytes;
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use token_testkit::{Answer, AuthorizationServer, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = AuthorizationServer::start()?;
//! let login = server.sign_in(DEFAULT_CLIENT_ID);
//!
//! let client = Client::builder(TokioExecutor::new()).build_http();
//! let refresh = || {
//!     http::Request::post(server.token_url())
//!         .header("content-type", "application/x-www-form-urlencoded")
//!         .body(Full::<Bytes>::from(format!(
//!             "grant_type=refresh_token&refresh_token={}&client_id={DEFAULT_CLIENT_ID}&client_secret={DEFAULT_CLIENT_SECRET}",
//!             login.refresh_token(),
//!         )))
//! };
//!
//! assert_eq!(client.request(refresh()?).await?.status(), 200);
//! assert_eq!(client.request(refresh()?).await?.status(), 400);
//!
//! assert_eq!(server.counters().reuse_detected, 1);
//! let history = server.history();
//! assert!(matches!(history[0].answer, Answer::Issued { generation: 1, .. }));
//! assert!(matches!(history[1].answer, Answer::ReuseDetected));
//! # Ok(())
//! # }
//! ```
//!
//! # Limits
//!
//! It is made for tests: it listens on loopback without TLS, keeps every token that it ever issued,
//! and compares secrets in plain.

mod api;
mod api_fault;
mod api_history;
mod body;
mod builder;
mod client;
mod connection;
mod counters;
mod fault;
mod fingerprint;
mod grants;
mod history;
mod listener;
mod login;
mod mint;
mod policy;
mod refusal;
mod response;
mod server;
mod shared;
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
pub use policy::Rotation;
pub use server::AuthorizationServer;
