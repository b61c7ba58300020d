//! The layer with everything that goes around it, over real sockets. What is learnt here is in `docs/composition.md`.

mod boxed;
mod gateway;
mod grpc;
mod grpc_server;
mod http_layers;
mod hyper_client;
mod readiness;
mod redirect;
mod retry;
mod support;
mod tower_layers;
mod trace;
