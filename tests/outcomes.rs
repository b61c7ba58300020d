//! The outcome table, end to end: what may be presented again after which failure. Time is moved by hand.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use integration_tests::{Gate, Gated, Kit, event, poll_once, soon};
use reqwest_token_refresh::ReqwestEndpoint;
use token_core::clock::ManualClock;
use token_core::endpoint::HttpEndpoint;
use token_core::event::{Event, Events};
use token_core::{ErrorKind, Health, Outcome, TokenManager, UnknownOutcome};
use token_testkit::{Answer, Fault};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_token_refresh::HyperEndpoint;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// How long a server may still act on a request whose sender is gone, by default, and a tenth for clocks that differ.
const SETTLING: Duration = Duration::from_secs(11);

/// The events that have happened by now.
fn so_far(events: &mut Events) -> Vec<Event> {
    let mut all = Vec::new();
    while let std::task::Poll::Ready(Some(event)) = poll_once(std::pin::pin!(events.next())) {
        all.push(event);
    }
    all
}

fn alarms(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::NeedsLogin { .. })).count()
}

#[tokio::test]
async fn invalid_grant_needs_a_login_once_and_calls_no_more_until_it_comes() {
    let kit = Kit::start();
    let (clock, gate) = (ManualClock::new(), Gate::closed());
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens =
        TokenManager::builder(endpoint).seed(kit.seed()).clock(clock.clone()).build().unwrap();
    let mut events = tokens.events();
    let client = kit.client(&tokens);
    assert!(kit.server.revoke_family_of(kit.login.refresh_token()));

    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let client = client.clone();
        tasks.spawn(async move { client.token_error().await });
    }
    gate.arrivals(1).await;
    gate.open();
    for error in soon(tasks.join_all()).await {
        assert_eq!(error.kind(), ErrorKind::NeedsLogin);
        assert!(error.needs_login() && !error.is_transient());
    }
    for _ in 0..3 {
        // By hand, after days, and on every request: the dead token is not presented again.
        clock.advance(DAY);
        assert!(tokens.refresh_now().await.unwrap_err().needs_login());
        assert!(tokens.token().await.unwrap_err().needs_login());
        assert!(client.token_error().await.needs_login());
    }
    assert_eq!(kit.token_requests(), 1);
    assert_eq!(alarms(&so_far(&mut events)), 1);
    let status = tokens.status();
    assert!(status.needs_login() && status.health() == Health::NeedsLogin);

    tokens.login(kit.another_login()).await.unwrap();
    assert_eq!(client.get("").await.status, 200);
    tokens.refresh_now().await.unwrap();
    assert_eq!(client.get("").await.status, 200);
    let status = tokens.status();
    assert_eq!((status.needs_login(), status.health()), (false, Health::Valid));
    assert!(status.last_error().is_none());
    assert_eq!(kit.token_requests(), 2);
    assert_eq!(alarms(&so_far(&mut events)), 0);
}

