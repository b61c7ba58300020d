mod answers;
mod documentation;
mod exchanges;
mod loading;
mod shipped;
mod unknown_end;

use std::sync::Mutex;

use bytes::Bytes;
use http::{Request, Response};

use super::Profile;
use crate::endpoint::HttpEndpoint;
use crate::refresher::RefreshError;

/// An HTTP client that answers what it was told to, in that order, and keeps what it was asked.
#[derive(Clone, Default)]
struct Script(std::sync::Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    answers: Vec<Result<Response<Bytes>, RefreshError>>,
    asked: Vec<Request<Bytes>>,
}

impl Script {
    fn answering(answers: impl IntoIterator<Item = (u16, &'static str)>) -> Self {
        let script = Self::default();
        for (status, body) in answers {
            script.then(Ok(answer(status, &[], body)));
        }
        script
    }

    fn then(&self, answer: Result<Response<Bytes>, RefreshError>) {
        self.0.lock().unwrap().answers.insert(0, answer);
    }

    /// What was asked, as text: the line, then the headers that are not of every request, then the body.
    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.iter().map(shown).collect()
    }
}

impl HttpEndpoint for Script {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
        let mut lines = self.0.lock().unwrap();
        lines.asked.push(request);
        lines.answers.pop().expect("no more answers")
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

fn shown(request: &Request<Bytes>) -> String {
    let mut text = format!("{} {}\n", request.method(), request.uri());
    let mut headers: Vec<_> = request.headers().iter().collect();
    headers.sort_by_key(|(name, _)| name.as_str());
    for (name, value) in headers {
        let mark = if value.is_sensitive() { " (sensitive)" } else { "" };
        text += &format!("{name}: {}{mark}\n", value.to_str().unwrap());
    }
    text + "\n" + std::str::from_utf8(request.body()).unwrap()
}

/// A profile with secrets that need no environment.
fn profile(text: &str) -> Profile {
    text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
}
