//! Bodies that can be sent twice.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::guard::Guard;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

pin_project! {
    /// A request's body that remembers what was sent of it, up to a limit, so that it can be sent again.
    ///
    /// A body that is in memory is taken over as it is, without a copy of its bytes. A stream is remembered while it is
    /// sent. If it is superseded by its replay before its end, it fails with [`Superseded`]: an end would be taken for
    /// the whole by whoever receives it.
    pub struct ReplayBody<B>
    where
        B: Body,
    {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B>
    where
        B: Body,
    {
        /// All of it, in memory.
        Whole { data: Option<Bytes> },
        /// A stream, remembered as it goes.
        Stream { shared: Arc<Mutex<Stream<B>>>, copy: Copy, position: usize },
        /// A body that is not remembered.
        Through { #[pin] body: B },
    }
}

/// Which sending of a stream this is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copy {
    First,
    Replay,
}

struct Stream<B: Body> {
    body: Pin<Box<B>>,
    /// What came out of `body` so far; `None` once that was more than the limit or it failed.
    remembered: Option<Vec<Frame<Bytes>>>,
    remembered_bytes: usize,
    limit: usize,
    ended: bool,
    /// What the look into the body at its construction found, still to be sent.
    early: Option<Next<B>>,
    /// The copy that may go on reading.
    current: Copy,
    /// Whoever waits for the next frame.
    waiting: Option<Waker>,
}

type Next<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

/// The means to send a body again.
pub struct Replay<B: Body>(Means<B>);

enum Means<B: Body> {
    Whole(Option<Bytes>),
    Stream(Arc<Mutex<Stream<B>>>),
    None,
}

/// The error of a body that its replay has taken the place of.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request was refused before its body was sent, and is sent again")]
#[non_exhaustive]
pub struct Superseded;

impl<B: Body> ReplayBody<B> {
    /// Passes a body on without remembering it.
    pub const fn through(body: B) -> Self {
        Self { kind: Kind::Through { body } }
    }
}

impl<B: Body> ReplayBody<B>
where
    B::Error: Into<BoxError>,
{
    /// Makes a body that can be sent again if it has at most `limit` bytes, and the means to do so. `None` does not
    /// remember it.
    pub fn new(body: B, limit: Option<usize>) -> (Self, Replay<B>) {
        let Some(limit) = limit.filter(|limit| body.size_hint().lower() <= *limit as u64) else {
            return (Self::through(body), Replay(Means::None));
        };
        if body.is_end_stream() {
            return (Self { kind: Kind::Whole { data: None } }, Replay(Means::Whole(None)));
        }
        let length = body.size_hint().exact();
        let mut stream = Stream {
            body: Box::pin(body),
            remembered: Some(Vec::new()),
            remembered_bytes: 0,
            limit,
            ended: false,
            early: None,
            current: Copy::First,
            waiting: None,
        };
        // A body of known length that has its one frame at hand needs no wrapping: it is that frame.
        if let Some(length) = length
            && let Poll::Ready(next) =
                stream.body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
        {
            match next {
                // A frame shorter than was promised is left to fail where it is sent.
                Some(Ok(frame))
                    if frame.data_ref().is_some_and(|data| data.remaining() as u64 == length)
                        && stream.body.is_end_stream() =>
                {
                    let data =
                        frame.into_data().ok().map(|mut data| data.copy_to_bytes(data.remaining()));
                    return (
                        Self { kind: Kind::Whole { data: data.clone() } },
                        Replay(Means::Whole(data)),
                    );
                }
                next => stream.early = Some(next),
            }
        }
        let shared = Arc::new(Mutex::new(stream));
        let first = Kind::Stream { shared: Arc::clone(&shared), copy: Copy::First, position: 0 };
        (Self { kind: first }, Replay(Means::Stream(shared)))
    }
}

impl<B: Body> Replay<B> {
    /// Whether the body could be sent again now.
    pub fn is_possible(&self) -> bool {
        match &self.0 {
            Means::Whole(_) => true,
            Means::Stream(shared) => lock(shared).remembered.is_some(),
            Means::None => false,
        }
    }

    /// The body again, from its beginning, if that is possible. From here on the first copy fails, if it has not ended.
    pub fn take(self) -> Option<ReplayBody<B>> {
        match self.0 {
            Means::Whole(data) => Some(ReplayBody { kind: Kind::Whole { data } }),
            Means::Stream(shared) => {
                let waiting = {
                    let mut stream = lock(&shared);
                    stream.remembered.as_ref()?;
                    if Guard::Superseded.on() {
                        stream.current = Copy::Replay;
                    }
                    stream.waiting.take()
                };
                // The first copy has to notice that it was superseded.
                if let Some(waiting) = waiting {
                    waiting.wake();
                }
                Some(ReplayBody { kind: Kind::Stream { shared, copy: Copy::Replay, position: 0 } })
            }
            Means::None => None,
        }
    }
}

impl<B: Body> Stream<B>
where
    B::Error: Into<BoxError>,
{
    /// The next frame of the stream itself, remembered on the way.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match self.early.take() {
            Some(next) => next,
            None => match self.body.as_mut().poll_frame(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    self.waiting = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            },
        };
        match next {
            None => {
                self.ended = true;
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                let frame = frame.map_data(|mut data| data.copy_to_bytes(data.remaining()));
                self.remember(&frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                // A body that failed half way has no whole to send again.
                self.remembered = None;
                self.ended = true;
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn remember(&mut self, frame: &Frame<Bytes>) {
        if self.current == Copy::Replay {
            // It is sent twice at most. What the replay has still to read of the memory stays.
            return;
        }
        let Some(remembered) = &mut self.remembered else { return };
        let copy = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => {
                self.remembered_bytes = self.remembered_bytes.saturating_add(data.len());
                Frame::data(data.clone())
            }
            (None, Some(trailers)) => Frame::trailers(trailers.clone()),
            (None, None) => return,
        };
        if self.remembered_bytes <= self.limit {
            remembered.push(copy);
        } else if Guard::WholeBody.on() {
            self.remembered = None;
        }
    }

    fn poll_copy(
        &mut self,
        copy: Copy,
        position: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if copy != self.current && Guard::Superseded.on() {
            return Poll::Ready(Some(Err(Box::new(Superseded))));
        }
        if let Some(frame) = self.remembered.as_ref().and_then(|frames| frames.get(*position)) {
            *position += 1;
            let frame = match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => Frame::data(data.clone()),
                (None, trailers) => Frame::trailers(trailers.cloned().unwrap_or_default()),
            };
            return Poll::Ready(Some(Ok(frame)));
        }
        let next = ready!(self.poll_next(cx));
        // What was just remembered was also just sent.
        *position = self.remembered.as_ref().map_or(0, Vec::len).max(*position);
        Poll::Ready(next)
    }

    /// Bytes that are remembered and that this copy has still to send.
    fn ahead(&self, position: usize) -> u64 {
        let frames = self.remembered.as_deref().unwrap_or_default();
        let remembered: u64 = frames
            .iter()
            .skip(position)
            .filter_map(Frame::data_ref)
            .map(|data| data.len() as u64)
            .sum();
        let early = match &self.early {
            Some(Some(Ok(frame))) => frame.data_ref().map_or(0, |data| data.remaining() as u64),
            _ => 0,
        };
        remembered.saturating_add(early)
    }
}

impl<B: Body> Body for ReplayBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match self.project().kind.project() {
            KindProjection::Whole { data } => {
                Poll::Ready(data.take().map(|data| Ok(Frame::data(data))))
            }
            KindProjection::Stream { shared, copy, position } => {
                lock(shared).poll_copy(*copy, position, cx)
            }
            KindProjection::Through { body } => {
                let frame = ready!(body.poll_frame(cx));
                Poll::Ready(frame.map(|frame| match frame {
                    Ok(frame) => {
                        Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
                    }
                    Err(error) => Err(error.into()),
                }))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole { data } => data.is_none(),
            Kind::Stream { shared, copy, position } => {
                let stream = lock(shared);
                let current = *copy == stream.current;
                let nothing_ahead =
                    stream.remembered.as_ref().is_none_or(|frames| frames.len() <= *position);
                current
                    && nothing_ahead
                    && (stream.ended || (stream.early.is_none() && stream.body.is_end_stream()))
            }
            Kind::Through { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { data } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Kind::Stream { shared, position, .. } => {
                let stream = lock(shared);
                let ahead = stream.ahead(*position);
                let rest = stream.body.size_hint();
                let mut hint = SizeHint::new();
                hint.set_lower(rest.lower().saturating_add(ahead));
                if let Some(upper) = rest.upper() {
                    hint.set_upper(upper.saturating_add(ahead));
                }
                hint
            }
            Kind::Through { body } => body.size_hint(),
        }
    }
}

/// The empty body.
impl<B: Body> Default for ReplayBody<B> {
    fn default() -> Self {
        Self { kind: Kind::Whole { data: None } }
    }
}

impl<B: Body> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Whole { .. } => "whole",
            Kind::Stream { .. } => "stream",
            Kind::Through { .. } => "through",
        };
        f.debug_tuple("ReplayBody").field(&kind).finish()
    }
}

impl<B: Body> fmt::Debug for Replay<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("is_possible", &self.is_possible()).finish()
    }
}

fn lock<B: Body>(stream: &Mutex<Stream<B>>) -> MutexGuard<'_, Stream<B>> {
    // A body that panicked is polled no more by whoever saw it, and its replay fails or goes on like any body's.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(crate) mod tests;
