//! One connection: finds the endpoint of each request, and ends when a fault wants it to.

use std::{convert::Infallible, future, pin::pin, sync::Arc, time::SystemTime};

use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{self, Entry},
};
use http_body_util::Either;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::TcpStream,
    sync::{Notify, watch},
};

use crate::{
    api, authorization, control,
    date::http_date,
    dialect::Serves,
    response::{self, Reply},
    shared::Shared,
    token_answer::login_page,
    token_endpoint,
};

/// Serves until the client leaves. When `closing` changes, the connection ends as soon as none of
/// its requests is in progress.
pub(crate) async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    mut closing: watch::Receiver<()>,
) {
    let close = Arc::new(Notify::new());
    let service = service_fn(|request| {
        let (shared, close) = (Arc::clone(&shared), Arc::clone(&close));
        async move {
            let skew = shared.date_skew();
            match route(shared, request).await {
                Reply::Answer(response) => {
                    Ok::<_, Infallible>(dated(response.map(Either::Left), skew))
                }
                Reply::Stream(response) => Ok(dated(response.map(Either::Right), skew)),
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
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // In this order: a request that comes after the doors were closed is not served.
        biased;
        Ok(()) = closing.changed() => {}
        () = close.notified() => return,
        // Its only errors are those of a client that left or does not speak HTTP.
        _ = connection.as_mut() => return,
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = close.notified() => {}
    }
}

/// An answer with the server's own idea of the date; without a skew hyper adds the right one.
fn dated<B>(mut response: Response<B>, skew: i64) -> Response<B> {
    if skew != 0
        && let Entry::Vacant(date) = response.headers_mut().entry(header::DATE)
    {
        date.insert(http_date(SystemTime::now(), skew));
    }
    response
}

async fn route(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    match endpoint(&shared, &request) {
        Some(Ok(Serves::Tokens)) => return token_endpoint::serve(shared, request).await,
        Some(Ok(Serves::Authorization)) => return authorization::serve(&shared, request.uri()),
        Some(Ok(Serves::LoginPage)) => return Reply::of(login_page(), None),
        Some(Err(allowed)) => return not_allowed(&allowed),
        None => {}
    }
    match request.uri().path() {
        "/api" => api::serve(shared, request).await,
        path if path.starts_with("/api/") => api::serve(shared, request).await,
        path if shared.control && (path == "/control" || path.starts_with("/control/")) => {
            control::serve(shared, request).await
        }
        _ => response::empty(StatusCode::NOT_FOUND).into(),
    }
}

/// What the dialect has at this path, or by which methods it is to be asked; `None` if it has nothing.
fn endpoint(shared: &Shared, request: &Request<Incoming>) -> Option<Result<Serves, String>> {
    let path = request.uri().path();
    let here = || shared.wire.endpoints().iter().filter(|endpoint| endpoint.path == path);
    if let Some(asked) = here().find(|endpoint| endpoint.method == *request.method()) {
        return Some(Ok(asked.serves));
    }
    let allowed: Vec<_> = here().map(|endpoint| endpoint.method.as_str()).collect();
    (!allowed.is_empty()).then(|| Err(allowed.join(", ")))
}

fn not_allowed(allowed: &str) -> Reply {
    let mut response = response::empty(StatusCode::METHOD_NOT_ALLOWED);
    if let Ok(allowed) = HeaderValue::from_str(allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response.into()
}
