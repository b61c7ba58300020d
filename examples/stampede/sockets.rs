//! A client that never has more sockets open than it may.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use examples::{BoxError, Https, connector};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use token_core::http::ReplayBody;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use crate::load::Sends;

type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// Of all processes: a server that has to accept more might not be allowed to.
const SOCKETS: u16 = 256;

/// hyper's client with as many requests on the wire as it has sockets. The limit is below the layer, so that all requests
/// meet the expired token.
#[derive(Clone)]
pub(crate) struct Sockets {
    client: Client<LimitedConnector, ReplayBody<Full<Bytes>>>,
    requests: Arc<Semaphore>,
}

impl Sockets {
    pub(crate) fn new(sockets: u16) -> Self {
        let permits = || Arc::new(Semaphore::new(sockets.into()));
        let connector = LimitedConnector { connector: connector(), sockets: permits() };
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, requests: permits() }
    }
}

/// How many sockets each of so many processes may have.
pub(crate) fn share(processes: u16) -> u16 {
    SOCKETS / processes
}

impl Service<Request<ReplayBody<Full<Bytes>>>> for Sockets {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = BoxFuture<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        let Self { client, requests } = self.clone();
        Box::pin(async move {
            let _permit = requests.acquire().await?;
            if let Some(sends) = request.extensions().get::<Sends>() {
                sends.count();
            }
            let (head, body) = client.request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            // The connection's task has to put it back into the pool before the next request looks for one there.
            tokio::task::yield_now().await;
            Ok(Response::from_parts(head, Full::new(body)))
        })
    }
}

/// Opens a socket only when there is a permit; hyper's pool alone may open more while it waits for an idle one.
#[derive(Clone)]
struct LimitedConnector {
    connector: Https,
    sockets: Arc<Semaphore>,
}

impl Service<Uri> for LimitedConnector {
    type Response = LimitedSocket;
    type Error = BoxError;
    type Future = BoxFuture<LimitedSocket>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { mut connector, sockets } = self.clone();
        Box::pin(async move {
            let permit = sockets.acquire_owned().await?;
            Ok(LimitedSocket { stream: connector.call(uri).await?, _permit: permit })
        })
    }
}

struct LimitedSocket {
    stream: MaybeHttpsStream<TokioIo<TcpStream>>,
    _permit: OwnedSemaphorePermit,
}

impl Connection for LimitedSocket {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl hyper::rt::Read for LimitedSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for LimitedSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}
