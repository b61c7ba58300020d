use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use token_core::http::{Drain, Refused, Replay, ReplayBody, Sent};
use token_core::{Error, Token, TokenSource};
use tower_service::Service;

use crate::BoxError;
use crate::kept::Kept;

type TokenFuture = Pin<Box<dyn Future<Output = Result<Token, Error>> + Send>>;

pin_project! {
    /// The answer to a request that went through [`TokenRefresh`](crate::TokenRefresh).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops this request and nothing else: a refresh that it started goes on.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, T, B, R>
    where
        S: Service<Request<ReplayBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, T, B, R, S::Future>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, T, B, R, F>
    where
        B: Body,
    {
        /// Waiting for the first token.
        Attaching {
            token: TokenFuture,
            // Both are there until the token is.
            ready: Option<S>,
            request: Option<(Request<ReplayBody<B>>, Replay<B>)>,
            kept: Arc<Kept<S, T>>,
        },
        /// The first call; `None` in it: an untouched request.
        Calling {
            #[pin]
            future: F,
            sent: Option<(Sent<B>, Arc<Kept<S, T>>)>,
        },
        /// Waiting for a token to replace the refused one.
        Renewing {
            renewal: TokenFuture,
            refusal: Option<Response<R>>,
            refused: Option<(Refused<B>, Arc<Kept<S, T>>)>,
        },
        /// Reading what is left of the refusal.
        Draining {
            drain: Drain<R>,
            replay: Option<(S, Request<ReplayBody<B>>)>,
        },
        /// Waiting for a service to be ready for the replay.
        Readying {
            service: S,
            request: Option<Request<ReplayBody<B>>>,
        },
        /// The second call.
        Replaying {
            #[pin]
            future: F,
        },
    }
}

impl<S, T, B, R> ResponseFuture<S, T, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    T: TokenSource,
    B: Body,
    B::Error: Into<BoxError>,
{
    pub(crate) fn untouched(future: S::Future) -> Self {
        Self { state: State::Calling { future, sent: None } }
    }

    pub(crate) fn calling(
        service: &mut S,
        kept: &Arc<Kept<S, T>>,
        request: Request<ReplayBody<B>>,
        replay: Replay<B>,
        token: Token,
    ) -> Self {
        let (future, sent) = call(service, kept, request, replay, token);
        let sent = Some((sent, Arc::clone(kept)));
        Self { state: State::Calling { future, sent } }
    }

    pub(crate) fn attaching(
        ready: S,
        kept: &Arc<Kept<S, T>>,
        request: Request<ReplayBody<B>>,
        replay: Replay<B>,
    ) -> Self {
        let source = kept.source.clone();
        let token: TokenFuture = Box::pin(async move { source.token().await });
        let state = State::Attaching {
            token,
            ready: Some(ready),
            request: Some((request, replay)),
            kept: Arc::clone(kept),
        };
        Self { state }
    }
}

fn call<S, T, B>(
    service: &mut S,
    kept: &Arc<Kept<S, T>>,
    request: Request<ReplayBody<B>>,
    replay: Replay<B>,
    token: Token,
) -> (S::Future, Sent<B>)
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    let (mut head, body) = request.into_parts();
    let sent = Sent::with_token(&kept.policy, &mut head, replay, token);
    #[cfg(feature = "profile")]
    crate::bodies::ask(&kept.policy, &mut head);
    (service.call(Request::from_parts(head, body)), sent)
}

impl<S, T, B, R> Future for ResponseFuture<S, T, B, R>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    T: TokenSource,
    B: Body,
    B::Error: Into<BoxError>,
    R: Body,
{
    type Output = Result<Response<R>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StateProjection::Attaching { token, ready, request, kept } => {
                    let token = ready!(token.as_mut().poll(cx))?;
                    let (Some(mut service), Some((request, replay))) =
                        (ready.take(), request.take())
                    else {
                        return Poll::Pending;
                    };
                    let (future, sent) = call(&mut service, kept, request, replay, token);
                    State::Calling { future, sent: Some((sent, Arc::clone(kept))) }
                }
                StateProjection::Calling { future, sent } => {
                    let answer = ready!(future.poll(cx)).map_err(Into::into)?;
                    let Some((sent, kept)) = sent.take() else {
                        return Poll::Ready(Ok(answer));
                    };
                    #[cfg_attr(not(feature = "profile"), expect(unused_mut))]
                    let (mut head, body) = answer.into_parts();
                    #[cfg(feature = "profile")]
                    let verdict = crate::bodies::verdict(&kept.policy, &mut head);
                    #[cfg(not(feature = "profile"))]
                    let verdict = kept.policy.judge(&head);
                    let refused = sent.answered(verdict);
                    let answer = Response::from_parts(head, body);
                    let Some(refused) = refused else { return Poll::Ready(Ok(answer)) };
                    let (source, token) = (kept.source.clone(), refused.token().clone());
                    State::Renewing {
                        renewal: Box::pin(async move { source.renew(&token).await }),
                        refusal: Some(answer),
                        refused: Some((refused, kept)),
                    }
                }
                StateProjection::Renewing { renewal, refusal, refused } => {
                    let renewed = ready!(renewal.as_mut().poll(cx));
                    let (Some(answer), Some((refused, kept))) = (refusal.take(), refused.take())
                    else {
                        return Poll::Pending;
                    };
                    let (Ok(token), true) = (renewed, refused.may_be_replayed()) else {
                        return Poll::Ready(Ok(answer));
                    };
                    let mut service = kept.service();
                    if let Poll::Ready(Err(_)) = service.poll_ready(cx) {
                        return Poll::Ready(Ok(answer));
                    }
                    let Some(request) = refused.replay(&kept.policy, &token) else {
                        return Poll::Ready(Ok(answer));
                    };
                    State::Draining {
                        drain: Drain::new(answer.into_body()),
                        replay: Some((service, request)),
                    }
                }
                StateProjection::Draining { drain, replay } => {
                    ready!(Pin::new(drain).poll(cx));
                    let Some((service, request)) = replay.take() else { return Poll::Pending };
                    State::Readying { service, request: Some(request) }
                }
                StateProjection::Readying { service, request } => {
                    ready!(service.poll_ready(cx)).map_err(Into::into)?;
                    let Some(request) = request.take() else { return Poll::Pending };
                    State::Replaying { future: service.call(request) }
                }
                StateProjection::Replaying { future } => {
                    return Poll::Ready(ready!(future.poll(cx)).map_err(Into::into));
                }
            };
            state.set(next);
        }
    }
}

impl<S, T, B, R> fmt::Debug for ResponseFuture<S, T, B, R>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
