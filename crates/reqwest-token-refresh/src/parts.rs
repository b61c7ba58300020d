//! reqwest's types as those of the `http` crate, which the rules are about. Nothing is copied: the headers are lent, and put
//! back.

use std::mem::take;

use http::{Extensions, Uri, request, response};
#[cfg(feature = "profile")]
use reqwest::{Body, ResponseBuilderExt};
use reqwest::{Request, Response, Url};
#[cfg(feature = "profile")]
use token_core::{endpoint::profile::RefusedToken, http::Verdict};

/// Shows the head of a request to `look`, with the extensions of its way through the middleware.
pub(crate) fn with_head<T>(
    request: &mut Request,
    extensions: &mut Extensions,
    uri: &Uri,
    look: impl FnOnce(&mut request::Parts) -> T,
) -> T {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = uri.clone();
    head.version = request.version();
    head.headers = take(request.headers_mut());
    head.extensions = take(extensions);
    let seen = look(&mut head);
    *request.headers_mut() = head.headers;
    *extensions = head.extensions;
    seen
}

/// Shows the head of an answer, and whose it is, to `look`.
pub(crate) fn with_answer<T>(
    answer: &mut Response,
    look: impl FnOnce(&response::Parts, &Url) -> T,
) -> T {
    let (mut head, ()) = http::Response::new(()).into_parts();
    head.status = answer.status();
    head.version = answer.version();
    head.headers = take(answer.headers_mut());
    head.extensions = take(answer.extensions_mut());
    let seen = look(&head, answer.url());
    *answer.headers_mut() = head.headers;
    *answer.extensions_mut() = head.extensions;
    seen
}

/// Looks at the beginning of an answer's body, which then passes whole.
#[cfg(feature = "profile")]
pub(crate) async fn peek(refused: &RefusedToken, answer: Response) -> (Verdict, Response) {
    // On its way through the `http` crate's type reqwest loses whose answer it is.
    let url = answer.url().clone();
    let (verdict, answer) = refused.peek(http::Response::<Body>::from(answer)).await;
    let (mut head, body) = answer.into_parts();
    if let Ok(with_url) = http::Response::builder().url(url).body(()) {
        head.extensions.extend(with_url.into_parts().0.extensions);
    }
    (verdict, Response::from(http::Response::from_parts(head, Body::wrap(body))))
}
