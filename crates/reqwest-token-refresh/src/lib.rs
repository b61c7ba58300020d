#![doc = include_str!("../README.md")]

mod endpoint;
mod error;
mod middleware;
mod parts;
mod redirect;

pub use self::endpoint::ReqwestEndpoint;
pub use self::error::token_error;
pub use self::middleware::TokenRefreshMiddleware;
