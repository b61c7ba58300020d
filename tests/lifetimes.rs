//! The lives of managers: their beginning, their end, the one-shot mode, and refreshers that misbehave.

use std::time::Duration;

use integration_tests::{Gate, Gated, GatedStore, Kit, event, poll_once, soon};
use token_core::clock::ManualClock;
use token_core::event::Event;
use token_core::store::MemoryStore;
use token_core::{ErrorKind, RefreshError, Refresher, Shutdown, Spends, TokenManager, TokenSet};
use token_testkit::{AuthorizationServer, Fault};

const PATIENCE: Duration = Duration::from_secs(60);
/// The seed and the intent; the third write is the answer.
const WRITES_BEFORE_THE_ANSWER: usize = 2;

#[tokio::test]
async fn shutdown_waits_until_the_refresh_under_way_is_stored() {
    let kit = Kit::start();
    let (store, gate) = (MemoryStore::new(), Gate::closed());
    let gated = GatedStore::new(&store, &gate, WRITES_BEFORE_THE_ANSWER);
    let tokens = kit.manager().store(gated).build().unwrap();
    let mut waiter = Box::pin(tokens.token());
    assert!(poll_once(waiter.as_mut()).is_pending());
    // The server has rotated, and the answer is on its way into the store.
    gate.arrivals(1).await;
    let mut shutdown = Box::pin(tokens.shutdown(PATIENCE));
    assert!(poll_once(shutdown.as_mut()).is_pending());
    gate.open();
    assert_eq!(soon(shutdown).await, Shutdown::Clean);
    let token = soon(waiter).await.unwrap();
    assert_eq!(kit.client(&tokens).get("").await.status, 200, "the token at hand is served on");
    assert_eq!(tokens.refresh_now().await.unwrap_err().kind(), ErrorKind::ShutDown);

    // The next process finds it.
    let next = kit.manager().store(store).build().unwrap();
    assert_eq!(next.token().await.unwrap().version(), token.version());
    assert_eq!(kit.token_requests(), 1);
}

#[tokio::test]
async fn shutdown_says_what_it_left_at_its_deadline() {
    let kit = Kit::start();
    let gate = Gate::closed();
    let gated = GatedStore::new(&MemoryStore::new(), &gate, WRITES_BEFORE_THE_ANSWER);
    let tokens = kit.manager().store(gated).build().unwrap();
    assert!(poll_once(std::pin::pin!(tokens.token())).is_pending());
    gate.arrivals(1).await;
    assert_eq!(tokens.shutdown(Duration::ZERO).await, Shutdown::UnsavedTokens);
    assert!(tokens.status().has_unsaved_tokens());
    gate.open();
    assert_eq!(tokens.shutdown(PATIENCE).await, Shutdown::Clean);

    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    kit.server.script([Fault::hang()]);
    assert!(poll_once(std::pin::pin!(tokens.token())).is_pending());
    kit.server.token_requests_seen(1).await;
    assert_eq!(tokens.shutdown(Duration::ZERO).await, Shutdown::RefreshLeft);
}

#[tokio::test]
async fn an_answer_that_the_store_does_not_take_is_served_from_memory_and_stored_later() {
    let kit = Kit::start();
    let (store, gate, clock) = (MemoryStore::new(), Gate::closed(), ManualClock::new());
    let gated = GatedStore::new(&store, &gate, WRITES_BEFORE_THE_ANSWER);
    let tokens = kit.manager().store(gated).clock(clock.clone()).build().unwrap();
    let mut events = tokens.events();
    let mut waiter = Box::pin(tokens.token());
    assert!(poll_once(waiter.as_mut()).is_pending());
    gate.arrivals(1).await;
    // The store's deadline.
    clock.advance(Duration::from_secs(5));
    let token = soon(waiter).await.unwrap();
    event(&mut events, |event| matches!(event, Event::CommitDelayed { .. })).await;
    assert_eq!(kit.client(&tokens).get("").await.status, 200);
    assert!(tokens.status().has_unsaved_tokens());

    gate.open();
    soon(async {
        while tokens.status().has_unsaved_tokens() {
            clock.advance(Duration::from_secs(1));
            tokio::task::yield_now().await;
        }
    })
    .await;
    let next = kit.manager().store(store).build().unwrap();
    next.refresh_now().await.unwrap();
    assert!(next.token().await.unwrap().version() > token.version());
    assert_eq!(kit.server.counters().reuse_detected, 0);
    assert_eq!(kit.token_requests(), 2);
}

