//! Bodies that can be sent twice.

mod stream;

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use self::stream::{Sending, Stream};

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
        Whole { data: Option<Bytes>, sent: bool },
        /// A stream, remembered as it goes.
        Stream { shared: Arc<Mutex<Stream<B>>>, sending: Sending },
        /// A body that is not remembered.
        Through { #[pin] body: B },
    }
}

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

    /// The same body once more, for a retry between the layer and the client: `None` unless it is in memory and nothing
    /// of it was sent.
    ///
    /// It is no `Clone`, for a stream has none: a `tower::retry::Policy` below the layer rebuilds the request from its
    /// head and this, and retries only if it is there.
    ///
    /// # Example
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use token_core::http::ReplayBody;
    ///
    /// let (body, _replay) = ReplayBody::new(Full::new(Bytes::from_static(b"order")), Some(1024));
    /// assert!(body.try_clone().is_some());
    /// ```
    pub fn try_clone(&self) -> Option<Self> {
        match &self.kind {
            Kind::Whole { data, sent: false } => Some(Self::whole(data.clone())),
            _ => None,
        }
    }

    /// The body without this wrapper where it needs none, for a client whose own body type loses something by it: one in
    /// memory is made by `in_memory`, one that is not remembered is as it was given, and a stream is made by `stream`.
    pub fn into_client_body(
        self,
        in_memory: impl FnOnce(Bytes) -> B,
        stream: impl FnOnce(Self) -> B,
    ) -> B {
        match self.kind {
            Kind::Whole { data, sent: false } => in_memory(data.unwrap_or_default()),
            Kind::Through { body } => body,
            kind => stream(Self { kind }),
        }
    }

    const fn whole(data: Option<Bytes>) -> Self {
        Self { kind: Kind::Whole { data, sent: false } }
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
            return (Self::whole(None), Replay(Means::Whole(None)));
        }
        let length = body.size_hint().exact();
        let mut body = Box::pin(body);
        let mut early = None;
        // A body of known length that has its one frame at hand needs no wrapping: it is that frame.
        if let Some(length) = length
            && let Poll::Ready(next) =
                body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
        {
            match next {
                // A frame shorter than was promised is left to fail where it is sent.
                Some(Ok(frame))
                    if frame.data_ref().is_some_and(|data| data.remaining() as u64 == length)
                        && body.is_end_stream() =>
                {
                    let data =
                        frame.into_data().ok().map(|mut data| data.copy_to_bytes(data.remaining()));
                    return (Self::whole(data.clone()), Replay(Means::Whole(data)));
                }
                next => early = Some(next),
            }
        }
        let shared = Arc::new(Mutex::new(Stream::new(body, length, early, limit)));
        let first = Kind::Stream { shared: Arc::clone(&shared), sending: Sending::first() };
        (Self { kind: first }, Replay(Means::Stream(shared)))
    }
}

impl<B: Body> Replay<B> {
    /// Whether the body could be sent again now.
    pub fn is_possible(&self) -> bool {
        match &self.0 {
            Means::Whole(_) => true,
            Means::Stream(shared) => lock(shared).can_be_sent_again(),
            Means::None => false,
        }
    }

    /// Stops the first copy of a stream where it is: its request was refused, and what goes out now could be missed by
    /// the replay. It goes on when this `Replay` is dropped.
    pub fn hold(&self) {
        if let Means::Stream(shared) = &self.0 {
            lock(shared).hold();
        }
    }

    /// The body again, from its beginning, if that is possible. From here on the first copy fails, if it has not ended.
    pub fn take(mut self) -> Option<ReplayBody<B>> {
        match &mut self.0 {
            Means::Whole(data) => Some(ReplayBody::whole(data.take())),
            Means::Stream(shared) => {
                let (sending, waiting) = lock(shared).supersede()?;
                waiting.into_iter().for_each(Waker::wake);
                Some(ReplayBody { kind: Kind::Stream { shared: Arc::clone(shared), sending } })
            }
            Means::None => None,
        }
    }
}

impl<B: Body> Drop for Replay<B> {
    fn drop(&mut self) {
        if let Means::Stream(shared) = &self.0 {
            let waiting = lock(shared).release();
            waiting.into_iter().for_each(Waker::wake);
        }
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
            KindProjection::Whole { data, sent } => {
                *sent = true;
                Poll::Ready(data.take().map(|data| Ok(Frame::data(data))))
            }
            KindProjection::Stream { shared, sending } => lock(shared).poll_sending(sending, cx),
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
            Kind::Whole { data, .. } => data.is_none(),
            Kind::Stream { shared, sending } => lock(shared).is_end(sending),
            Kind::Through { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole { data, .. } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Kind::Stream { shared, sending } => lock(shared).size_hint(sending),
            Kind::Through { body } => body.size_hint(),
        }
    }
}

/// The empty body.
impl<B: Body> Default for ReplayBody<B> {
    fn default() -> Self {
        Self::whole(None)
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
    // Poisoned by a body that panicked; the stream knows, and is sent no more.
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod model;
#[cfg(test)]
pub(crate) mod tests;
