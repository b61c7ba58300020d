//! Bodies that are not sent at once, not to their end, or are never whole in memory.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{self, Sleep};

use crate::fault::Drip;

/// The largest piece of a body that is made while it is sent.
const PIECE: usize = 64 * 1024;

const HEAD: &[u8] = br#"{"token_type":"Bearer","expires_in":3600,"access_token":""#;
const FILL: &[u8] = &[b'x'; PIECE];
const TAIL: &[u8] = br#""}"#;

/// What an answer's body is made of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    Whole(Bytes),
    /// After it the connection ends, although more was promised.
    CutOff(Bytes),
    /// JSON of so many bytes.
    Huge(u64),
}

/// A body that is sent piece by piece.
pub(crate) struct Streamed {
    rest: Rest,
    cut_off: bool,
    flushed: bool,
    drip: Option<Drip>,
    pause: Option<Pin<Box<Sleep>>>,
}

enum Rest {
    Bytes(Bytes),
    Huge { sent: u64, total: u64 },
}

impl Streamed {
    pub(crate) fn new(content: Content, drip: Option<Drip>) -> Self {
        let cut_off = matches!(content, Content::CutOff(_));
        let rest = match content {
            Content::Whole(bytes) | Content::CutOff(bytes) => Rest::Bytes(bytes),
            Content::Huge(total) => Rest::Huge { sent: 0, total },
        };
        Self { rest, cut_off, flushed: false, drip, pause: None }
    }
}

impl Rest {
    fn left(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Huge { sent, total } => total - sent,
        }
    }

    fn next(&mut self, most: usize) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.split_to(most.min(bytes.len())),
            Self::Huge { sent, total } => {
                let piece = piece(*sent, *total);
                let piece = piece.slice(..most.min(piece.len()));
                *sent += piece.len() as u64;
                piece
            }
        }
    }
}

/// What comes next in a huge body; nothing at its end.
fn piece(sent: u64, total: u64) -> Bytes {
    let (head, tail) = (HEAD.len() as u64, TAIL.len() as u64);
    let framed = total >= head + tail;
    let from = |part: &'static [u8], at: u64, end: u64| {
        let start = usize::try_from(at).unwrap_or(usize::MAX).min(part.len());
        let length = usize::try_from(end).unwrap_or(usize::MAX).min(part.len() - start);
        Bytes::from_static(&part[start..start + length])
    };
    if framed && sent < head {
        from(HEAD, sent, head)
    } else if framed && sent >= total - tail {
        from(TAIL, sent - (total - tail), tail)
    } else {
        let end = if framed { total - tail } else { total };
        from(FILL, 0, end - sent)
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.rest.left() > 0 {
            let most = self.drip.map_or(PIECE, |drip| drip.bytes.get());
            let piece = self.rest.next(most);
            self.pause = self.drip.map(|drip| Box::pin(time::sleep(drip.every)));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if !self.cut_off {
            return Poll::Ready(None);
        }
        // hyper drops what it has not written yet when a body fails. It writes when one is pending.
        if !self.flushed {
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(CutOff)))
    }

    fn is_end_stream(&self) -> bool {
        !self.cut_off && self.rest.left() == 0
    }

    /// What is cut off must not tell how much there is: its `Content-Length` says more.
    fn size_hint(&self) -> SizeHint {
        if self.cut_off { SizeHint::default() } else { SizeHint::with_exact(self.rest.left()) }
    }
}

/// Ends the connection in the middle of a body.
#[derive(Debug)]
pub(crate) struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault cuts the answer off")
    }
}

impl std::error::Error for CutOff {}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_huge_body_is_json_of_that_length() {
        for total in [0, 1, 58, 59, 60, 100, 65_535, 65_536, 65_537, 200_000] {
            let body = Streamed::new(Content::Huge(total), None);
            assert_eq!(body.size_hint().exact(), Some(total));
            let bytes = body.collect().await.unwrap().to_bytes();
            assert_eq!(bytes.len() as u64, total);
            let json = serde_json::from_slice::<serde_json::Value>(&bytes);
            assert_eq!(json.is_ok(), total >= 59, "{total}");
        }
        assert_eq!(HEAD.len() + TAIL.len(), 59);
    }

    #[tokio::test]
    async fn no_piece_is_longer_than_it_may_be() {
        let drip = Some(Drip { bytes: 7.try_into().unwrap(), every: std::time::Duration::ZERO });
        for content in [Content::Huge(100), Content::Whole(Bytes::from_static(&[0; 100]))] {
            let mut body = Streamed::new(content, drip);
            let mut pieces = Vec::new();
            while let Some(frame) = body.frame().await {
                pieces.push(frame.unwrap().into_data().unwrap().len());
            }
            assert!(pieces.len() >= 15 && pieces.iter().all(|length| *length <= 7), "{pieces:?}");
        }
    }
}
