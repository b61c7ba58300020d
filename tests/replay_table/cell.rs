//! One cell: sends one request, and holds what everybody saw against what the table says.

use std::fmt::Write;

use bytes::Bytes;
use http::{Request, Version};
use integration_tests::{BoxError, Kit, until};
use sha2::{Digest, Sha256};
use token_core::Token;
use token_testkit::{ApiRequest, AuthorizationServer, BodyEnd, Fingerprint};

use crate::adapter::{Adapter, Answered, Api, Payload};
use crate::answer::Answer;
use crate::body::{Body, LIMIT};

/// What the table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Returned,
    Replayed,
    RefusedTwice,
    Renewed,
    Error,
}

impl Outcome {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "returned" => Self::Returned,
            "replayed" => Self::Replayed,
            "refused twice" => Self::RefusedTwice,
            "renewed" => Self::Renewed,
            "error" => Self::Error,
            other => panic!("{other}?"),
        }
    }

    fn renewals(self) -> u64 {
        match self {
            Self::Replayed | Self::RefusedTwice | Self::Renewed => 1,
            Self::Returned | Self::Error => 0,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) answer: Answer,
    pub(crate) body: Body,
    pub(crate) outcome: Outcome,
    pub(crate) version: Version,
    pub(crate) adapter: Adapter,
}

impl Cell {
    /// The error says what is not as the table has it.
    pub(crate) async fn run(self) -> Result<(), String> {
        let (answer, body) = (self.answer.name(), self.body.name());
        let name = format!("{:?}, {:?}, {answer}, {body}", self.adapter, self.version);
        let (kit, elsewhere) = (Kit::start(), AuthorizationServer::start().expect("a server"));
        let tokens = kit.manager().build().expect("a manager");
        let first = tokens.token().await.expect("a token");
        kit.server.record_api();
        self.script(&kit, &elsewhere);
        let answer = self.exchange(&kit, &self.adapter.api(&kit, &tokens, self.version)).await;
        let renewals = self.renewals();
        let mut findings = String::new();
        self.check_answer(&answer, &mut findings);
        drop(answer);
        until(|| kit.server.api_history().iter().all(|seen| seen.body_end != BodyEnd::Open)).await;
        self.check_history(&kit.server.api_history(), &first, &mut findings);
        let mut expect = |what: &str, seen: u64, expected: u64| {
            if seen != expected {
                write!(findings, " {what}: {seen}, not {expected};").expect("a string");
            }
        };
        expect("token requests", kit.token_requests(), 1 + renewals);
        expect("connections elsewhere", elsewhere.counters().connections, 0);

        // Whatever happened, the next request is as good as any. (The server has closed the connection of a body that
        // broke off.)
        let api = self.adapter.api(&kit, &tokens, self.version);
        kit.server.api_always(None);
        let next = Request::get(kit.server.api_url()).body(Payload::Whole(Bytes::new()));
        let next = api.send(next.expect("a request")).await.map(|answer| answer.status().as_u16());
        expect("the next request", u64::from(next.unwrap_or_default()), 200);
        expect("reuse", kit.server.counters().reuse_detected, 0);
        if findings.is_empty() { Ok(()) } else { Err(format!("{name}:{findings}")) }
    }

    fn script(self, kit: &Kit, elsewhere: &AuthorizationServer) {
        let fault = self.answer.fault(&elsewhere.api_url());
        let fault = match (self.answer, self.body) {
            (Answer::Early, _) => fault.after_bytes(0),
            (Answer::Closed, Body::None) => fault,
            (Answer::Closed, _) => fault.after_bytes(1),
            (_, Body::Endless) => fault.after_bytes(LIMIT as u64 + 1),
            _ => fault,
        };
        if self.answer == Answer::Twice {
            kit.server.api_always(Some(fault));
        } else {
            kit.server.api_script([fault]);
        }
    }

