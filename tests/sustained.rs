//! Load over many expiries. This file waits for real time: the tokens live one second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use integration_tests::{ApiClient, Kit, event, soon};
use token_core::event::Event;
use token_testkit::{Answer, AuthorizationServer};
use tokio::task::JoinSet;

const LIFETIME: Duration = Duration::from_secs(1);
const LOAD: Duration = Duration::from_secs(5);
const EXPIRIES: u64 = 4;
const CONCURRENCY: usize = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_over_many_expiries_never_fails_and_presents_each_generation_once() {
    let kit = Arc::new(Kit::with(AuthorizationServer::builder().access_lifetime(LIFETIME)));
    let tokens = kit.manager().build().unwrap();
    let mut events = tokens.events();
    let client = ApiClient::new(kit.layer(&tokens), kit.server.api_url());
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 0..CONCURRENCY {
        let (client, kit) = (client.clone(), Arc::clone(&kit));
        tasks.spawn(async move {
            let body = Bytes::from(vec![number as u8; 100 + number]);
            let mut sent = 0_u64;
            while begun.elapsed() < LOAD || kit.token_requests() < EXPIRIES {
                let request = match sent.is_multiple_of(2) {
                    true => client.request("GET", "", Full::default()),
                    false => client.request("POST", "", Full::new(body.clone())),
                };
                let expected = if sent.is_multiple_of(2) { Bytes::new() } else { body.clone() };
                let answer = client.send(request).await.expect("an answer");
                assert!(answer.received(&expected), "{answer:?}");
                sent += 1;
            }
            sent
        });
    }
    let sent: u64 = soon(tasks.join_all()).await.into_iter().sum();
    assert!(sent >= CONCURRENCY as u64);

    let presented = kit.server.presentations_per_generation();
    assert!(presented.values().all(|times| *times == 1), "{presented:?}");
    let history = kit.server.history();
    assert!(history.iter().all(|one| matches!(one.answer, Answer::Issued { .. })), "{history:?}");
    not_too_often(history.len(), begun);
    let counters = kit.server.counters();
    assert_eq!((counters.token_requests_in_flight_max, counters.reuse_detected), (1, 0));

    // What happened is what should: the seed, and refreshes.
    let mut refreshed = 0;
    while refreshed < history.len() {
        match soon(events.next()).await {
            Some(Event::Refreshed { .. }) => refreshed += 1,
            Some(Event::SeedTaken { .. }) => assert_eq!(refreshed, 0),
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends_without_any_traffic() {
    let kit = Kit::with(AuthorizationServer::builder().access_lifetime(LIFETIME));
    let begun = Instant::now();
    let tokens = kit.manager().build().unwrap();
    let mut events = tokens.events();
    tokens.ready().await.unwrap();
    let refreshed = |event: &Event| matches!(event, Event::Refreshed { .. });
    for _ in 0..3 {
        event(&mut events, refreshed).await;
    }
    assert!(kit.token_requests() >= 3);
    not_too_often(kit.server.history().len(), begun);
}

/// No token is replaced long before its end, by the client's clock: it says nothing about how late each request arrived.
fn not_too_often(presented: usize, begun: Instant) {
    let lifetimes = begun.elapsed().div_duration_f64(LIFETIME.mul_f64(0.6));
    assert!(presented as f64 - 1.0 <= lifetimes, "{presented} in {:?}", begun.elapsed());
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_refreshing_ahead() {
    let kit = Kit::with(AuthorizationServer::builder().access_lifetime(LIFETIME));
    let tokens = kit.manager().build().unwrap();
    let mut events = tokens.events();
    let other = tokens.clone();
    tokens.ready().await.unwrap();
    drop(tokens);
    // A clone keeps it going.
    event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
    event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
    drop(other);
    // The channel of events ends with the manager, and that with its driver's last use of it.
    soon(async { while events.next().await.is_some() {} }).await;
    let before = kit.token_requests();
    tokio::time::sleep(LIFETIME * 2).await;
    assert_eq!(kit.token_requests(), before);
}
