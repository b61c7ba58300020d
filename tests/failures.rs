//! A token endpoint that fails: who hears of it, how often it is asked, and how it ends. Time is moved by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use integration_tests::{Gate, Gated, Kit, event, soon, until, waiting};
use token_core::clock::ManualClock;
use token_core::endpoint::TokenEndpoint;
use token_core::event::Event;
use token_core::{Error, ErrorKind, Outcome, TokenManager};
use token_testkit::Fault;
use tokio::task::JoinSet;

/// The first wait of the default backoff lies between half of this and the whole.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const SECOND: Duration = Duration::from_secs(1);

fn outcome(error: &Error) -> Option<Outcome> {
    error.refresh_error().map(|error| error.outcome())
}

#[tokio::test]
async fn a_thousand_callers_share_one_failure_and_one_recovery() {
    let kit = Kit::start();
    let (gate, clock) = (Gate::closed(), ManualClock::new());
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens =
        TokenManager::builder(endpoint).seed(kit.seed()).clock(clock.clone()).build().unwrap();
    let client = kit.client(&tokens);
    kit.server.always(Some(Fault::status(429)));

    let waiters = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let (client, waiters) = (client.clone(), Arc::clone(&waiters));
        tasks.spawn(async move { waiting(client.token_error(), &waiters).await });
    }
    until(|| waiters.load(Ordering::SeqCst) == 1_000).await;
    gate.open();
    let errors = soon(tasks.join_all()).await;
    assert_eq!(kit.token_requests(), 1);
    for error in &errors {
        assert_eq!(
            (error.kind(), outcome(error)),
            (ErrorKind::Unavailable, Some(Outcome::Rejected)),
            "{error}"
        );
        assert!(error.is_transient() && !error.needs_login());
        assert!(error.retry_after().is_some_and(|wait| wait <= FIRST_BACKOFF), "{error}");
    }
    assert_eq!(kit.server.counters().api_requests, 0, "no request was sent without a token");

    // Within the backoff nobody asks again, and everybody is told at once.
    for _ in 0..100 {
        assert_eq!(client.token_error().await.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(kit.token_requests(), 1);

    // The endpoint is well again: no restart, one request.
    kit.server.always(None);
    clock.advance(FIRST_BACKOFF);
    let mut tasks = JoinSet::new();
    for _ in 0..1_000 {
        let client = client.clone();
        tasks.spawn(async move { client.get("").await.status });
    }
    assert!(soon(tasks.join_all()).await.iter().all(|status| *status == 200));
    assert_eq!(kit.token_requests(), 2);
    assert!(tokens.status().last_error().is_none());
    assert_eq!(kit.server.counters().reuse_detected, 0);
}

#[tokio::test]
async fn the_backoff_grows_and_each_try_is_one_request() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().one_shot().clock(clock.clone()).build().unwrap();
    kit.server.always(Some(Fault::status(429)));
    for tries in 1..=8 {
        let error = tokens.token().await.unwrap_err();
        assert_eq!(kit.token_requests(), tries);
        let whole = Duration::from_secs(60).min(FIRST_BACKOFF * (1 << (tries - 1)));
        let wait = error.retry_after().unwrap();
        assert!((whole / 2..=whole).contains(&wait), "try {tries}: {wait:?}");
        clock.advance(wait - Duration::from_nanos(1));
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(kit.token_requests(), tries);
        clock.advance(Duration::from_nanos(1));
    }
    kit.server.always(None);
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn retry_after_in_seconds_is_obeyed_even_by_hand() {
    for status in [429, 503] {
        let kit = Kit::start();
        let clock = ManualClock::new();
        let tokens = kit.manager().clock(clock.clone()).build().unwrap();
        kit.server.script([Fault::status(status).retry_after(30)]);
        let error = tokens.token().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry_after()),
            (ErrorKind::Unavailable, Some(30 * SECOND))
        );
        clock.advance(29 * SECOND);
        assert_eq!(tokens.token().await.unwrap_err().retry_after(), Some(SECOND));
        assert_eq!(tokens.refresh_now().await.unwrap_err().retry_after(), Some(SECOND));
        assert_eq!(kit.token_requests(), 1);
        clock.advance(SECOND);
        tokens.token().await.unwrap();
        assert_eq!(kit.token_requests(), 2);
    }
}

