//! What callers do, and what becomes of it.

use std::ops::AddAssign;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::Body;
use reqwest_middleware::ClientWithMiddleware;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// A caller that has no answer by then gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the callers saw.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Calls {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// Why the first of them did.
    pub(crate) failure: Option<String>,
}

/// One call after which nothing is left on the wire.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) enum Call {
    /// A `GET`, which is to be answered with a 200.
    Get,
    /// A `POST` of a stream, whose length nobody knows before its end.
    Stream,
    /// A `GET` of something that is not ours to read: its 401 is the right answer.
    Foreign,
}

impl Calls {
    /// So many at once.
    pub(crate) async fn at_once(
        client: &ClientWithMiddleware,
        url: &str,
        call: Call,
        count: usize,
    ) -> Self {
        let mut callers = JoinSet::new();
        for _ in 0..count {
            let (client, url) = (client.clone(), url.to_owned());
            callers.spawn(async move { call.make(&client, &url).await });
        }
        callers.join_all().await.into_iter().collect()
    }

    /// One after the other, so many.
    pub(crate) async fn in_turn(
        client: &ClientWithMiddleware,
        url: &str,
        call: Call,
        count: usize,
    ) -> Self {
        let mut calls = Self::default();
        for _ in 0..count {
            calls += call.make(client, url).await.into();
        }
        calls
    }

    /// A new one every so often, for so long; waits for the last.
    pub(crate) async fn every(
        client: &ClientWithMiddleware,
        url: &str,
        pause: Duration,
        time: Duration,
    ) -> Self {
        let (end, mut begin) = (Instant::now() + time, interval(pause));
        let mut callers = JoinSet::new();
        while Instant::now() < end {
            begin.tick().await;
            let (client, url) = (client.clone(), url.to_owned());
            callers.spawn(async move { Call::Get.make(&client, &url).await });
        }
        callers.join_all().await.into_iter().collect()
    }

    pub(crate) const fn all_succeeded(&self) -> bool {
        self.failed == 0
    }
}

impl Call {
    async fn make(self, client: &ClientWithMiddleware, url: &str) -> Result<(), String> {
        let request = match self {
            Self::Get | Self::Foreign => client.get(url),
            Self::Stream => client.post(url).body(stream_of(&["in ", "two pieces"])),
        };
        let answered = timeout(PATIENCE, async {
            let answer = request.send().await.map_err(|error| chain(&error))?;
            let status = answer.status();
            answer.bytes().await.map_err(|error| chain(&error))?;
            Ok::<_, String>(status)
        });
        let status = answered.await.map_err(|_| "gave up".to_owned())??;
        let expected = match self {
            Self::Get | Self::Stream => StatusCode::OK,
            Self::Foreign => StatusCode::UNAUTHORIZED,
        };
        if status == expected { Ok(()) } else { Err(format!("the API answered {status}")) }
    }
}

fn stream_of(pieces: &'static [&'static str]) -> Body {
    let frames = pieces.iter().map(|piece| {
        Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(piece.as_bytes())))
    });
    Body::wrap(StreamBody::new(stream::iter(frames)))
}

fn chain(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl From<Result<(), String>> for Calls {
    fn from(call: Result<(), String>) -> Self {
        Self { requests: 1, failed: u64::from(call.is_err()), failure: call.err() }
    }
}

impl FromIterator<Result<(), String>> for Calls {
    fn from_iter<I: IntoIterator<Item = Result<(), String>>>(calls: I) -> Self {
        let mut all = Self::default();
        for call in calls {
            all += call.into();
        }
        all
    }
}

impl AddAssign for Calls {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
    }
}