#[tokio::test]
async fn shutdown_of_an_idle_manager_is_clean_and_starts_nothing_more() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    assert_eq!(tokens.shutdown(PATIENCE).await, Shutdown::Clean);
    assert_eq!(kit.client(&tokens).token_error().await.kind(), ErrorKind::ShutDown);
    assert_eq!(kit.token_requests(), 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_loses_no_answer() {
    let kit = Kit::start();
    let (store, gate) = (MemoryStore::new(), Gate::closed());
    let endpoint = kit.endpoint_over(Gated::new(Kit::http(), &gate));
    let tokens =
        TokenManager::builder(endpoint).seed(kit.seed()).store(store.clone()).build().unwrap();
    let mut events = tokens.events();
    // Every caller, and with them every handle.
    for _ in 0..3 {
        let mut caller = Box::pin(tokens.token());
        assert!(poll_once(caller.as_mut()).is_pending());
    }
    gate.arrivals(1).await;
    drop(tokens);
    gate.open();
    event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
    let next = kit.manager().store(store).build().unwrap();
    next.ready().await.unwrap();
    assert_eq!(kit.token_requests(), 1, "what the callers left was finished and stored");
}

#[test]
fn one_shot_returns_with_the_record_stored_and_no_task_left() {
    let kit = Kit::with(AuthorizationServer::builder().access_lifetime(Duration::from_secs(3600)));
    let store = MemoryStore::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let version = runtime.block_on(async {
        let tokens = kit.manager().store(store.clone()).one_shot().build().unwrap();
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
        let token = tokens.token().await.unwrap();
        assert!(!tokens.status().is_refreshing());
        // hyper's connection to the token endpoint is closing; a task of the manager would stay.
        soon(async {
            while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        token.version()
    });
    drop(runtime);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let next = kit.manager().store(store).one_shot().build().unwrap();
    assert_eq!(runtime.block_on(next.token()).unwrap().version(), version);
    assert_eq!(kit.token_requests(), 1);
}

#[tokio::test]
async fn one_shot_refreshes_a_stale_token_in_the_call_that_finds_it() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().one_shot().clock(clock.clone()).build().unwrap();
    let first = tokens.token().await.unwrap();
    clock.advance(Duration::from_secs(3400));
    // It fails: the stale one is still good.
    kit.server.script([Fault::status(429)]);
    assert_eq!(tokens.token().await.unwrap().version(), first.version());
    assert_eq!(kit.token_requests(), 2);
    clock.advance(Duration::from_secs(1));
    assert!(tokens.token().await.unwrap().version() > first.version());
    assert_eq!(kit.token_requests(), 3);
}

#[test]
fn a_manager_built_outside_a_runtime_works_and_refreshes_ahead_within_one() {
    let kit = Kit::with(AuthorizationServer::builder().access_lifetime(Duration::from_secs(1)));
    let tokens = kit.manager().build().unwrap();
    assert!(tokens.cached().is_none());
    let mut events = tokens.events();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        tokens.ready().await.unwrap();
        // Real time: the tokens live one second.
        for _ in 0..2 {
            event(&mut events, |event| matches!(event, Event::Refreshed { .. })).await;
        }
    });
}

#[test]
fn outside_a_runtime_a_token_at_hand_is_served_and_a_refresh_is_refused_in_words() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    let std::task::Poll::Ready(result) = poll_once(std::pin::pin!(tokens.token())) else {
        panic!("there is nothing to wait for");
    };
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Interrupted);
    assert!(error.to_string().contains("runtime"), "{error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(tokens.ready()).unwrap();
    assert!(poll_once(std::pin::pin!(tokens.token())).is_ready());
    assert!(tokens.cached().is_some());
}

/// Does badly what it is asked, once; then well.
struct Moody {
    spends: Spends,
    mood: std::sync::Mutex<Option<Mood>>,
}

#[derive(Clone, Copy)]
enum Mood {
    Panics,
    Hangs,
}

impl Refresher for Moody {
    async fn refresh(&self, _current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let mood = self.mood.lock().ok().and_then(|mut mood| mood.take());
        match mood {
            Some(Mood::Panics) => panic!("the refresher panics on purpose"),
            Some(Mood::Hangs) => std::future::pending().await,
            None => Ok(TokenSet::new("at")
                .with_refresh_token("rt")
                .with_expires_in(Duration::from_secs(600))),
        }
    }

    fn spends(&self, _current: Option<&TokenSet>) -> Spends {
        self.spends
    }
}

#[tokio::test]
async fn a_refresher_that_panics_or_hangs_fails_its_flight_and_wedges_nothing() {
    for spends in [Spends::RefreshToken, Spends::Reusable, Spends::Nothing] {
        for mood in [Mood::Panics, Mood::Hangs] {
            let clock = ManualClock::new();
            let moody = Moody { spends, mood: std::sync::Mutex::new(Some(mood)) };
            let tokens = TokenManager::builder(moody)
                .seed(TokenSet::from_refresh_token("seed"))
                .clock(clock.clone())
                .build()
                .unwrap();
            let mut callers: Vec<_> = (0..10).map(|_| Box::pin(tokens.token())).collect();
            for caller in &mut callers {
                assert!(poll_once(caller.as_mut()).is_pending());
            }
            // The flight is under way; a deadline ends it if nothing else does.
            while !tokens.status().is_refreshing() {
                tokio::task::yield_now().await;
            }
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(10));
            for caller in callers {
                assert_eq!(soon(caller).await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
            }
            clock.advance(Duration::from_secs(11));
            assert_eq!(soon(tokens.token()).await.unwrap().expose_secret(), "at");
        }
    }
}
