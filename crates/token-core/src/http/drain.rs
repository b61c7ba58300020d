use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http_body::Body;
use tokio::runtime::Handle;
use tokio::time::{Sleep, sleep};

/// How many bytes of a replaced refusal are read.
const BYTES: usize = 64 * 1024;

/// How long a replay waits for them. While the token was renewed they had the time to arrive.
const TIME: Duration = Duration::from_millis(100);

/// Reads the rest of a replaced refusal, so that the replay finds its connection idle (ADR 5): at most 64 KiB, for at
/// most 100 ms. What was not read to its end costs its connection when this is dropped.
#[must_use = "futures do nothing unless polled"]
pub struct Drain<R> {
    body: Pin<Box<R>>,
    left: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<R: Body> Drain<R> {
    /// Of this answer's body.
    pub fn new(body: R) -> Self {
        Self { body: Box::pin(body), left: BYTES, deadline: None }
    }
}

impl<R: Body> Future for Drain<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.body.is_end_stream() {
            return Poll::Ready(());
        }
        while let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) {
            let Some(Ok(frame)) = frame else { return Poll::Ready(()) };
            // A frame without bytes counts as one, or endless ones would never end here.
            match self.left.checked_sub(frame.data_ref().map_or(0, Buf::remaining).max(1)) {
                Some(left) => self.left = left,
                None => return Poll::Ready(()),
            }
        }
        // The timer is tokio's; on another runtime there is no wait.
        match &mut self.deadline {
            None if Handle::try_current().is_err() => Poll::Ready(()),
            deadline => deadline.get_or_insert_with(|| Box::pin(sleep(TIME))).as_mut().poll(cx),
        }
    }
}

impl<R> fmt::Debug for Drain<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("left", &self.left).finish_non_exhaustive()
    }
}
