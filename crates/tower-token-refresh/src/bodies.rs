use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response, response};
use http_body::Body;
use pin_project_lite::pin_project;
use token_core::http::{Peek, PeekedBody, Policy, Verdict};
use tower_layer::Layer;
use tower_service::Service;

/// Makes [`LookAtBodies`] services. It is the lower part of what
/// [`TokenRefreshLayer::for_profile`](crate::TokenRefreshLayer::for_profile) gives.
#[derive(Clone, Debug)]
pub struct LookAtBodiesLayer {
    policy: Arc<Policy>,
}

/// Looks at the beginnings of answers for refusals, and tells [`TokenRefresh`](crate::TokenRefresh), right above, of them.
///
/// Only answers to requests that it sent with a token for the first time are looked at. All others pass.
#[derive(Clone)]
pub struct LookAtBodies<S> {
    inner: S,
    policy: Arc<Policy>,
}

pin_project! {
    /// An answer that is waited for, and perhaps looked at.
    #[must_use = "futures do nothing unless polled"]
    pub struct Looking<F, R>
    where
        R: Body,
    {
        #[pin]
        state: State<F, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, R>
    where
        R: Body,
    {
        /// The policy is there if the answer may be looked at.
        Calling { #[pin] future: F, policy: Option<Arc<Policy>> },
        Peeking { peek: Peek<R> },
    }
}

/// On a request: the token in it is ours, and a refusal will be replayed.
#[derive(Clone, Copy)]
struct Look;

/// On an answer: its body says that the token was refused.
#[derive(Clone, Copy)]
struct RefusedByBody;

/// Asks for a look at the answer's body.
pub(crate) fn ask(policy: &Policy, head: &mut http::request::Parts) {
    if policy.looks_at_bodies() {
        head.extensions.insert(Look);
    }
}

/// What the answer says of the token, by what came of the look and by its head.
pub(crate) fn verdict(policy: &Policy, head: &mut response::Parts) -> Verdict {
    match head.extensions.remove::<RefusedByBody>() {
        Some(RefusedByBody) => Verdict::Refused,
        None => policy.judge(head),
    }
}

impl LookAtBodiesLayer {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy: Arc::new(policy) }
    }
}

impl<S> Layer<S> for LookAtBodiesLayer {
    type Service = LookAtBodies<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LookAtBodies { inner, policy: Arc::clone(&self.policy) }
    }
}

impl<S> LookAtBodies<S> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for LookAtBodies<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Response = Response<PeekedBody<R>>;
    type Error = S::Error;
    type Future = Looking<S::Future, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let look = request.extensions_mut().remove::<Look>();
        let policy = look.map(|Look| Arc::clone(&self.policy));
        Looking { state: State::Calling { future: self.inner.call(request), policy } }
    }
}

impl<F, R, E> Future for Looking<F, R>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
{
    type Output = Result<Response<PeekedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let peek = match state.as_mut().project() {
                StateProjection::Calling { future, policy } => {
                    let (head, body) = ready!(future.poll(cx))?.into_parts();
                    match policy.as_ref().and_then(|policy| policy.left_open(&head)) {
                        Some(refused) => refused.peek(Response::from_parts(head, body)),
                        None => {
                            let body = PeekedBody::through(body);
                            return Poll::Ready(Ok(Response::from_parts(head, body)));
                        }
                    }
                }
                StateProjection::Peeking { peek } => {
                    let (verdict, mut answer) = ready!(Pin::new(peek).poll(cx));
                    if verdict == Verdict::Refused {
                        answer.extensions_mut().insert(RefusedByBody);
                    }
                    return Poll::Ready(Ok(answer));
                }
            };
            state.set(State::Peeking { peek });
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for LookAtBodies<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookAtBodies").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<F, R: Body> fmt::Debug for Looking<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looking").finish_non_exhaustive()
    }
}