    /// Sends the request. A stream that is refused early has sent one piece then, and sends the rest to the replay.
    async fn exchange(self, kit: &Kit, api: &Api) -> Result<Answered, BoxError> {
        let (body, feed) = self.body.open();
        let mut request = Request::post(kit.server.api_url()).body(body).expect("a request");
        *request.version_mut() = self.version;
        *request.headers_mut() = self.body.headers();
        request.headers_mut().insert("x-order", "7".parse().expect("a value"));
        if self.answer == Answer::OwnAuthorization {
            request.headers_mut().insert("authorization", "Bearer own".parse().expect("a value"));
        }
        let answer = tokio::spawn(api.send(request));
        if let Some(mut feed) = feed {
            if self.answer.is_early() {
                feed.piece().await;
                until(|| kit.server.counters().api_requests == 2).await;
            } else if self.body == Body::Failing {
                until(|| kit.server.counters().api_requests == 1).await;
            }
            feed.finish().await;
        }
        answer.await.expect("no panic")
    }

    fn check_answer(self, answer: &Result<Answered, BoxError>, findings: &mut String) {
        let expected = match self.outcome {
            Outcome::Returned | Outcome::RefusedTwice | Outcome::Renewed => {
                Some(self.answer.status())
            }
            Outcome::Replayed => Some(200),
            Outcome::Error => None,
        };
        let seen = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        if seen != expected {
            write!(findings, " the caller gets {answer:?}, not {expected:?};").expect("a string");
        }
        // As the server sent it.
        let challenged = answer.as_ref().is_ok_and(|answer| {
            answer.headers().contains_key("www-authenticate")
                || answer.headers().contains_key("location")
                || answer.headers().contains_key("grpc-status")
        });
        let plain =
            matches!(self.answer, Answer::Ok | Answer::Bare | Answer::Proxy | Answer::Forbidden);
        if expected.is_some() && challenged == (plain || self.outcome == Outcome::Replayed) {
            write!(findings, " the caller gets the headers {answer:?};").expect("a string");
        }
    }

    /// No shortened body, no third request, nothing changed but the token.
    fn check_history(self, seen: &[ApiRequest], token: &Token, findings: &mut String) {
        let requests = match self.outcome {
            Outcome::Replayed | Outcome::RefusedTwice => 2,
            // The one error under a replay: the stream fails.
            Outcome::Error if self.answer.is_early() => 2,
            _ => 1,
        };
        if seen.len() != requests {
            write!(findings, " {} requests, not {requests};", seen.len()).expect("a string");
        }
        let bytes = self.body.bytes();
        let hash: String =
            Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        for (number, request) in seen.iter().enumerate() {
            let whole = request.body_bytes == bytes.len() as u64
                && request.body_sha256.as_ref() == Some(&hash)
                && request.trailers == self.body.trailers();
            let last = number + 1 == requests;
            let complete = request.body_end == BodyEnd::Complete;
            if complete && !whole {
                write!(findings, " request {number} is shortened: {request:?};").expect("a string");
            }
            if last && !complete && self.outcome != Outcome::Error {
                write!(findings, " request {number} is not whole: {request:?};").expect("a string");
            }
            if !last && complete && self.is_superseded() {
                write!(findings, " the superseded copy ends well: {request:?};").expect("a string");
            }
            if request.version != self.version || request.method != "POST" {
                write!(findings, " request {number} is {request:?};").expect("a string");
            }
        }
        let old = format!("Bearer {}", Fingerprint::of(token.expose_secret()));
        let own = format!("Bearer {}", Fingerprint::of("own"));
        let is_own = self.answer == Answer::OwnAuthorization;
        let authorization = |request: &ApiRequest| request.headers["authorization"].clone();
        if seen
            .first()
            .is_some_and(|first| authorization(first) != if is_own { &*own } else { &*old })
        {
            write!(findings, " the first token: {seen:?};").expect("a string");
        }
        if let [first, second] = seen {
            let (mut before, mut after) = (first.headers.clone(), second.headers.clone());
            if before.remove("authorization") == after.remove("authorization")
                || before != after
                || first.path != second.path
            {
                write!(findings, " the replay differs: {seen:?};").expect("a string");
            }
        }
    }

    /// Whether the first copy was still under way when the replay began.
    fn is_superseded(self) -> bool {
        let stream = matches!(
            self.body,
            Body::Stream | Body::StreamOneOver | Body::Endless | Body::Failing | Body::Trailers
        );
        self.answer.is_early() && stream
    }

    fn renewals(self) -> u64 {
        self.outcome.renewals()
            + u64::from(self.outcome == Outcome::Error && self.answer.is_early())
    }
}