#[tokio::test]
async fn the_next_dead_grant_is_an_alarm_of_its_own() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    let mut events = tokens.events();
    for _ in 0..2 {
        kit.server.script([Fault::oauth_error("invalid_grant")]);
        assert!(tokens.refresh_now().await.unwrap_err().needs_login());
        assert!(tokens.refresh_now().await.unwrap_err().needs_login());
        assert_eq!(alarms(&so_far(&mut events)), 1);
        tokens.login(kit.another_login()).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_client_is_never_a_loop_and_is_tried_again_when_asked_for() {
    for code in ["invalid_client", "unauthorized_client", "invalid_scope", "unsupported_grant_type"]
    {
        let kit = Kit::start();
        let clock = ManualClock::new();
        let tokens = kit.manager().clock(clock.clone()).build().unwrap();
        let client = kit.client(&tokens);
        kit.server.always(Some(Fault::oauth_error(code)));
        for _ in 0..20 {
            let error = client.token_error().await;
            assert_eq!(error.kind(), ErrorKind::Configuration, "{code}: {error}");
            assert_eq!(
                error.refresh_error().map(|error| error.outcome()),
                Some(Outcome::Configuration)
            );
            assert!(!error.is_transient() && !error.needs_login() && error.retry_after().is_none());
            clock.advance(DAY);
        }
        assert_eq!(kit.token_requests(), 1, "{code}");

        assert_eq!(tokens.refresh_now().await.unwrap_err().kind(), ErrorKind::Configuration);
        assert_eq!(kit.token_requests(), 2);
        kit.server.always(None);
        assert!(tokens.token().await.is_err(), "still not by itself");
        tokens.refresh_now().await.unwrap();
        assert_eq!(kit.token_requests(), 3);
        assert_eq!(client.get("").await.status, 200);
        assert_eq!(kit.server.counters().reuse_detected, 0, "the refresh token was kept");
    }
}

#[tokio::test]
async fn a_lost_answer_is_not_followed_by_another_presentation_before_nothing_can_be_lost() {
    // The server rotated and the answer was lost; then one that never did, which the client cannot tell apart.
    for (fault, recovers) in [(Fault::reset_after(), false), (Fault::reset_before(), true)] {
        let kit = Kit::start();
        let clock = ManualClock::new();
        let tokens = kit.manager().clock(clock.clone()).build().unwrap();
        kit.server.script([fault]);
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        assert_eq!(error.refresh_error().map(|error| error.outcome()), Some(Outcome::Ambiguous));
        assert!(error.is_transient());
        assert_eq!(error.retry_after(), Some(SETTLING));

        clock.advance(SETTLING - SECOND);
        assert_eq!(tokens.token().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(tokens.refresh_now().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(kit.token_requests(), 1);

        clock.advance(SECOND);
        let result = tokens.token().await;
        assert_eq!(kit.token_requests(), 2);
        let history = kit.server.history();
        assert_eq!(history[0].presented, history[1].presented);
        match result {
            Ok(_) => assert!(
                recovers && matches!(history[1].answer, Answer::Issued { generation: 1, .. })
            ),
            Err(error) => assert!(
                !recovers && error.needs_login() && history[1].answer == Answer::ReuseDetected
            ),
        }
    }
}

#[tokio::test]
async fn while_the_access_token_serves_an_unknown_outcome_risks_nothing() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    let mut events = tokens.events();
    let client = kit.client(&tokens);
    tokens.ready().await.unwrap();
    kit.server.script([Fault::reset_before()]);
    assert_eq!(tokens.refresh_now().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);

    // An hour's token: up to its very end nothing is presented, and requests are served.
    for _ in 0..59 {
        clock.advance(60 * SECOND);
        assert_eq!(client.get("").await.status, 200);
    }
    assert_eq!(kit.token_requests(), 2);
    let _ = so_far(&mut events);
    clock.advance(60 * SECOND);
    event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
    assert_eq!(kit.token_requests(), 3);
    assert_eq!(client.get("").await.status, 200);
}

/// The hold-off guards a token that serves. One that the API refuses does not serve.
#[tokio::test]
async fn a_refused_access_token_is_no_reason_to_hold_off() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    let client = kit.client(&tokens);
    tokens.ready().await.unwrap();
    kit.server.script([Fault::reset_before()]);
    assert_eq!(tokens.refresh_now().await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    kit.server.revoke_access_tokens();
    assert_eq!(client.get("").await.status, 401, "too early to send the refresh token again");
    assert_eq!(kit.token_requests(), 2);

    clock.advance(SETTLING);
    assert_eq!(client.get("").await.status, 200, "{:?}", tokens.status());
    assert_eq!(kit.token_requests(), 3);
}

#[tokio::test]
async fn a_strict_rule_has_an_unknown_outcome_end_in_a_login() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit
        .manager()
        .unknown_outcome(UnknownOutcome::RequireLogin)
        .clock(clock.clone())
        .build()
        .unwrap();
    kit.server.script([Fault::reset_after()]);
    assert!(tokens.token().await.is_err());
    clock.advance(DAY);
    assert!(tokens.token().await.unwrap_err().needs_login());
    assert!(tokens.refresh_now().await.unwrap_err().needs_login());
    assert_eq!(kit.token_requests(), 1, "it was presented once and never again");
    tokens.login(kit.another_login()).await.unwrap();
    assert_eq!(kit.client(&tokens).get("").await.status, 200);
}

#[tokio::test]
async fn an_answer_that_comes_late_but_in_time_is_kept() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    // Real time: the server takes half a second for its answer, the deadline is ten.
    kit.server.script([Fault::delay_after(SECOND / 2)]);
    tokens.token().await.unwrap();
    assert_eq!(kit.token_requests(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_at_the_deadline() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).exchange_deadline(10 * SECOND).build().unwrap();
    kit.server.script([Fault::hang()]);
    let mut waiter = Box::pin(tokens.token());
    assert!(poll_once(waiter.as_mut()).is_pending());
    kit.server.token_requests_seen(1).await;
    clock.advance(10 * SECOND);
    let error = soon(waiter).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    clock.advance(SETTLING);
    tokens.token().await.unwrap();
    assert_eq!(kit.token_requests(), 2);
}

/// RFC 9113 §8.7: a stream that was refused was not processed. It is asked for once, whatever the client does otherwise.
async fn after_a_refused_stream(endpoint: impl HttpEndpoint) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a connection");
        let mut connection = h2::server::handshake(socket).await.expect("a client of HTTP/2");
        let mut requests = 0;
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            answer.send_reset(h2::Reason::REFUSED_STREAM);
            requests += 1;
        }
        requests
    });
    let request = Request::post(url).body(Bytes::from_static(b"grant_type=x")).expect("a request");
    let outcome = soon(endpoint.send(request)).await.expect_err("no answer").outcome();
    drop(endpoint);
    assert_eq!(soon(server).await.expect("no panic"), 1);
    outcome
}

#[tokio::test]
async fn a_refused_stream_was_not_sent() {
    let http2 = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    assert_eq!(after_a_refused_stream(HyperEndpoint::over(http2)).await, Outcome::NotSent);
    let http2 = reqwest::Client::builder().http2_prior_knowledge();
    let endpoint = ReqwestEndpoint::new(http2).unwrap();
    assert_eq!(after_a_refused_stream(endpoint).await, Outcome::NotSent);
}
