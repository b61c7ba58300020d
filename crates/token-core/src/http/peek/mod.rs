//! The beginning of an answer's body, looked at before the caller has the answer.

mod body;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::{Response, response};
use http_body::{Body, Frame};

pub use self::body::PeekedBody;
use super::challenge::Verdict;

type Judge = Box<dyn FnMut(&response::Parts, &[u8]) -> Option<Verdict> + Send + Sync>;

/// Looks at the beginning of an answer's body until it can be judged, and gives the answer back whole, with the verdict.
///
/// It ends as soon as the judge has a verdict; without one the verdict is [`Accepted`](Verdict::Accepted), at the limit, at
/// the body's end, and where the body fails. It has no time limit: a body that stays silent holds the answer up.
///
/// # Example
///
/// ```
/// use http::Response;
/// use http_body_util::{BodyExt, Full};
/// use token_core::http::{Peek, Verdict};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let answer = Response::new(Full::from("expired, log in"));
/// let (verdict, answer) = Peek::new(answer, 7, |_, prefix| {
///     (prefix == b"expired").then_some(Verdict::Refused)
/// })
/// .await;
/// assert_eq!(verdict, Verdict::Refused);
/// assert_eq!(answer.into_body().collect().await?.to_bytes(), "expired, log in");
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Peek<R: Body> {
    /// There until the answer was given back.
    looking: Option<Looking<R>>,
}

struct Looking<R: Body> {
    head: response::Parts,
    body: Pin<Box<R>>,
    /// What was read of it.
    early: VecDeque<Result<Frame<Bytes>, R::Error>>,
    ended: bool,
    prefix: Vec<u8>,
    limit: usize,
    /// How many frames may yet be read. One without bytes counts too, or endless ones would never end here.
    frames_left: usize,
    judge: Judge,
}

impl<R: Body> Peek<R> {
    /// Looks at no more than `limit` bytes of this answer's body. `judge` is shown the head and what has been read so far;
    /// `None` asks for more.
    pub fn new(
        answer: Response<R>,
        limit: usize,
        judge: impl FnMut(&response::Parts, &[u8]) -> Option<Verdict> + Send + Sync + 'static,
    ) -> Self {
        let (head, body) = answer.into_parts();
        let looking = Looking {
            head,
            body: Box::pin(body),
            early: VecDeque::new(),
            ended: false,
            prefix: Vec::new(),
            limit,
            frames_left: limit,
            judge: Box::new(judge),
        };
        Self { looking: Some(looking) }
    }
}

/// The body is in a box, and nothing else is ever pinned.
impl<R: Body> Unpin for Peek<R> {}

impl<R: Body> Future for Peek<R> {
    type Output = (Verdict, Response<PeekedBody<R>>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(looking) = &mut self.looking else { return Poll::Pending };
        let before = looking.prefix.len();
        let comes_more = looking.read(cx).is_pending();
        // What is at hand is judged at once: a body of single bytes is not judged for each of them.
        let verdict = if looking.prefix.len() > before || !comes_more {
            (looking.judge)(&looking.head, &looking.prefix)
        } else {
            None
        };
        if verdict.is_none() && comes_more {
            return Poll::Pending;
        }
        let Some(Looking { head, body, early, ended, .. }) = self.looking.take() else {
            return Poll::Pending;
        };
        let body = PeekedBody::new(early, body, ended);
        Poll::Ready((verdict.unwrap_or(Verdict::Accepted), Response::from_parts(head, body)))
    }
}

impl<R: Body> Looking<R> {
    /// Reads what is there. Ready: no more of this body will be looked at.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.prefix.len() < self.limit && self.frames_left > 0 {
            if self.body.is_end_stream() {
                self.ended = true;
                return Poll::Ready(());
            }
            let Poll::Ready(next) = self.body.as_mut().poll_frame(cx) else { return Poll::Pending };
            let Some(next) = next else {
                self.ended = true;
                return Poll::Ready(());
            };
            // Data that is `Bytes` already, as that of every usual client, is not copied by this.
            let next =
                next.map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
            let failed = next.is_err();
            if let Ok(Some(data)) = next.as_ref().map(Frame::data_ref) {
                let wanted = data.len().min(self.limit - self.prefix.len());
                self.prefix.extend_from_slice(&data[..wanted]);
            }
            self.early.push_back(next);
            self.frames_left -= 1;
            if failed {
                return Poll::Ready(());
            }
        }
        Poll::Ready(())
    }
}

impl<R: Body> fmt::Debug for Peek<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peek").finish_non_exhaustive()
    }
}
