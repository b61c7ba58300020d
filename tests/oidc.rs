//! Against npm's `oidc-provider`, an authorization server that nobody here wrote: it rotates at every refresh, and a
//! refresh token that it sees twice ends the grant. The 60 rotations take a minute of real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use integration_tests::{ApiClient, OidcProvider, TestBody, soon, until, waiting};
use token_core::clock::ManualClock;
use token_core::event::Event;
use token_core::store::MemoryStore;
use token_core::{ErrorKind, Freshness, Outcome, Shutdown, TokenManager, TokenSet};
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);
/// Far longer than any of these tests takes.
const AN_HOUR: u32 = 3600;
/// The default exchange deadline.
const EXCHANGE_DEADLINE: Duration = Duration::from_secs(10);
const ROTATIONS: u32 = 60;
const CALLERS: usize = 64;

async fn status(client: &ApiClient<TestBody>) -> StatusCode {
    client.get("").await.status
}

fn refresh_token(tokens: &TokenSet) -> String {
    tokens.refresh_token().expect("offline access").expose_secret().to_owned()
}

#[tokio::test]
async fn a_login_by_the_code_flow_gives_the_first_tokens() {
    let provider = OidcProvider::start(AN_HOUR);
    let tokens = provider.manager(provider.log_in().await).build().unwrap();
    let client = provider.client(&tokens);
    assert_eq!(status(&client).await, 200);
    assert_eq!(provider.count("rotations").await, 0, "the login brought an access token");

    tokens.refresh_now().await.unwrap();
    assert_eq!(status(&client).await, 200);
    assert_eq!(provider.count("rotations").await, 1);
    let mut request = client.request("GET", "", integration_tests::empty());
    request.extensions_mut().insert(token_core::http::NoToken::new());
    assert_eq!(client.send(request).await.unwrap().status, 401, "the API is protected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_rotations_under_64_callers_lose_no_call_and_use_no_token_twice() {
    let provider = OidcProvider::start(2);
    let tokens = provider
        .manager(provider.log_in().await)
        // The provider drops the fraction of the second at which it issued a token: two seconds may be one. A machine
        // that is too busy for the 0.2 s that this leaves has tokens refused, and that many may be.
        .freshness(Freshness::default().refresh_fraction(0.6).jitter(0.0))
        .refusals(ROTATIONS, SECOND)
        .build()
        .unwrap();
    let mut events = tokens.events();
    let client = provider.client(&tokens);
    let done = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (client, done) = (client.clone(), Arc::clone(&done));
        callers.spawn(async move {
            let mut calls = 0_u64;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(status(&client).await, 200, "call {calls}");
                calls += 1;
                // One process at one core serves the API and the tokens; a queue before it would be the server's.
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            calls
        });
    }
    let mut refreshed = 0;
    while refreshed < ROTATIONS {
        tokio::select! {
            event = soon(events.next()) => match event {
                Some(Event::Refreshed { .. }) => refreshed += 1,
                Some(Event::SeedTaken { .. }) => assert_eq!(refreshed, 0),
                other => panic!("unexpected {other:?}"),
            },
            // A caller that ends now has failed.
            Some(caller) = callers.join_next() => panic!("{caller:?}"),
        }
    }
    done.store(true, Ordering::Relaxed);
    let calls: u64 = soon(callers.join_all()).await.into_iter().sum();

    // Once nothing can be under way any more, both sides have counted the same.
    assert_eq!(tokens.shutdown(EXCHANGE_DEADLINE).await, Shutdown::Clean);
    drop((client, tokens));
    while let Some(event) = soon(events.next()).await {
        refreshed += u32::from(matches!(event, Event::Refreshed { .. }));
    }
    let rotations = provider.count("rotations").await;
    let refused = provider.count("api_refused").await;
    println!("{calls} calls, {rotations} rotations, {refused} refused and sent again");
    assert_eq!(rotations, u64::from(refreshed));
    assert_eq!(provider.count("token_requests").await, rotations + 1, "the login, the rotations");
    assert_eq!(provider.count("token_requests_in_flight_max").await, 1);
    assert_eq!(provider.count("api_accepted").await, calls);
    for failure in ["token_errors", "reuse_detected", "grants_revoked", "server_errors"] {
        assert_eq!(provider.count(failure).await, 0, "{failure}");
    }
}

