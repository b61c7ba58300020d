//! The layer with everything that goes around it, over real sockets. What is learnt here is in `docs/composition.md`.

mod boxed;
mod gateway;
mod grpc;
mod grpc_server;
mod hyper_client;
mod redirect;
mod support;
mod trace;
