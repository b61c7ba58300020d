//! Five APIs that people have written clients for by hand, each through both adapters, by the profiles that come with the
//! crate and against the kit in that API's dialect.

mod adapter;
mod api;
mod death;
mod journey;
mod local_times;
mod secrets;
mod told_apart;