#[tokio::test]
async fn retry_after_as_a_date_is_obeyed() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(600));
    kit.server.script([Fault::status(503).retry_after_header(&date)]);
    let error = tokens.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // It counts from the answer's own date, which the server wrote some time after this test wrote the other.
    let wait = error.retry_after().unwrap();
    assert!(wait > 400 * SECOND && wait <= 601 * SECOND, "{wait:?}");
    clock.advance(wait - SECOND);
    assert!(tokens.token().await.is_err());
    assert_eq!(kit.token_requests(), 1);
    clock.advance(SECOND);
    tokens.token().await.unwrap();
    assert_eq!(kit.token_requests(), 2);
}

#[tokio::test]
async fn a_server_cannot_silence_a_client_for_longer_than_an_hour() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    kit.server.script([Fault::status(429).retry_after(1_000_000)]);
    assert_eq!(tokens.token().await.unwrap_err().retry_after(), Some(3600 * SECOND));
    clock.advance(3600 * SECOND);
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn a_valid_token_is_served_on_while_refreshes_fail() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    let mut events = tokens.events();
    let client = kit.client(&tokens);
    assert_eq!(client.get("").await.status, 200);
    let first = tokens.cached().unwrap();

    // An hour's token is stale for its last five minutes, give or take one.
    kit.server.always(Some(Fault::status(429)));
    clock.advance(3400 * SECOND);
    let failed = event(&mut events, |event| matches!(event, Event::RefreshFailed { .. })).await;
    assert!(
        matches!(failed, Event::RefreshFailed { error, failures: 1 } if error.kind() == ErrorKind::Unavailable)
    );
    for _ in 0..100 {
        assert_eq!(client.get("").await.status, 200);
        assert_eq!(tokens.token().await.unwrap().version(), first.version());
    }
    assert!(!tokens.status().needs_login());
    assert_eq!(kit.token_requests(), 2, "the first token and one failure");

    kit.server.always(None);
    clock.advance(FIRST_BACKOFF);
    event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
    assert!(tokens.cached().unwrap().version() > first.version());
    assert_eq!(kit.token_requests(), 3);
}

#[tokio::test]
async fn a_refused_connection_costs_nothing_but_the_backoff() {
    let kit = Kit::start();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let clock = ManualClock::new();
    let endpoint =
        TokenEndpoint::refresh_token(Kit::http(), format!("http://{gone}/token"), Kit::auth());
    let store = token_core::store::MemoryStore::new();
    let tokens = TokenManager::builder(endpoint)
        .store(store.clone())
        .seed(kit.seed())
        .clock(clock.clone())
        .build()
        .unwrap();
    for _ in 0..3 {
        let error = tokens.token().await.unwrap_err();
        assert_eq!(
            (error.kind(), outcome(&error)),
            (ErrorKind::Unavailable, Some(Outcome::NotSent))
        );
        assert!(error.is_transient());
        clock.advance(60 * SECOND);
    }
    // The refresh token was never sent, so another process with the right URL presents it without a pause.
    drop(tokens);
    let tokens = kit.manager().store(store).clock(clock).build().unwrap();
    tokens.token().await.unwrap();
    assert_eq!(kit.server.presentations_per_generation().into_values().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn nothing_that_a_server_answers_in_place_of_a_token_is_taken_for_one() {
    for fault in [
        Fault::body(200, "application/json", "{}"),
        Fault::body(200, "application/json", r#"{"access_token":""}"#),
        Fault::body(
            200,
            "application/json",
            r#"{"access_token":"two\nlines","token_type":"Bearer"}"#,
        ),
        Fault::body(200, "application/json", r#"{"access_token":"x","token_type":"mac"}"#),
        Fault::body(200, "text/html", "<html>Sign in</html>"),
        Fault::body(302, "text/html", ""),
        Fault::status(500),
        Fault::status(503),
        Fault::reset_before(),
    ] {
        let kit = Kit::start();
        let tokens = kit.manager().clock(ManualClock::new()).build().unwrap();
        kit.server.script([fault.clone()]);
        let error = kit.client(&tokens).token_error().await;
        assert!(tokens.cached().is_none(), "{fault:?}: {error}");
        assert_eq!(kit.server.counters().api_requests, 0, "{fault:?}");
        assert!(kit.client(&tokens).token_error().await.kind() == error.kind(), "{fault:?}");
        assert_eq!(kit.token_requests(), 1, "{fault:?}");
    }
}
