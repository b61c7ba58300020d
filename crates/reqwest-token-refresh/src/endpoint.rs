use std::error::Error as StdError;
use std::fmt;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use reqwest::{Body, Client, ClientBuilder, redirect, retry};
use token_core::RefreshError;
use token_core::endpoint::{HttpEndpoint, LARGEST_ANSWER};

/// The token endpoint's HTTP, over a reqwest client of its own, below the middleware.
#[derive(Clone)]
pub struct ReqwestEndpoint {
    client: Client,
}

impl ReqwestEndpoint {
    /// An endpoint over the client of this builder.
    ///
    /// TLS, DNS, timeouts and proxies are the builder's; redirects, retries and idle connections are switched off, because
    /// each could send a one-time refresh token twice or leave its fate unknown, and a refresh is too rare for the handshake
    /// to matter. So is [`connection_verbose`](ClientBuilder::connection_verbose), which logs passwords and tokens. At most 1 MiB of an answer is read, after decompression.
    ///
    /// reqwest takes a proxy from the environment (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`) unless the builder has
    /// [`no_proxy`](ClientBuilder::no_proxy). Through one, `https` stays end to end; a request in plain `http`, also one to
    /// loopback that `NO_PROXY` does not name, is the proxy's to read.
    ///
    /// # Errors
    ///
    /// The client cannot be built.
    pub fn new(builder: ClientBuilder) -> reqwest::Result<Self> {
        let client = builder
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .pool_max_idle_per_host(0)
            .connection_verbose(false)
            .build()?;
        Ok(Self { client })
    }
}

/// A client shows its default headers, and one of them may be a secret.
impl fmt::Debug for ReqwestEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestEndpoint").finish_non_exhaustive()
    }
}

impl HttpEndpoint for ReqwestEndpoint {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let request = request.try_into().map_err(unanswered)?;
        let answer = self.client.execute(request).await.map_err(unanswered)?;
        let (head, body) = Response::<Body>::from(answer).into_parts();
        let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| {
            RefreshError::ambiguous("the token endpoint's answer broke off or is too long")
                .with_status(head.status)
                .with_source(error)
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// What it means that no answer came. A URL may have a query, and a query may hold a secret.
fn unanswered(error: reqwest::Error) -> RefreshError {
    let error = error.without_url();
    if error.is_builder() {
        RefreshError::configuration("the token endpoint's URL is none that reqwest can ask")
    } else if error.is_connect() || is_not_sent(&error) {
        RefreshError::not_sent("the token endpoint could not be reached")
    } else {
        RefreshError::ambiguous("the token endpoint was asked and did not answer")
    }
    .with_source(error)
}

fn is_not_sent(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let canceled = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled);
        // RFC 9113 §8.7: a refused stream was not processed.
        let refused = error.downcast_ref::<h2::Error>().is_some_and(|error| {
            error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM)
        });
        if canceled || refused {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use hyper::client::conn::http1::handshake;
    use hyper_util::rt::TokioIo;

    use super::*;

    #[tokio::test]
    async fn a_request_that_its_connection_never_took_was_not_sent() {
        let (socket, _server) = tokio::io::duplex(64);
        let (mut sender, connection) = handshake(TokioIo::new(socket)).await.unwrap();
        drop(connection);
        let request = Request::new(Full::new(Bytes::from_static(b"grant_type=x")));
        let error = sender.send_request(request).await.unwrap_err();
        assert!(is_not_sent(&error), "{error:?}");

        // One that it took, and that nobody answered, may have been.
        let (socket, server) = tokio::io::duplex(64);
        let (mut sender, connection) = handshake(TokioIo::new(socket)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = Request::new(Full::new(Bytes::from(vec![b'x'; 1_000])));
        let answer = tokio::spawn(async move { sender.send_request(request).await });
        let mut server = server;
        tokio::io::AsyncReadExt::read_exact(&mut server, &mut [0; 100]).await.unwrap();
        drop(server);
        let error = answer.await.unwrap().unwrap_err();
        assert!(!is_not_sent(&error), "{error:?}");
        assert!(connection.await.unwrap().is_err());
    }
}
