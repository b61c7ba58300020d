//! Refusals as a profile describes them, by status, header, redirect or a value in the body's JSON, over real sockets and
//! through both adapters: what is refused is renewed and replayed once, and every other answer passes as it came.

mod adapter;
mod answers;
mod api;
mod dialects;
mod redirects;
mod refusals;
