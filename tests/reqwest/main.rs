//! What is reqwest's own about its middleware and its endpoint, over real sockets. What becomes of a request is in
//! `replay_table`, and of a failing token endpoint in `outcome_table`: those run over both adapters.

mod endpoint;
mod error;
mod redirect;
mod requests;
mod retry;
mod support;
