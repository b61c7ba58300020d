//! A process that stood still while its answer arrived.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::{run, settle};
use crate::clock::ManualClock;
use crate::manager::TokenManager;
use crate::refresher::{RefreshError, Refresher, Spends};
use crate::token::TokenSet;

/// An answer that other tasks have to bring, as those of an HTTP client do.
struct InTheSocket(Arc<Semaphore>);

impl Refresher for InTheSocket {
    async fn refresh(&self, _: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let arrived = Arc::clone(&self.0);
        let connection = tokio::spawn(async move {
            let _arrived = arrived.acquire().await;
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        });
        let _ = connection.await;
        Ok(TokenSet::new("at-1").with_refresh_token("rt-1"))
    }

    fn spends(&self, _: Option<&TokenSet>) -> Spends {
        Spends::RefreshToken
    }
}

#[test]
fn an_answer_that_waits_in_the_socket_is_taken_after_the_deadline() {
    run(async {
        let (clock, socket) = (ManualClock::new(), Arc::new(Semaphore::new(0)));
        let tokens = TokenManager::builder(InTheSocket(Arc::clone(&socket)))
            .clock(clock.clone())
            .seed(TokenSet::from_refresh_token("rt-0"))
            .build()
            .unwrap();
        let caller = tokio::spawn(async move { tokens.token().await });
        settle().await;
        clock.advance(Duration::from_secs(20));
        socket.add_permits(1);
        assert_eq!(caller.await.unwrap().unwrap().expose_secret(), "at-1");
    });
}
