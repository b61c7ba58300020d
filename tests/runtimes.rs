//! Runtimes that go away under a refresh, while callers wait on others.

use std::task::Poll;
use std::time::Duration;

use integration_tests::{Gate, GatedStore, Kit, poll_once, soon};
use token_core::clock::ManualClock;
use token_core::store::MemoryStore;
use token_core::{ErrorKind, TokenManager};
use token_testkit::Fault;
use tokio::runtime::{Builder, Runtime};

/// What waits longer than this waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an unknown outcome is left alone by default.
const SETTLING: Duration = Duration::from_secs(11);

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Starts a refresh whose answer never comes, on a runtime of its own.
fn hanging_refresh(kit: &Kit, tokens: &TokenManager) -> Runtime {
    let doomed = multi_thread();
    kit.server.script([Fault::hang()]);
    let caller = tokens.clone();
    doomed.spawn(async move { caller.token().await });
    doomed.block_on(soon(kit.server.token_requests_seen(kit.token_requests().max(1))));
    doomed
}

#[test]
fn a_refresh_that_loses_its_runtime_fails_the_waiters_on_another_one_and_wedges_nothing() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    let doomed = hanging_refresh(&kit, &tokens);
    let other = multi_thread();

    let mut waiters: Vec<_> = (0..10).map(|_| Box::pin(tokens.token())).collect();
    {
        let _inside = other.enter();
        for waiter in &mut waiters {
            assert!(
                poll_once(waiter.as_mut()).is_pending(),
                "it joins the refresh on the other runtime"
            );
        }
    }
    assert_eq!(kit.token_requests(), 1);
    drop(doomed);
    for waiter in waiters {
        let error = other.block_on(soon(waiter)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
        assert!(error.is_transient());
    }
    assert!(!tokens.status().is_refreshing());

    // The token was sent and nobody knows what came of it.
    let error = other.block_on(soon(tokens.token())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    assert_eq!(kit.token_requests(), 1);
    clock.advance(SETTLING);
    other.block_on(soon(tokens.token())).unwrap();
    assert_eq!(kit.token_requests(), 2);
    assert_eq!(kit.server.counters().reuse_detected, 0);
}

#[test]
fn an_answer_that_was_not_stored_yet_survives_its_runtime() {
    let kit = Kit::start();
    let gate = Gate::closed();
    // The seed and the intent go through; the answer waits.
    let store = GatedStore::new(&MemoryStore::new(), &gate, 2);
    let tokens = kit.manager().store(store).build().unwrap();
    let doomed = multi_thread();
    let caller = tokens.clone();
    doomed.spawn(async move { caller.token().await });
    doomed.block_on(gate.arrivals(1));
    drop(doomed);
    gate.open();
    assert!(tokens.status().has_unsaved_tokens());

    let other = multi_thread();
    other.block_on(soon(tokens.token())).unwrap();
    assert!(!tokens.status().has_unsaved_tokens());
    other.block_on(soon(tokens.refresh_now())).unwrap();
    assert_eq!(kit.token_requests(), 2);
    assert_eq!(kit.server.counters().reuse_detected, 0, "the only copy of the live token was kept");
}

/// A refresh that was started and never polled is lost with its runtime like any other.
#[test]
fn a_refresh_that_was_never_polled_wedges_nothing() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    let doomed = current_thread();
    doomed.block_on(async { assert!(poll_once(std::pin::pin!(tokens.token())).is_pending()) });
    let other = multi_thread();
    let mut waiter = Box::pin(tokens.token());
    {
        let _inside = other.enter();
        assert!(poll_once(waiter.as_mut()).is_pending());
    }
    drop(doomed);
    assert_eq!(kit.token_requests(), 0, "the refresh never ran");

    let first = other.block_on(async { tokio::time::timeout(PATIENCE, waiter).await });
    let second = other.block_on(async { tokio::time::timeout(PATIENCE, tokens.token()).await });
    let first = first.expect("the waiter hears of it");
    assert!(first.is_ok() || first.is_err_and(|error| error.kind() == ErrorKind::Interrupted));
    second.expect("the next caller does not wait for ever").unwrap();
}

/// A task may outlive the moment at which its runtime stops taking new ones.
#[test]
fn a_call_while_its_runtime_shuts_down_wedges_nothing() {
    struct CallsWhenDropped(TokenManager);
    impl Drop for CallsWhenDropped {
        fn drop(&mut self) {
            let poll = poll_once(std::pin::pin!(self.0.token()));
            assert!(!matches!(poll, Poll::Ready(Ok(_))));
        }
    }
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    let done = {
        let tokens = tokens.clone();
        // On a thread of its own, so that a deadlock fails this test and does not hang it.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let doomed = current_thread();
            let last = CallsWhenDropped(tokens);
            doomed.block_on(async {
                tokio::spawn(async move {
                    let _last = last;
                    std::future::pending::<()>().await;
                });
                tokio::task::yield_now().await;
            });
            drop(doomed);
            let _ = sender.send(());
        });
        receiver.recv_timeout(PATIENCE)
    };
    done.expect("the runtime shuts down");
    let other = multi_thread();
    let next = other.block_on(async { tokio::time::timeout(PATIENCE, tokens.token()).await });
    next.expect("the next caller does not wait for ever").unwrap();
}

#[test]
fn the_refreshing_ahead_moves_to_the_next_runtime() {
    let kit = Kit::with(
        token_testkit::AuthorizationServer::builder().access_lifetime(Duration::from_secs(1)),
    );
    let tokens = kit.manager().build().unwrap();
    let mut events = tokens.events();
    let first = current_thread();
    first.block_on(tokens.ready()).unwrap();
    drop(first);
    let second = current_thread();
    second.block_on(async {
        tokens.ready().await.unwrap();
        // Real time: the tokens live one second. No call asks for the next ones.
        for _ in 0..3 {
            let refreshed = |event: &token_core::event::Event| {
                matches!(event, token_core::event::Event::Refreshed { .. })
            };
            integration_tests::event(&mut events, refreshed).await;
        }
    });
    assert_eq!(kit.server.counters().reuse_detected, 0);
}
