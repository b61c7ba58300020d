//! The kit over real sockets: what a client sees, and what the server tells about it.

mod support;

mod api;
mod clients;
mod faults;
mod grants;
mod history;
mod lifecycle;
mod rotation;
