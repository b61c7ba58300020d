//! The layer by itself, over a service that answers at once.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use benches::herd::{self, Exchange, Terms};
use benches::micro::{Operation, compare};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, Uri};
use http_body::Body;
use http_body_util::{Empty, Full};
use token_core::http::{NoReplay, Origins};
use token_core::{Spends, TokenManager};
use tower_http::set_header::SetRequestHeader;
use tower_layer::Layer;
use tower_service::Service;
use tower_token_refresh::TokenRefreshLayer;

fn main() -> Result<(), Box<dyn Error>> {
    if !benches::is_bench() {
        return Ok(());
    }
    let runtime = herd::runtime()?;
    let tokens = runtime.block_on(async {
        let terms = Terms { spends: Spends::Nothing, succeeds: true };
        let tokens = herd::manager(&Exchange::default(), terms)?;
        tokens.ready().await?;
        Ok::<_, Box<dyn Error>>(tokens)
    })?;

    let empty = || (Empty::<Bytes>::new(), head());
    table("No body, replay armed", "≤ 2.5, ≤ 1", &tokens, empty)?;
    let not_replayed = || {
        let mut head = head();
        head.extensions.insert(NoReplay::new());
        (Empty::<Bytes>::new(), head)
    };
    table("No body, no replay", "≤ 1.7, 0", &tokens, not_replayed)?;
    // Bytes of the thread's own: a body is not shared between requests either.
    let body = || (Full::new(Bytes::from(vec![b'x'; 1024])), head());
    table("A body of 1 KiB, replay armed", "no copy of the bytes", &tokens, body)
}

/// Compares the ways through the layer for one kind of request, made by `make` for each thread.
fn table<B>(
    title: &str,
    goal: &str,
    tokens: &TokenManager,
    make: impl Fn() -> (B, Head) + Copy + Sync,
) -> Result<(), Box<dyn Error>>
where
    B: Body + Clone + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let header = HeaderValue::try_from(format!("Bearer {}", benches::access_token()))?;
    let set_header = SetRequestHeader::overriding(Echo, AUTHORIZATION, header);
    let layer = TokenRefreshLayer::new(tokens.clone(), Origins::only("https://api.example.com")?)
        .layer(Echo);
    let (set_header, layer) = (&set_header, &layer);
    compare(
        title,
        &[
            kept("bare service", "", &Echo, make),
            kept("tower-http `SetRequestHeader`", "", set_header, make),
            kept("our layer", goal, layer, make),
            cloned("`SetRequestHeader`, cloned for each call", "", set_header, make),
            cloned("our layer, cloned for each call", "", layer, make),
        ],
    );
    Ok(())
}

/// Each thread has a clone of the service and keeps it.
fn kept<'a, S, B>(
    name: &'a str,
    goal: &'a str,
    service: &'a S,
    make: impl Fn() -> (B, Head) + Sync + 'a,
) -> Operation<'a>
where
    S: Service<Request<B>, Response = Answer> + Clone + Sync,
    B: Clone,
{
    Operation::new(name, goal, move || {
        let (mut service, (body, mut head)) = (service.clone(), make());
        move || call(&mut service, body.clone(), &mut head)
    })
}

/// As frameworks do it that have a service behind a shared reference.
fn cloned<'a, S, B>(
    name: &'a str,
    goal: &'a str,
    service: &'a S,
    make: impl Fn() -> (B, Head) + Sync + 'a,
) -> Operation<'a>
where
    S: Service<Request<B>, Response = Answer> + Clone + Sync,
    B: Clone,
{
    Operation::new(name, goal, move || {
        let (body, mut head) = make();
        move || call(&mut service.clone(), body.clone(), &mut head)
    })
}

/// One call. The head comes back with the answer and is used again, so that no row pays for making one.
fn call<S: Service<Request<B>, Response = Answer>, B>(service: &mut S, body: B, head: &mut Head) {
    let mut request = Request::new(body);
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = std::mem::take(&mut head.headers);
    *request.extensions_mut() = std::mem::take(&mut head.extensions);

    let cx = &mut Context::from_waker(Waker::noop());
    assert!(service.poll_ready(cx).is_ready(), "the service is always ready");
    let Poll::Ready(Ok(answer)) = pin!(service.call(request)).poll(cx) else {
        panic!("the service answers at once");
    };
    let (answer, _) = answer.into_parts();
    (head.headers, head.extensions) = (answer.headers, answer.extensions);
    head.headers.remove(AUTHORIZATION);
}

/// What a request of the caller's has beside its body.
struct Head {
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
}

/// Two headers, and room for one more.
fn head() -> Head {
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("bench"));
    // From a string of its own, as most are: cloning one that is static would cost less.
    let uri = "https://api.example.com/v1/things".parse().expect("it is a URI");
    Head { uri, headers, extensions: Extensions::new() }
}

type Answer = Response<Empty<Bytes>>;

/// Answers at once, with the request's head.
#[derive(Clone, Copy)]
struct Echo;

impl<B> Service<Request<B>> for Echo {
    type Response = Answer;
    type Error = Infallible;
    type Future = Ready<Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, _) = request.into_parts();
        let mut answer = Response::new(Empty::new());
        *answer.headers_mut() = head.headers;
        *answer.extensions_mut() = head.extensions;
        ready(Ok(answer))
    }
}
