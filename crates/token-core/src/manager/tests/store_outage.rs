//! A store that takes no writes just when somebody holds the only copy of the live token.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::faulty::Faulty;
use super::{Script, run, settle};
use crate::clock::ManualClock;
use crate::event::Event;
use crate::manager::{TokenManager, TokenManagerBuilder};
use crate::refresher::Spends;
use crate::token::TokenSet;

fn manager(script: &Script, store: &Faulty, clock: &ManualClock) -> TokenManagerBuilder {
    TokenManager::builder(script.clone())
        .store(store.clone())
        .clock(clock.clone())
        .seed(TokenSet::from_refresh_token("rt-0"))
}

#[test]
fn who_could_not_take_over_lets_the_holder_store_its_answer_first() {
    for outage in [12, 25, 31, 47, 60, 95] {
        run(async {
            let (clock, store) = (ManualClock::new(), Faulty::default());
            let gate = Arc::new(Semaphore::new(0));
            let holder = Script::with_gate(Spends::RefreshToken, Some(Arc::clone(&gate)));
            let tokens = manager(&holder, &store, &clock).build().unwrap();
            let mut alarms = tokens.events();
            let caller = tokio::spawn({
                let tokens = tokens.clone();
                async move { tokens.token().await }
            });
            settle().await;
            store.read_only.store(true, Ordering::SeqCst);
            gate.add_permits(1);
            assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "at-1");
            assert!(tokens.status().has_unsaved_tokens());

            let others = Script::new(Spends::RefreshToken);
            let other = manager(&others, &store, &clock).build().unwrap();
            let mut events = other.events();
            for second in 0..outage + 60 {
                if second == outage {
                    store.read_only.store(false, Ordering::SeqCst);
                }
                let asking = tokio::spawn({
                    let other = other.clone();
                    async move { other.token().await.map(drop) }
                });
                settle().await;
                clock.advance(Duration::from_secs(1));
                settle().await;
                asking.abort();
            }
            assert!(others.presented().is_empty(), "after {outage} s: {:?}", others.presented());
            assert!(!tokens.status().has_unsaved_tokens());
            assert_eq!(other.token().await.unwrap().expose_secret(), "at-1");
            drop((other, tokens));
            let mut delayed = 0;
            while let Some(event) = alarms.next().await {
                delayed += u32::from(matches!(event, Event::CommitDelayed { .. }));
            }
            assert_eq!(delayed, 1, "one alarm for an outage");
            while let Some(event) = events.next().await {
                assert!(!matches!(event, Event::TakenOver), "nothing was");
            }
        });
    }
}
