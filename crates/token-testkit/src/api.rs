//! Everything under `/api`: answers who has a valid access token, and refuses who has not, as the dialect does.

use std::sync::Arc;

use http::{Request, StatusCode, request};
use hyper::body::Incoming;
use serde::Serialize;

use crate::{
    Fingerprint,
    api_fault::{Action, When},
    api_history::BodyEnd,
    body::Reader,
    response::{Reply, Whole},
    shared::Shared,
};

/// Here a 401 is answered before the body has been read.
const EARLY: &str = "/api/early";
/// Here a valid token is not enough.
const FORBIDDEN: &str = "/api/forbidden";

pub(crate) async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let (delay, fault, place) = {
        let mut state = shared.state();
        state.counters.api_requests += 1;
        let place = state.api_history.arrived(&head, &shared.wire.token_header());
        (state.api_delay, state.api_script.next(|| None), place)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let received = Received { shared, place, reader: Reader::new(body) };
    match fault.action {
        Action::Process => received.process(&head).await,
        action => received.fail(action, fault.when).await,
    }
}

/// A request whose head was read.
struct Received {
    shared: Arc<Shared>,
    place: Option<usize>,
    reader: Reader,
}

impl Received {
    /// The server's own rules.
    async fn process(mut self, head: &request::Parts) -> Reply {
        let token = authorize(&self.shared, head);
        // A body left unread costs an HTTP/1 connection its life.
        if head.uri.path() == EARLY
            && let Err(refusal) = token
        {
            return self.refuse(refusal, BodyEnd::Open);
        }
        if self.reader.all().await.is_err() {
            return self.end(None, BodyEnd::BrokenOff);
        }
        match token {
            Ok(token) => self.accept(head, token),
            Err(refusal) => self.refuse(refusal, BodyEnd::Complete),
        }
    }

    /// What the script wants.
    async fn fail(mut self, action: Action, when: When) -> Reply {
        let read = match when {
            When::AfterBody => self.reader.all().await.map(|()| BodyEnd::Complete),
            When::AfterBytes(bytes) => self.reader.up_to(bytes).await.map(|()| BodyEnd::Open),
            When::AtOnce => Ok(BodyEnd::Open),
        };
        let (response, refused) = match action {
            Action::Answer(answer) => (answer.response(), false),
            Action::Refused => (self.shared.wire.api_refused(Refusal::InvalidToken), true),
            Action::Close | Action::Process => return self.end(None, BodyEnd::BrokenOff),
        };
        let Ok(end) = read else {
            return self.end(None, BodyEnd::BrokenOff);
        };
        let status = response.status();
        if refused || status == StatusCode::UNAUTHORIZED {
            self.shared.state().counters.api_unauthorized += 1;
        }
        if let When::AfterBytes(_) = when {
            self.shared.state().api_history.answered(self.place, status.as_u16());
            tokio::spawn(async move {
                let end = match self.reader.all().await {
                    Ok(()) => BodyEnd::Complete,
                    Err(_) => BodyEnd::BrokenOff,
                };
                self.shared.state().api_history.body_ended(self.place, self.reader.digest(), end);
            });
            return response.into();
        }
        self.end(Some(response), end)
    }

    fn accept(self, head: &request::Parts, token: Fingerprint) -> Reply {
        let Self { shared, place, reader } = self;
        let body = reader.digest();
        let echo = Echo {
            method: head.method.as_str(),
            path: head.uri.path(),
            query: head.uri.query(),
            body_bytes: body.bytes,
            body_sha256: &body.sha256,
            token: token.to_string(),
        };
        let response = shared.wire.api_accepted(&echo);
        let mut state = shared.state();
        state.counters.api_ok += 1;
        state.api_history.answered(place, response.status().as_u16());
        state.api_history.body_ended(place, body, BodyEnd::Complete);
        response.into()
    }

    fn refuse(self, refusal: Refusal, end: BodyEnd) -> Reply {
        let response = self.shared.wire.api_refused(refusal);
        self.end(Some(response), end)
    }

    /// Takes note, then answers or closes the connection.
    fn end(self, response: Option<Whole>, end: BodyEnd) -> Reply {
        let mut state = self.shared.state();
        if let Some(response) = &response {
            state.api_history.answered(self.place, response.status().as_u16());
        }
        state.api_history.body_ended(self.place, self.reader.digest(), end);
        response.map_or(Reply::Close, Reply::Answer)
    }
}

/// What was received, for its sender to see.
#[derive(Serialize)]
pub(crate) struct Echo<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    query: Option<&'a str>,
    body_bytes: u64,
    body_sha256: &'a str,
    token: String,
}

/// Why a request is refused (RFC 6750 §3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    NoToken,
    InvalidRequest,
    InvalidToken,
    InsufficientScope,
}

impl Refusal {
    /// That of RFC 6750; a dialect may have another.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
        }
    }
}

fn authorize(shared: &Shared, head: &request::Parts) -> Result<Fingerprint, Refusal> {
    let credential = shared.wire.credential(&head.headers);
    let now = shared.now();
    let mut state = shared.state();
    let verdict = credential.and_then(|token| {
        let token = state.tokens.check_access(token, now).ok_or(Refusal::InvalidToken)?;
        if head.uri.path() == FORBIDDEN { Err(Refusal::InsufficientScope) } else { Ok(token) }
    });
    if let Err(Refusal::NoToken | Refusal::InvalidToken) = verdict {
        state.counters.api_unauthorized += 1;
    }
    verdict
}