/// The counters that the test above trusts can count.
#[tokio::test]
async fn the_provider_sees_token_requests_that_overlap() {
    let provider = OidcProvider::start(AN_HOUR);
    let (one, other) = (provider.log_in().await, provider.log_in().await);
    provider.switch("/hold?at=request").await;
    let (one, other) = (refresh_token(&one), refresh_token(&other));
    let released = async {
        provider.until("token_requests_in_flight", 2).await;
        provider.switch("/release").await;
    };
    let (one, other, ()) = tokio::join!(provider.present(&one), provider.present(&other), released);
    assert_eq!((one.status, other.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(provider.count("token_requests_in_flight_max").await, 2);
}

#[tokio::test]
async fn a_reuse_ends_the_grant_and_a_login_revives_it_without_a_restart() {
    let provider = OidcProvider::start(AN_HOUR);
    let first = provider.log_in().await;
    let tokens = provider.manager(first.clone()).build().unwrap();
    let client = provider.client(&tokens);
    tokens.ready().await.unwrap();
    tokens.refresh_now().await.unwrap();
    assert_eq!(
        (status(&client).await, provider.count("reuse_detected").await),
        (StatusCode::OK, 0)
    );

    // A thief, or a copy of the process, presents the token that the manager has spent.
    let answer = provider.present(&refresh_token(&first)).await;
    assert_eq!(answer.status, 400);
    assert_eq!(provider.count("reuse_detected").await, 1);
    assert_eq!(provider.count("grants_revoked").await, 1);

    let requests = provider.count("token_requests").await;
    assert!(needs_login(&client, &tokens).await);
    assert!(needs_login(&client, &tokens).await);
    assert_eq!(provider.count("token_requests").await, requests + 1, "asked once, then silence");

    tokens.login(provider.log_in().await).await.unwrap();
    assert_eq!(status(&client).await, 200);
    tokens.refresh_now().await.unwrap();
    assert_eq!(status(&client).await, 200);
    assert!(!tokens.status().needs_login());
    assert_eq!(provider.count("reuse_detected").await, 1);
}

/// Whether a call ends without the API's consent because the grant is dead.
async fn needs_login(client: &ApiClient<TestBody>, tokens: &TokenManager) -> bool {
    let answer = client.send(client.request("GET", "", integration_tests::empty())).await;
    let refused = match answer {
        Ok(answer) => answer.status == 401,
        Err(error) => error.downcast::<token_core::Error>().expect("a token's error").needs_login(),
    };
    refused && tokens.status().needs_login()
}

#[tokio::test]
async fn an_access_token_that_ends_before_its_time_costs_one_renewal() {
    let provider = OidcProvider::start(AN_HOUR);
    let tokens = provider.manager(provider.log_in().await).build().unwrap();
    let client = provider.client(&tokens);
    assert_eq!(status(&client).await, 200);
    provider.switch("/end-access-token").await;
    assert_eq!(status(&client).await, 200);
    assert_eq!(provider.count("rotations").await, 1);
    assert_eq!(provider.count("api_refused").await, 1);
}

/// RFC 7009 §2.1 lets a server revoke the refresh token beside the access token, and this one does.
#[tokio::test]
async fn a_revoked_access_token_ends_the_grant_here() {
    let provider = OidcProvider::start(AN_HOUR);
    let first = provider.log_in().await;
    let tokens = provider.manager(first.clone()).build().unwrap();
    let client = provider.client(&tokens);
    let revoked = provider.revoke(first.access_token().unwrap().expose_secret()).await;
    assert_eq!(revoked.status, 200);
    assert!(needs_login(&client, &tokens).await);
    assert_eq!(provider.count("token_errors").await, 1);
    assert_eq!(provider.count("reuse_detected").await, 0);
    tokens.login(provider.log_in().await).await.unwrap();
    assert_eq!(status(&client).await, 200);
}

#[tokio::test]
async fn a_wrong_client_secret_is_said_to_be_one_and_costs_no_token() {
    let provider = OidcProvider::start(AN_HOUR);
    let seed = TokenSet::from_refresh_token(refresh_token(&provider.log_in().await));
    let store = MemoryStore::new();
    let wrong = TokenManager::builder(provider.endpoint_with_secret("not-the-secret"))
        .store(store.clone())
        .seed(seed)
        .build()
        .unwrap();
    let client = provider.client(&wrong);
    for _ in 0..2 {
        let error = client.token_error().await;
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("client"), "{error}");
        assert!(!error.is_transient() && !error.needs_login());
        assert_eq!(error.refresh_error().unwrap().outcome(), Outcome::Configuration);
    }
    assert_eq!(provider.count("token_errors").await, 1, "not tried again by itself");

    // The tokens are where they were: the next deployment has the right secret, and this one takes over what it gets.
    let right = TokenManager::builder(provider.endpoint()).store(store).build().unwrap();
    assert_eq!(status(&provider.client(&right)).await, 200);
    assert_eq!(status(&client).await, 200);
    assert_eq!(provider.count("rotations").await, 1);
}

#[tokio::test]
async fn a_provider_that_was_killed_costs_no_token_and_forgets_the_grant_itself() {
    let mut provider = OidcProvider::start(AN_HOUR);
    let store = MemoryStore::new();
    let first = provider.log_in().await;
    let tokens = provider.manager(first).store(store.clone()).build().unwrap();
    tokens.ready().await.unwrap();
    provider.kill();
    let error = tokens.refresh_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.refresh_error().unwrap().outcome(), Outcome::NotSent);
    assert!(error.is_transient() && error.retry_after().is_some());
    assert!(tokens.cached().is_some(), "the token that is still good is served on");
    drop(tokens);

    // Nothing was sent, so nothing holds its successor off; but that one has lost its memory.
    let successor = OidcProvider::start(AN_HOUR);
    let tokens = TokenManager::builder(successor.endpoint()).store(store).build().unwrap();
    assert!(tokens.refresh_now().await.unwrap_err().needs_login());
    assert_eq!(successor.count("token_errors").await, 1);
    tokens.login(successor.log_in().await).await.unwrap();
    assert_eq!(status(&successor.client(&tokens)).await, 200);
}

