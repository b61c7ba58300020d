//! Thousands of concurrent requests and one token that is no good: one refresh, and every request succeeds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use integration_tests::{
    Answer, ApiClient, BoxError, Gate, Gated, HoldAnswer, Kit, Sends, event, soon, waiting,
};
use token_core::event::Event;
use token_core::{Token, TokenManager};
use tokio::task::JoinSet;

const REQUESTS: usize = 10_000;

/// Bodies differ, so that a mixed-up one is noticed; some are longer than any one read.
fn body_of(number: usize) -> Bytes {
    let length = if number.is_multiple_of(100) { 20_000 } else { number % 700 };
    (0..length).map(|at| (at + number) as u8).collect()
}

struct Sent {
    number: usize,
    sends: Sends,
    answer: Result<Answer, BoxError>,
}

/// Sends one request, a `GET` or a `POST` with a body.
async fn send(client: ApiClient<Full<Bytes>>, number: usize) -> Sent {
    let sends = Sends::default();
    let mut request = match number.is_multiple_of(2) {
        true => client.request("GET", "", Full::default()),
        false => client.request("POST", "", Full::new(body_of(number))),
    };
    request.extensions_mut().insert(sends.clone());
    Sent { number, answer: client.send(request).await, sends }
}

/// Every request succeeded, with its whole body, and was sent twice at most. How many were sent twice?
fn replays_of(all: &[Sent]) -> usize {
    assert_eq!(all.len(), REQUESTS);
    for Sent { number, sends, answer } in all {
        let answer = answer.as_ref().expect("an answer");
        let sent = if number.is_multiple_of(2) { Bytes::new() } else { body_of(*number) };
        assert!(answer.received(&sent), "request {number}: {answer:?}");
        assert!(
            (1..=2).contains(&sends.count()),
            "request {number} was sent {} times",
            sends.count()
        );
    }
    all.iter().filter(|sent| sent.sends.count() == 2).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_at_an_expired_token_cause_one_token_request() {
    let kit = Kit::start();
    let gate = Gate::closed();
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens = TokenManager::builder(endpoint).seed(kit.expired_seed()).build().unwrap();
    let client = ApiClient::new(kit.layer(&tokens), kit.server.api_url());

    // The refresh is let out once every request waits for it.
    let waiters = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..REQUESTS {
        let (client, waiters) = (client.clone(), Arc::clone(&waiters));
        tasks.spawn(async move { waiting(send(client, number), &waiters).await });
    }
    integration_tests::until(|| waiters.load(Ordering::SeqCst) == REQUESTS).await;
    gate.open();
    let all = soon(tasks.join_all()).await;

    assert_eq!(replays_of(&all), 0, "no request was sent with the expired token");
    let counters = kit.server.counters();
    assert_eq!(counters.token_requests, 1);
    assert_eq!((counters.api_requests, counters.api_unauthorized), (REQUESTS as u64, 0));
    assert_eq!(kit.server.history().len(), 1);
    assert_eq!(kit.server.presentations_per_generation().into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_access_tokens_revoked_in_mid_flight_cause_one_token_request_and_whole_replays() {
    let kit = Arc::new(Kit::start());
    let tokens = kit.manager().build().unwrap();
    tokens.ready().await.unwrap();
    let client = ApiClient::new(kit.layer(&tokens), kit.server.api_url());
    let done = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..REQUESTS {
        let (kit, client, done) = (Arc::clone(&kit), client.clone(), Arc::clone(&done));
        tasks.spawn(async move {
            let sent = send(client, number).await;
            if done.fetch_add(1, Ordering::SeqCst) == REQUESTS / 3 {
                kit.server.revoke_access_tokens();
            }
            sent
        });
    }
    let all = soon(tasks.join_all()).await;

    let replays = replays_of(&all);
    let counters = kit.server.counters();
    assert!(replays > 0, "the revocation met requests under way");
    assert_eq!(counters.token_requests, 2, "one for the first token, one after the revocation");
    assert_eq!(counters.api_unauthorized, replays as u64);
    assert_eq!(counters.api_requests, (REQUESTS + replays) as u64);
    assert_eq!((counters.reuse_detected, counters.token_requests_in_flight_max), (0, 1));
}

#[tokio::test]
async fn a_late_401_for_a_replaced_token_causes_no_refresh() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    tokens.ready().await.unwrap();
    let client = kit.client(&tokens);
    kit.server.revoke_access_tokens();

    // Ten refusals of the first token, held back until the second one is in use.
    let gate = Gate::closed();
    let mut late = JoinSet::new();
    for _ in 0..10 {
        let client = client.clone();
        let mut request = client.request("POST", "", integration_tests::whole("late"));
        request.extensions_mut().insert(HoldAnswer::at(&gate));
        late.spawn(async move { client.send(request).await });
    }
    gate.arrivals(10).await;
    assert_eq!(kit.server.counters().api_unauthorized, 10);
    assert_eq!(client.get("").await.status, 200);
    assert_eq!(kit.token_requests(), 2);

    gate.open();
    for answer in soon(late.join_all()).await {
        assert!(answer.unwrap().received(b"late"));
    }
    assert_eq!(kit.token_requests(), 2);
}

#[tokio::test]
async fn renewing_a_replaced_token_answers_the_newest_without_a_refresh() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    let mut events = tokens.events();
    let old: Vec<Token> = vec![
        tokens.token().await.unwrap(),
        tokens.refresh_now().await.unwrap(),
        tokens.refresh_now().await.unwrap(),
    ];
    let newest = tokens.refresh_now().await.unwrap();
    assert_eq!(kit.token_requests(), 4);
    for rejected in &old {
        let renewed = tokens.renew(rejected).await.unwrap();
        assert_eq!(renewed.version(), newest.version());
    }
    assert_eq!(kit.token_requests(), 4);
    // The newest one is another matter.
    let renewed = tokens.renew(&newest).await.unwrap();
    assert!(renewed.version() > newest.version());
    event(
        &mut events,
        |event| matches!(event, Event::Refreshed { version } if *version == renewed.version()),
    )
    .await;
    assert_eq!(kit.token_requests(), 5);
}
