//! A server whose answers are scripted, streams and trailers included, and which takes note of the tokens that it is shown.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use integration_tests::BoxError;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub(crate) type Answer = Response<Body>;

/// Answers what it was told to, in that order, and then 200 with `{"err_code":"0"}`.
pub(crate) struct Api {
    pub(crate) origin: String,
    script: Script,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    answers: VecDeque<Answer>,
    seen: Vec<Seen>,
}

/// A request, its body read.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    /// Of whichever header that carries one.
    pub(crate) token: Option<String>,
    pub(crate) body: Bytes,
}

impl Api {
    pub(crate) async fn start() -> Self {
        let script = Script::default();
        let router = Router::new().fallback(serve).with_state(script.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves for ever");
        });
        Self { origin, script, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/api/thing", self.origin)
    }

    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script.0.lock().expect("no panic").answers.extend(answers);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.script.0.lock().expect("no panic").seen.clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(State(script): State<Script>, request: Request) -> Answer {
    let (head, body) = request.into_parts();
    let token = ["x-auth-token", "authorization"].iter().find_map(|name| head.headers.get(*name));
    let token = token.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut lines = script.0.lock().expect("no panic");
    lines.seen.push(Seen { path: head.uri.path().to_owned(), token, body });
    lines.answers.pop_front().unwrap_or_else(|| json(r#"{"err_code":"0"}"#))
}

/// 200 and this JSON.
pub(crate) fn json(text: &str) -> Answer {
    of_kind("application/json", Body::from(text.to_owned()))
}

pub(crate) fn of_kind(kind: &str, body: Body) -> Answer {
    Response::builder().header("content-type", kind).body(body).expect("an answer")
}

/// 200 and JSON in these frames.
pub(crate) fn frames(steps: impl IntoIterator<Item = Step>) -> Answer {
    let steps = Steps(steps.into_iter().collect());
    let mut answer = of_kind("application/json", Body::new(steps));
    // Without it hyper sends no trailers over HTTP/1.1.
    answer.headers_mut().insert("trailer", "checksum".parse().expect("a value"));
    answer
}

/// JSON of 200 KB that never ends. h2 takes more of it, or smaller frames, for an attack.
pub(crate) fn endless() -> Answer {
    let more = std::iter::repeat_with(|| Step::data(",1".repeat(2_000))).take(50);
    frames(std::iter::once(Step::data("[0")).chain(more).chain([Step::Silence]))
}

/// What a streamed body does next.
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// What is there goes out.
    Flush,
    /// Nothing more comes, for ever.
    Silence,
    BreakOff,
}

impl Step {
    pub(crate) fn data(text: impl Into<Bytes>) -> Self {
        Self::Data(text.into())
    }
}

struct Steps(VecDeque<Step>);

impl http_body::Body for Steps {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.0.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::BreakOff) => Poll::Ready(Some(Err("the server broke off".into()))),
            // hyper writes when a body is pending.
            Some(Step::Flush) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Silence) => {
                self.0.push_front(Step::Silence);
                Poll::Pending
            }
        }
    }
}
