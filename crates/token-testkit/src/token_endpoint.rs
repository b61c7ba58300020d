//! A path where tokens are handed out: reads a request, lets the script have its way with it, and answers.

use std::{
    future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::{sync::oneshot, time};

use crate::{
    Answer, Fault, Fingerprint, Stage,
    date::http_date,
    dialect::{Good, Sent},
    fault::{Action, Changes, RetryAfter},
    refusal::Refusal,
    response::Reply,
    shared::Shared,
    streamed::Content,
    token_answer::{self, Asked, Made},
    token_request::TokenRequest,
};

/// A longer request body is refused with 413.
const MAX_BODY: usize = 64 * 1024;

pub(crate) async fn serve(shared: Arc<Shared>, request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let request = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => shared.wire.read(&Sent { head: &head, body: &body.to_bytes() }),
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
    let asked = Asked { wire: &*shared.wire, request: &request, form: fault.form };
    let Fault { delay_before, action, carried_out, delay_after, retry_after, drip, .. } = fault;
    shared.hold_up(sequence, Stage::Received, client.closed()).await;
    pause(delay_before).await;
    let (response, processed, answer) = match action {
        Action::Rules(changes) => {
            let (response, answer) = process(&shared, &asked, sequence, &changes);
            (Some(response.map(Content::Whole)), true, answer)
        }
        action => {
            let own =
                carried_out.then(|| process(&shared, &asked, sequence, &Changes::default()).0);
            let silence = Answer::NoAnswer { processed: carried_out };
            let (response, answer) = match action {
                Action::Answer(scripted) => {
                    let response = asked.scripted(&scripted, own);
                    let status = response.status().as_u16();
                    (Some(response), Answer::Fault { status, processed: carried_out })
                }
                Action::Hang => {
                    client.closed().await;
                    (None, silence)
                }
                Action::Reset | Action::Rules(_) => (None, silence),
            };
            (response, carried_out, answer)
        }
    };
    if processed {
        shared.hold_up(sequence, Stage::CarriedOut, client.closed()).await;
    }
    pause(delay_after).await;

    if client.is_closed() {
        return shared.token_request_ended(sequence, Answer::NoAnswer { processed });
    }
    // First the note, then the answer: who has an answer finds it in the history.
    shared.token_request_ended(sequence, answer);
    let reply = response.map_or(Reply::Close, |mut response| {
        add_retry_after(&shared, response.headers_mut(), retry_after);
        Reply::of(response, drip)
    });
    _ = client.send(reply);
}

/// The server's own rules: the answer, and how the history tells it.
fn process(shared: &Shared, asked: &Asked<'_>, sequence: u64, changes: &Changes) -> (Made, Answer) {
    let (made, answer) = match shared.perform(asked.request, changes) {
        Ok(tokens) => {
            let answer = Answer::Issued {
                generation: tokens.generation,
                access: Fingerprint::of(&tokens.access),
                refresh: token_answer::answered_refresh(&tokens, changes).map(Fingerprint::of),
                in_grace: tokens.in_grace,
            };
            let good = Good { issued: &tokens, changes, now: shared.wall_clock() };
            (asked.issued(&good), answer)
        }
        Err(refusal) => {
            let answer = match refusal {
                Refusal::ReuseDetected => Answer::ReuseDetected,
                _ => Answer::Refused { error: refusal.error().to_owned() },
            };
            (asked.refused(refusal), answer)
        }
    };
    shared.token_request_decided(sequence, answer.clone());
    (made, answer)
}

fn add_retry_after(shared: &Shared, headers: &mut HeaderMap, retry_after: Option<RetryAfter>) {
    match retry_after {
        Some(RetryAfter::Text(text)) => _ = headers.insert(header::RETRY_AFTER, text),
        Some(RetryAfter::Date(seconds)) => {
            // Both from one reading of the clock, or they might differ by a second more.
            let (now, skew) = (SystemTime::now(), shared.date_skew());
            headers.insert(header::DATE, http_date(now, skew));
            headers.insert(header::RETRY_AFTER, http_date(now, skew.saturating_add(seconds)));
        }
        None => {}
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
