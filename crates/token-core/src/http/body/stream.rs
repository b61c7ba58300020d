//! A stream that is remembered while it is sent.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, Superseded};
use crate::guard::Guard;

/// One sending of a stream.
pub(super) struct Sending {
    copy: Copy,
    /// What the replay sends before it goes on with the stream itself.
    remembered: Bytes,
    trailers: Option<HeaderMap>,
    sent: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Copy {
    First,
    Replay,
}

impl Sending {
    pub(super) const fn first() -> Self {
        Self { copy: Copy::First, remembered: Bytes::new(), trailers: None, sent: 0 }
    }
}

/// The stream and what both of its sendings know of it.
pub(super) struct Stream<B: Body> {
    body: Pin<Box<B>>,
    /// The length that the body promised, if it did. Its own hint need not count down, and the sum of two that do not
    /// agree would be a length that no sending has.
    length: Option<u64>,
    /// The bytes that came out of `body` so far, until they are more than the limit. Copied: a small piece may keep a
    /// large buffer alive.
    memory: Option<BytesMut>,
    trailers: Option<HeaderMap>,
    limit: usize,
    flow: Flow,
    /// What the look into the body at its construction found, still to be sent.
    early: Option<Next<B>>,
    /// The copy that may go on reading.
    current: Copy,
    /// Whether the first copy has to wait for what becomes of its refusal.
    held: bool,
    /// Whoever waits for the next frame.
    waiting: Option<Waker>,
}

pub(super) type Next<B> = Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    /// Seen from outside a poll: the body panicked in it, and what it had in hand is lost.
    Polled,
    Failed,
    Ended,
}

impl<B: Body> Stream<B> {
    pub(super) fn new(
        body: Pin<Box<B>>,
        length: Option<u64>,
        early: Option<Next<B>>,
        limit: usize,
    ) -> Self {
        Self {
            body,
            length,
            memory: Some(BytesMut::new()),
            trailers: None,
            limit,
            flow: Flow::Open,
            early,
            current: Copy::First,
            held: false,
            waiting: None,
        }
    }

    pub(super) fn can_be_sent_again(&self) -> bool {
        // A body that failed half way has no whole to send again.
        self.memory.is_some() && matches!(self.flow, Flow::Open | Flow::Ended)
    }

    /// Stops the first copy where it is.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Lets the replay take over, if it can. The waker, if any, is to be woken outside the lock: the first copy has to
    /// notice that it was superseded.
    pub(super) fn supersede(&mut self) -> Option<(Sending, Option<Waker>)> {
        if !self.can_be_sent_again() {
            return None;
        }
        let remembered = self.memory.take()?.freeze();
        if Guard::Superseded.on() {
            self.current = Copy::Replay;
        }
        self.held = false;
        let trailers = self.trailers.take();
        let replay = Sending { copy: Copy::Replay, remembered, trailers, sent: 0 };
        Some((replay, self.waiting.take()))
    }

    /// There will be no replay, or there is one: the first copy goes on, and a memory that nobody needs is given up. The
    /// waker, if any, is to be woken outside the lock.
    pub(super) fn release(&mut self) -> Option<Waker> {
        self.memory = None;
        self.trailers = None;
        std::mem::take(&mut self.held).then(|| self.waiting.take())?
    }

    pub(super) fn is_end(&self, sending: &Sending) -> bool {
        let at_end = match self.flow {
            Flow::Open => self.early.is_none() && self.body.is_end_stream(),
            Flow::Polled | Flow::Failed => false,
            Flow::Ended => true,
        };
        at_end
            && sending.copy == self.current
            && sending.remembered.is_empty()
            && sending.trailers.is_none()
    }

    pub(super) fn size_hint(&self, sending: &Sending) -> SizeHint {
        if let Some(length) = self.length {
            return SizeHint::with_exact(length.saturating_sub(sending.sent));
        }
        // Nothing above: a length that is known only now would have the replay framed by it, and that leaves no place for
        // trailers (RFC 9112 §7.1.2).
        let mut hint = SizeHint::new();
        let remembered = sending.remembered.len() as u64;
        hint.set_lower(self.body.size_hint().lower().saturating_add(remembered));
        hint
    }
}

impl<B: Body> Stream<B>
where
    B::Error: Into<BoxError>,
{
    /// The next frame of one of the sendings.
    pub(super) fn poll_sending(
        &mut self,
        sending: &mut Sending,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if sending.copy != self.current && Guard::Superseded.on() {
            return Poll::Ready(Some(Err(Box::new(Superseded))));
        }
        if self.held && sending.copy == Copy::First {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let next = if !sending.remembered.is_empty() {
            Some(Ok(Frame::data(std::mem::take(&mut sending.remembered))))
        } else if let Some(trailers) = sending.trailers.take() {
            Some(Ok(Frame::trailers(trailers)))
        } else {
            ready!(self.poll_next(cx))
        };
        if let Some(Ok(frame)) = &next {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            sending.sent = sending.sent.saturating_add(bytes);
        }
        Poll::Ready(next)
    }

    /// The next frame of the stream itself, remembered on the way.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.flow {
            Flow::Open => {}
            Flow::Ended => return Poll::Ready(None),
            Flow::Polled | Flow::Failed => {
                return Poll::Ready(Some(Err("the body failed before".into())));
            }
        }
        self.flow = Flow::Polled;
        let next = match self.early.take() {
            Some(next) => Poll::Ready(next),
            None => self.body.as_mut().poll_frame(cx),
        }
        .map_ok(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
        self.flow = match &next {
            Poll::Pending | Poll::Ready(Some(Ok(_))) => Flow::Open,
            Poll::Ready(Some(Err(_))) => Flow::Failed,
            Poll::Ready(None) => Flow::Ended,
        };
        match &next {
            Poll::Pending => self.waiting = Some(cx.waker().clone()),
            Poll::Ready(Some(Ok(frame))) => self.remember(frame),
            Poll::Ready(_) => {}
        }
        next.map_err(Into::into)
    }

    fn remember(&mut self, frame: &Frame<Bytes>) {
        let Some(memory) = &mut self.memory else { return };
        match frame.data_ref() {
            Some(data) if data.len() <= self.limit.saturating_sub(memory.len()) => {
                memory.extend_from_slice(data);
            }
            Some(_) if Guard::WholeBody.on() => self.memory = None,
            Some(_) => {}
            None => self.trailers = frame.trailers_ref().cloned(),
        }
    }
}
