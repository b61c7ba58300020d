use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use token_core::http::{Policy, ReplayBody};
use token_core::{TokenManager, TokenSource};
use tower_service::Service;

use crate::BoxError;
use crate::future::ResponseFuture;
use crate::kept::Kept;

/// Attaches tokens, renews them and replays what was refused. See the [crate's documentation](crate).
#[derive(Clone)]
pub struct TokenRefresh<S, T = TokenManager> {
    inner: S,
    kept: Arc<Kept<S, T>>,
}

impl<S: Clone, T> TokenRefresh<S, T> {
    pub(crate) fn new(inner: S, source: T, policy: Policy) -> Self {
        let kept = Arc::new(Kept::new(inner.clone(), source, policy));
        Self { inner, kept }
    }
}

impl<S, T> TokenRefresh<S, T> {
    /// The service below.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service below.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, T, B, R> Service<Request<B>> for TokenRefresh<S, T>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    T: TokenSource,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = ResponseFuture<S, T, B, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, body) = request.into_parts();
        let policy = &self.kept.policy;
        if !policy.wants_token(&head) {
            return ResponseFuture::untouched(
                self.inner.call(Request::from_parts(head, ReplayBody::through(body))),
            );
        }
        let (body, replay) = ReplayBody::new(body, policy.limit_for(&head));
        let request = Request::from_parts(head, body);
        match self.kept.source.cached() {
            Some(token) => {
                ResponseFuture::calling(&mut self.inner, &self.kept, request, replay, token)
            }
            None => {
                // The instance that was polled ready waits with the request; a fresh one takes its place.
                let fresh = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, fresh);
                ResponseFuture::attaching(ready, &self.kept, request, replay)
            }
        }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for TokenRefresh<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRefresh")
            .field("inner", &self.inner)
            .field("policy", &self.kept.policy)
            .finish_non_exhaustive()
    }
}
