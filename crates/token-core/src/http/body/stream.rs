//! A stream that is remembered while it is sent.

use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use super::{BoxError, Superseded};
use crate::guard::Guard;

/// Which sending of a stream this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    First,
    Replay,
}

/// How far a copy has come.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    copy: Copy,
    frames: usize,
    bytes: u64,
}

impl Progress {
    pub(super) const fn of(copy: Copy) -> Self {
        Self { copy, frames: 0, bytes: 0 }
    }
}

/// The stream and what both of its copies know of it.
pub(super) struct Stream<B: Body> {
    body: Pin<Box<B>>,
    /// The length that the body promised, if it did. Its own hint need not count down, and the sum of two that do not
    /// agree would be a length that no copy has.
    length: Option<u64>,
    /// What came out of `body` so far; `None` once that was more than the limit or it failed.
    remembered: Option<Vec<Frame<Bytes>>>,
    remembered_bytes: usize,
    limit: usize,
    ended: bool,
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
            remembered: Some(Vec::new()),
            remembered_bytes: 0,
            limit,
            ended: false,
            early,
            current: Copy::First,
            held: false,
            waiting: None,
        }
    }

    pub(super) fn can_be_sent_again(&self) -> bool {
        self.remembered.is_some()
    }

    /// Stops the first copy where it is.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Lets the replay take over, if it can. The waker, if any, is to be woken outside the lock: the first copy has to
    /// notice that it was superseded.
    pub(super) fn supersede(&mut self) -> Option<Option<Waker>> {
        self.remembered.as_ref()?;
        if Guard::Superseded.on() {
            self.current = Copy::Replay;
        }
        self.held = false;
        Some(self.waiting.take())
    }

    /// There will be no replay, or there is one: the first copy goes on, and a memory that nobody needs is given up. The
    /// waker, if any, is to be woken outside the lock.
    pub(super) fn release(&mut self) -> Option<Waker> {
        if self.current == Copy::First {
            self.remembered = None;
        }
        std::mem::take(&mut self.held).then(|| self.waiting.take())?
    }

    pub(super) fn is_end(&self, progress: Progress) -> bool {
        let nothing_ahead =
            self.remembered.as_ref().is_none_or(|frames| frames.len() <= progress.frames);
        progress.copy == self.current
            && nothing_ahead
            && (self.ended || (self.early.is_none() && self.body.is_end_stream()))
    }

    pub(super) fn size_hint(&self, progress: Progress) -> SizeHint {
        if let Some(length) = self.length {
            return SizeHint::with_exact(length.saturating_sub(progress.bytes));
        }
        let ahead = self.ahead(progress.frames);
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(ahead));
        }
        hint
    }

    /// Bytes that are remembered and that a copy which has sent so many frames has still to send.
    fn ahead(&self, frames: usize) -> u64 {
        let remembered: u64 = self
            .remembered
            .iter()
            .flatten()
            .skip(frames)
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

impl<B: Body> Stream<B>
where
    B::Error: Into<BoxError>,
{
    /// The next frame for one of the copies.
    pub(super) fn poll_copy(
        &mut self,
        progress: &mut Progress,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if progress.copy != self.current && Guard::Superseded.on() {
            return Poll::Ready(Some(Err(Box::new(Superseded))));
        }
        if self.held && progress.copy == Copy::First {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let next = match self.remembered.as_ref().and_then(|frames| frames.get(progress.frames)) {
            Some(frame) => {
                progress.frames += 1;
                Some(Ok(copy_of(frame)))
            }
            None => {
                let next = ready!(self.poll_next(cx));
                // What was just remembered was also just sent.
                let remembered = self.remembered.as_ref().map_or(0, Vec::len);
                progress.frames = remembered.max(progress.frames);
                next
            }
        };
        if let Some(Ok(frame)) = &next {
            let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
            progress.bytes = progress.bytes.saturating_add(bytes);
        }
        Poll::Ready(next)
    }

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
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.remembered_bytes = self.remembered_bytes.saturating_add(bytes);
        if self.remembered_bytes <= self.limit {
            remembered.push(copy_of(frame));
        } else if Guard::WholeBody.on() {
            self.remembered = None;
        }
    }
}

fn copy_of(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match frame.data_ref() {
        Some(data) => Frame::data(data.clone()),
        // A frame is data or trailers.
        None => Frame::trailers(frame.trailers_ref().cloned().unwrap_or_default()),
    }
}
