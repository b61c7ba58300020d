use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use token_core::RefreshError;
use token_core::endpoint::{HttpEndpoint, LARGEST_ANSWER};
use tower_service::Service;

use crate::BoxError;

/// The token endpoint's HTTP, over hyper-util or any tower service.
///
/// TLS is the connector's choice: pass the one of your API client.
#[derive(Debug)]
pub struct HyperEndpoint<S> {
    /// Behind a lock, because a service need not be `Sync`; cloned for each request.
    service: Mutex<S>,
}

impl<C: Connect + Clone + Send + Sync + 'static> HyperEndpoint<Client<C, Full<Bytes>>> {
    /// An endpoint with a client of its own over this connector.
    ///
    /// It retries nothing and keeps no idle connections: a request that is written to a connection which the server is
    /// just closing has an outcome that nobody knows, and a refresh is too rare for the handshake to matter.
    pub fn new(connector: C) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .pool_max_idle_per_host(0)
            .build(connector);
        Self::over(client)
    }
}

impl<S> HyperEndpoint<S> {
    /// An endpoint over a service of your own, which must send a request once: no retry, no redirect, and not the service
    /// that these tokens authenticate.
    ///
    /// Only errors of hyper's and hyper-util's clients in its error's chain are known to mean that nothing was sent.
    pub const fn over(service: S) -> Self {
        Self { service: Mutex::new(service) }
    }
}

impl<S, R> HttpEndpoint for HyperEndpoint<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let mut service = self.service.lock().unwrap_or_else(PoisonError::into_inner).clone();
        std::future::poll_fn(|cx| service.poll_ready(cx)).await.map_err(|error| {
            RefreshError::not_sent("the token endpoint's client is not ready").with_source(error)
        })?;
        let answer =
            service.call(request.map(Full::new)).await.map_err(|error| unanswered(error.into()))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| {
            RefreshError::ambiguous("the token endpoint's answer broke off or is too long")
                .with_status(head.status)
                .with_source(error)
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// What it means that no answer came. hyper's errors hold no part of the request.
fn unanswered(error: BoxError) -> RefreshError {
    if is_not_sent(error.as_ref()) {
        RefreshError::not_sent("the token endpoint could not be reached").with_source(error)
    } else {
        RefreshError::ambiguous("the token endpoint was asked and did not answer")
            .with_source(error)
    }
}

fn is_not_sent(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let connect = error.downcast_ref::<legacy::Error>().is_some_and(legacy::Error::is_connect);
        let canceled = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
        // RFC 9113 §8.7: a refused stream was not processed.
        let refused = error.downcast_ref::<h2::Error>().is_some_and(|error| {
            error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
        });
        if connect || canceled || refused {
            return true;
        }
        cause = error.source();
    }
    false
}
