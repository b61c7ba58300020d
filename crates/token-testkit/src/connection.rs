//! One connection: finds the endpoint of each request, and ends when a fault wants it to.

use std::{convert::Infallible, future, sync::Arc};

use http::{Request, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    api,
    response::{self, Reply},
    shared::Shared,
    token_endpoint,
};

pub(crate) async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let close = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (shared, close) = (Arc::clone(&shared), Arc::clone(&close));
        async move {
            match route(shared, request).await {
                Reply::Answer(response) => Ok::<_, Infallible>(response),
                // An error from here would only reset the stream over HTTP/2. Dropping the
                // connection below is the same for both versions, and drops this future too.
                Reply::Close => {
                    close.notify_one();
                    future::pending().await
                }
            }
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        // Its only errors are those of a client that left or does not speak HTTP.
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
        () = close.notified() => {}
    }
}

async fn route(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    match request.uri().path() {
        "/token" => token_endpoint::serve(shared, request).await,
        "/api" => api::serve(shared, request).await,
        path if path.starts_with("/api/") => api::serve(shared, request).await,
        _ => response::empty(StatusCode::NOT_FOUND).into(),
    }
}
