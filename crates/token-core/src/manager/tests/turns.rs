//! Grants whose exchange uses nothing up, in more than one process.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::{Script, TestStore, run, settle};
use crate::clock::ManualClock;
use crate::error::Error;
use crate::manager::{Health, TokenManager};
use crate::refresher::{RefreshError, Spends};
use crate::token::{Token, TokenSet};

const SECOND: Duration = Duration::from_secs(1);
/// Longer than a token lives.
const DAY: Duration = Duration::from_secs(86_400);

/// Processes that share a grant. The server answers as often as the gate has permits.
struct Site {
    spends: Spends,
    script: Script,
    gate: Arc<Semaphore>,
    clock: ManualClock,
    store: TestStore,
}

impl Site {
    fn new(spends: Spends) -> Self {
        let (gate, clock) = (Arc::new(Semaphore::new(0)), ManualClock::new());
        let script = Script::with_gate(spends, Some(Arc::clone(&gate)));
        let store = TestStore { clock: Some(clock.clone()), ..TestStore::default() };
        Self { spends, script, gate, clock, store }
    }

    fn process(&self) -> TokenManager {
        let builder = TokenManager::builder(self.script.clone())
            .clock(self.clock.clone())
            .store(self.store.clone());
        match self.spends {
            Spends::Nothing => builder.build().unwrap(),
            _ => builder.seed(TokenSet::from_refresh_token("rt-0")).build().unwrap(),
        }
    }
}

/// Somebody asks for a token.
fn ask(tokens: &TokenManager) -> JoinHandle<Result<Token, Error>> {
    let tokens = tokens.clone();
    tokio::spawn(async move { tokens.token().await })
}

#[test]
pub(crate) fn of_two_processes_one_asks_though_nothing_is_used_up() {
    for spends in [Spends::Nothing, Spends::Reusable] {
        run(async {
            let site = Site::new(spends);
            let both = [site.process(), site.process()];
            for round in 1..=3 {
                let asking = both.each_ref().map(ask);
                settle().await;
                assert_eq!(site.script.calls(), round, "{spends:?}");
                site.gate.add_permits(1);
                for token in asking {
                    let token = token.await.unwrap().unwrap();
                    assert_eq!(token.expose_secret(), format!("at-{round}"), "{spends:?}");
                }
                settle().await;
                assert_eq!(site.script.calls(), round, "{spends:?}");
                site.clock.advance(DAY);
            }
        });
    }
}

#[test]
fn a_turn_that_nobody_ends_is_over_after_the_time_of_an_attempt() {
    let site = Site::new(Spends::Nothing);
    let gone = site.process();
    // Its runtime goes away in the middle of the exchange.
    run(async {
        ask(&gone);
        settle().await;
    });
    assert_eq!(site.script.calls(), 1);
    run(async {
        let asking = ask(&site.process());
        settle().await;
        site.clock.advance(10 * SECOND);
        settle().await;
        assert_eq!(site.script.calls(), 1);
        site.clock.advance(SECOND);
        settle().await;
        site.gate.add_permits(1);
        assert_eq!(asking.await.unwrap().unwrap().expose_secret(), "at-2");
    });
}

#[test]
fn a_failure_gives_the_turn_back() {
    run(async {
        let site = Site::new(Spends::Nothing);
        site.gate.add_permits(100);
        for failure in [
            RefreshError::ambiguous("x"),
            RefreshError::not_sent("x"),
            RefreshError::rejected("x"),
            RefreshError::configuration("x"),
            RefreshError::invalid_grant(),
        ] {
            let (one, other, before) = (site.process(), site.process(), site.script.calls());
            site.script.fail([failure]);
            one.refresh_now().await.unwrap_err();
            other.refresh_now().await.unwrap();
            assert_eq!(site.script.calls(), before + 2);
        }
    });
}

#[test]
fn without_the_store_each_process_asks_for_itself_and_with_it_they_have_the_same_again() {
    run(async {
        let site = Site::new(Spends::Nothing);
        site.gate.add_permits(100);
        site.store.failing.store(usize::MAX, Ordering::SeqCst);
        let both = [site.process(), site.process()];
        for tokens in &both {
            tokens.token().await.unwrap();
        }
        assert_eq!(site.script.calls(), 2);
        site.store.failing.store(0, Ordering::SeqCst);
        site.clock.advance(DAY);
        for tokens in &both {
            assert_eq!(tokens.token().await.unwrap().expose_secret(), "at-3");
        }
        assert_eq!(site.script.calls(), 3);
    });
}

#[test]
fn the_record_of_a_first_turn_is_no_token_and_no_news() {
    run(async {
        let site = Site::new(Spends::Nothing);
        let (first, other) = (site.process(), site.process());
        let mut events = other.events();
        let asking = [ask(&first), ask(&other)];
        settle().await;
        let status = other.status();
        assert_eq!((status.health(), status.needs_login()), (Health::Unknown, false));
        assert!(other.cached().is_none());
        let mut next = pin!(events.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        site.gate.add_permits(1);
        for token in asking {
            token.await.unwrap().unwrap();
        }
    });
}
