use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

type Early<E> = VecDeque<Result<Frame<Bytes>, E>>;

pin_project! {
    /// An answer's body whose beginning may have been [looked at](super::Peek): it yields the frames of the original, and
    /// tells of them what the original would.
    pub struct PeekedBody<R>
    where
        R: Body,
    {
        #[pin]
        kind: Kind<R>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<R>
    where
        R: Body,
    {
        /// Nobody has looked.
        Through { #[pin] body: R },
        /// What was read, and after it the rest.
        Peeked { early: Early<R::Error>, body: Pin<Box<R>>, ended: bool },
    }
}

impl<R: Body> PeekedBody<R> {
    /// A body that is not looked at.
    pub const fn through(body: R) -> Self {
        Self { kind: Kind::Through { body } }
    }

    pub(super) const fn new(early: Early<R::Error>, body: Pin<Box<R>>, ended: bool) -> Self {
        Self { kind: Kind::Peeked { early, body, ended } }
    }
}

impl<R: Body> Body for PeekedBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let next = match self.project().kind.project() {
            KindProjection::Through { body } => ready!(body.poll_frame(cx)),
            KindProjection::Peeked { early, body, ended } => {
                if let Some(next) = early.pop_front() {
                    return Poll::Ready(Some(next));
                }
                // A body that said that it has ended need not say so twice.
                if *ended {
                    return Poll::Ready(None);
                }
                ready!(body.as_mut().poll_frame(cx))
            }
        };
        Poll::Ready(next.map(|next| {
            next.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Through { body } => body.is_end_stream(),
            Kind::Peeked { early, body, ended } => {
                early.is_empty() && (*ended || body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (early, body) = match &self.kind {
            Kind::Through { body } => return body.size_hint(),
            Kind::Peeked { early, ended: true, .. } => (early, SizeHint::with_exact(0)),
            Kind::Peeked { early, body, .. } => (early, body.size_hint()),
        };
        let frames = early.iter().flatten().filter_map(Frame::data_ref);
        let bytes = frames.fold(0_u64, |sum, data| sum.saturating_add(data.len() as u64));
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(bytes));
        if let Some(upper) = body.upper().and_then(|upper| upper.checked_add(bytes)) {
            hint.set_upper(upper);
        }
        hint
    }
}

impl<R: Body> fmt::Debug for PeekedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekedBody").finish_non_exhaustive()
    }
}