#[tokio::test]
async fn a_provider_that_stands_still_for_a_while_is_waited_for() {
    let provider = OidcProvider::start(AN_HOUR);
    let seed = TokenSet::from_refresh_token(refresh_token(&provider.log_in().await));
    // The manager's time stands still: only the provider decides how long this takes.
    let tokens = Arc::new(provider.manager(seed).clock(ManualClock::new()).build().unwrap());
    provider.stop();
    let waiters = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (tokens, waiters) = (Arc::clone(&tokens), Arc::clone(&waiters));
        callers.spawn(async move { waiting(tokens.token(), &waiters).await.map(drop) });
    }
    until(|| waiters.load(Ordering::SeqCst) == CALLERS).await;
    provider.go_on();
    assert!(soon(callers.join_all()).await.iter().all(Result::is_ok));
    assert_eq!(provider.count("rotations").await, 1);
    assert_eq!(provider.count("token_requests").await, 2, "the login and one for all");
}

/// Refreshes while the provider holds its token endpoint there, gives up, and says how it ends once the outcome counts
/// as settled: how many rotations and reuses the provider has seen, and whether a login is needed.
async fn unanswered(held: &str, before: (&str, u64)) -> (u64, u64, bool) {
    let provider = OidcProvider::start(AN_HOUR);
    let clock = ManualClock::new();
    let tokens =
        provider.manager(provider.log_in().await).clock(clock.clone()).build().expect("a manager");
    let client = provider.client(&tokens);
    soon(tokens.ready()).await.expect("a token");
    provider.switch(held).await;
    let refresh = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.refresh_now().await }
    });
    let (counter, count) = before;
    provider.until(counter, count).await;
    provider.stop();
    clock.advance(EXCHANGE_DEADLINE);
    let error = soon(refresh).await.expect("no panic").expect_err("no answer");
    provider.go_on();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(error.refresh_error().map(|error| error.outcome()), Some(Outcome::Ambiguous));
    assert!(error.is_transient());
    if held.ends_with("request") {
        provider.until("abandoned", 1).await;
    }
    provider.switch("/release").await;

    // The access token still serves, so nobody presents the refresh token again, however often they ask.
    let requests = provider.count("token_requests").await;
    for _ in 0..3 {
        assert_eq!(status(&client).await, 200);
        assert_eq!(
            soon(tokens.refresh_now()).await.map_err(|error| error.kind()).err(),
            Some(ErrorKind::OutcomeUnknown)
        );
    }
    assert_eq!(provider.count("token_requests").await, requests);

    // It has ended: there is nothing left to lose.
    clock.advance(2 * AN_HOUR * SECOND);
    let end = soon(tokens.token()).await;
    assert_eq!(provider.count("token_requests").await, requests + 1);
    let dead = end.as_ref().is_err_and(token_core::Error::needs_login);
    assert_eq!(end.is_ok(), !dead, "{end:?}");
    let counts = (provider.count("rotations").await, provider.count("reuse_detected").await);

    if dead {
        soon(tokens.login(provider.log_in().await)).await.expect("a store");
    }
    assert_eq!(status(&client).await, 200);
    (counts.0, counts.1, dead)
}

#[tokio::test]
async fn a_request_that_the_provider_never_saw_is_sent_again_and_all_is_well() {
    let end = unanswered("/hold?at=request", ("token_requests_in_flight", 1)).await;
    assert_eq!(end, (1, 0, false));
}

/// What no client can save: this provider has no grace window, so the lost answer held the only token of the grant.
#[tokio::test]
async fn an_answer_that_was_lost_after_the_rotation_ends_in_one_reuse_and_a_login() {
    let end = unanswered("/hold?at=answer", ("rotations", 1)).await;
    assert_eq!(end, (1, 1, true));
}
