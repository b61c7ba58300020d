//! The columns: what the caller sends.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use integration_tests::BoxError;

use crate::adapter::Payload;

pub(crate) const LIMIT: usize = 64 * 1024;

/// A stream's pieces. Two are more than the limit.
const PIECE: usize = 40 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    OneByte,
    AtLimit,
    OneOver,
    Stream,
    StreamOneOver,
    Endless,
    Failing,
    Trailers,
    Expect,
}

impl Body {
    pub(crate) const ALL: [Self; 10] = [
        Self::None,
        Self::OneByte,
        Self::AtLimit,
        Self::OneOver,
        Self::Stream,
        Self::StreamOneOver,
        Self::Endless,
        Self::Failing,
        Self::Trailers,
        Self::Expect,
    ];

    pub(crate) fn named(name: &str) -> Self {
        *Self::ALL.iter().find(|body| body.name() == name).unwrap_or_else(|| panic!("{name}?"))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "no body",
            Self::OneByte => "1 byte",
            Self::AtLimit => "at the limit",
            Self::OneOver => "1 over",
            Self::Stream => "stream",
            Self::StreamOneOver => "stream, 1 over",
            Self::Endless => "endless stream",
            Self::Failing => "stream that fails",
            Self::Trailers => "trailers",
            Self::Expect => "`Expect`",
        }
    }

    pub(crate) fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            // Without it hyper sends no trailers over HTTP/1.1.
            Self::Trailers => {
                headers.insert("trailer", HeaderValue::from_static("checksum"));
            }
            Self::Expect => {
                headers.insert("expect", HeaderValue::from_static("100-continue"));
            }
            _ => {}
        }
        headers
    }

    pub(crate) fn trailers(self) -> Option<HeaderMap> {
        (self == Self::Trailers).then(|| {
            let mut trailers = HeaderMap::new();
            trailers.insert("checksum", HeaderValue::from_static("42"));
            trailers
        })
    }

    /// Every byte that a whole copy of it has.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let length = match self {
            Self::None => 0,
            Self::OneByte => 1,
            Self::AtLimit => LIMIT,
            Self::OneOver | Self::StreamOneOver => LIMIT + 1,
            Self::Stream | Self::Trailers | Self::Failing => LIMIT - 1,
            Self::Endless => 4 * PIECE,
            Self::Expect => 1000,
        };
        (0..length).map(|at| (at / 251 + at) as u8).collect()
    }

    /// The body, and the other end of it if it is a stream.
    pub(crate) fn open(self) -> (Payload, Option<Feed>) {
        match self {
            Self::None | Self::OneByte | Self::AtLimit | Self::OneOver | Self::Expect => {
                (Payload::Whole(self.bytes().into()), None)
            }
            _ => {
                let (sender, body) = Channel::<Bytes, BoxError>::new(1);
                (Payload::Stream(body.boxed()), Some(Feed { body: self, sender, sent: 0 }))
            }
        }
    }
}

/// The other end of a stream.
pub(crate) struct Feed {
    body: Body,
    sender: Sender<Bytes, BoxError>,
    sent: usize,
}

impl Feed {
    /// Sends one piece, if there is another. False once nobody reads.
    pub(crate) async fn piece(&mut self) -> bool {
        let bytes = self.body.bytes();
        let piece = &bytes[self.sent..bytes.len().min(self.sent + PIECE)];
        self.sent += piece.len();
        piece.is_empty() || self.sender.send_data(Bytes::copy_from_slice(piece)).await.is_ok()
    }

    /// Sends the rest, and ends as this body does.
    pub(crate) async fn finish(mut self) {
        while self.sent < self.body.bytes().len() {
            if !self.piece().await {
                return;
            }
            if self.body == Body::Failing {
                return self.sender.abort("the file on disk went away".into());
            }
        }
        if let Some(trailers) = self.body.trailers() {
            // The error says that nobody reads.
            _ = self.sender.send_trailers(trailers).await;
        }
    }
}
