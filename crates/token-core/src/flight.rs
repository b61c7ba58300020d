//! One refresh, however many wait for it.

use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::error::Error;
use crate::token::Token;

/// A refresh under way. It *lands* once: everyone who waits, on whatever runtime, gets its result, success or failure.
/// It *ends* when nothing of it is left to do: usually at once, later where the store failed to take the answer.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    /// It only brings the store up to date, and nobody who wants a token shares its failure.
    pub(crate) repairs: bool,
    result: OnceLock<Result<Token, Error>>,
    landed: Notify,
    over: AtomicBool,
    ended: Notify,
}

impl Flight {
    pub(crate) fn new(repairs: bool) -> Self {
        Self { repairs, ..Self::default() }
    }

    pub(crate) fn land(&self, result: Result<Token, Error>) {
        // The first result counts: a flight that landed on memory lands again when the store has its answer.
        if self.result.set(result).is_ok() {
            self.landed.notify_waiters();
        }
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.ended.notify_waiters();
    }

    /// Waits for the result. Allocates nothing.
    ///
    /// # Cancel safety
    ///
    /// A waiter that is dropped changes nothing for the flight or for others.
    pub(crate) async fn landed(&self) -> Result<Token, Error> {
        loop {
            if let Some(result) = self.result.get() {
                return result.clone();
            }
            // Registered before the second look, or a landing in between would be missed.
            let mut landed = pin!(self.landed.notified());
            landed.as_mut().enable();
            if self.result.get().is_none() {
                landed.await;
            }
        }
    }

    pub(crate) async fn ended(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.over.load(Ordering::Acquire) {
                return;
            }
            ended.await;
        }
    }
}
