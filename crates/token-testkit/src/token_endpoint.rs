//! `POST /token`: reads a request, lets the script have its way with it, and answers.

use std::{future, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde_json::Number;
use tokio::{sync::oneshot, time};

use crate::{
    Answer, Fault, Fingerprint,
    fault::Action,
    refusal::Refusal,
    response::{self, Reply, Whole},
    shared::Shared,
    token_request::TokenRequest,
    tokens::Issued,
};

/// A longer request body is refused with 413.
const MAX_BODY: usize = 64 * 1024;

pub(crate) async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    if request.method() != Method::POST {
        let mut response = response::empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response.into();
    }
    let (head, body) = request.into_parts();
    let request = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => TokenRequest::parse(&head.headers, &body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => TokenRequest::unread(Refusal::TooLarge),
        Err(_) => {
            shared.token_request_broke_off();
            return Reply::Close;
        }
    };
    let (sequence, fault) = shared.token_request_arrived(&request);
    // hyper drops this future when the client goes away, but a server that has read a request
    // carries it out: that is how a rotation gets lost.
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(carry_out(shared, request, sequence, fault, sender));
    match receiver.await {
        Ok(reply) => reply,
        // The server is stopping.
        Err(_) => Reply::Close,
    }
}

async fn carry_out(
    shared: Arc<Shared>,
    request: TokenRequest,
    sequence: u64,
    fault: Fault,
    mut client: oneshot::Sender<Reply>,
) {
    pause(fault.delay_before).await;
    let (reply, processed, answer) = match fault.action {
        Action::Process => {
            let (response, answer) = process(&shared, &request);
            (Some(response), true, answer)
        }
        Action::ProcessThenReset => {
            _ = shared.perform(&request);
            (None, true, Answer::NoAnswer { processed: true })
        }
        Action::Reset => (None, false, Answer::NoAnswer { processed: false }),
        Action::Hang => {
            client.closed().await;
            (None, false, Answer::NoAnswer { processed: false })
        }
        Action::Answer { status, content_type, body } => {
            let mut response = response::empty(status);
            *response.body_mut() = Full::from(body);
            if let Some(content_type) = content_type {
                response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            }
            (Some(response), false, Answer::Fault { status: status.as_u16() })
        }
        Action::OAuthError(error) => {
            let status = match error.as_str() {
                "invalid_client" => StatusCode::UNAUTHORIZED,
                _ => StatusCode::BAD_REQUEST,
            };
            let response = refused(status, &error, "scripted");
            (Some(response), false, Answer::Fault { status: status.as_u16() })
        }
    };
    pause(fault.delay_after).await;

    if client.is_closed() {
        return shared.token_request_ended(sequence, Answer::NoAnswer { processed });
    }
    // First the note, then the answer: who has an answer finds it in the history.
    shared.token_request_ended(sequence, answer);
    let reply = reply.map_or(Reply::Close, |mut response| {
        if let Some(value) = fault.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        Reply::Answer(response)
    });
    _ = client.send(reply);
}

/// The server's own rules: the answer, and how the history tells it.
fn process(shared: &Shared, request: &TokenRequest) -> (Whole, Answer) {
    match shared.perform(request) {
        Ok(tokens) => {
            let answer = Answer::Issued {
                generation: tokens.generation,
                access: Fingerprint::of(&tokens.access),
                refresh: tokens.refresh.as_deref().map(Fingerprint::of),
            };
            (issued(&tokens, request.parameter("scope")), answer)
        }
        Err(refusal) => {
            let answer = match refusal {
                Refusal::ReuseDetected => Answer::ReuseDetected,
                _ => Answer::Refused { error: refusal.error().to_owned() },
            };
            (refused(refusal.status(), refusal.error(), refusal.description()), answer)
        }
    }
}

/// RFC 6749 §5.1.
fn issued(tokens: &Issued, scope: Option<&str>) -> Whole {
    #[derive(Serialize)]
    struct Body<'a> {
        access_token: &'a str,
        token_type: &'a str,
        expires_in: Number,
        #[serde(skip_serializing_if = "Option::is_none")]
        refresh_token: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        refresh_expires_in: Option<Number>,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<&'a str>,
    }
    let body = Body {
        access_token: &tokens.access,
        token_type: "Bearer",
        expires_in: seconds(tokens.access_lifetime),
        refresh_token: tokens.refresh.as_deref(),
        refresh_expires_in: tokens.refresh_lifetime.map(seconds),
        scope,
    };
    uncached(response::json(StatusCode::OK, &body))
}

/// RFC 6749 §5.2.
fn refused(status: StatusCode, error: &str, description: &str) -> Whole {
    #[derive(Serialize)]
    struct Body<'a> {
        error: &'a str,
        error_description: &'a str,
    }
    let body = Body { error, error_description: description };
    let mut response = uncached(response::json(status, &body));
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"token-testkit\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn uncached(mut response: Whole) -> Whole {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Whole seconds as an integer, as most servers write them; a fraction is kept.
fn seconds(duration: Duration) -> Number {
    let whole = Number::from(duration.as_secs());
    match duration.subsec_nanos() {
        0 => whole,
        _ => Number::from_f64(duration.as_secs_f64()).unwrap_or(whole),
    }
}

async fn pause(delay: Duration) {
    // Even a sleep of nothing waits for the timer's next tick.
    if delay.is_zero() {
        return;
    }
    match time::Instant::now().checked_add(delay) {
        Some(deadline) => time::sleep_until(deadline).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_an_integer_unless_it_has_a_fraction() {
        for (milliseconds, written) in [(1000, "1"), (1500, "1.5"), (300, "0.3"), (0, "0")] {
            assert_eq!(seconds(Duration::from_millis(milliseconds)).to_string(), written);
        }
        assert_eq!(seconds(Duration::MAX).to_string().parse(), Ok(Duration::MAX.as_secs_f64()));
    }
}
