//! The kit over real sockets: what a client sees, and what the server tells about it.

mod raw;
mod support;

mod api;
mod catalogue;
mod clients;
mod control;
mod dates;
mod dialects;
mod doors;
mod faults;
mod grace;
mod grants;
mod history;
mod holds;
mod lifecycle;
mod random;
mod rotation;
