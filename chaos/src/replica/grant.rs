//! What the parts of one grant in one process share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::history::What;
use crate::mark::Mark;
use crate::request;
use crate::step::Step;

use super::log::Log;
use super::steps::Steps;

pub(super) struct Grant {
    process: u32,
    number: u32,
    log: Arc<Log>,
    steps: Arc<Steps>,
    exchanges: AtomicU64,
    /// The refresh token of the last answer: the write that stores it is the commit.
    answered: Mutex<Option<Mark>>,
}

impl Grant {
    pub(super) fn new(process: u32, number: u32, log: Arc<Log>, steps: Arc<Steps>) -> Self {
        Self {
            process,
            number,
            log,
            steps,
            exchanges: AtomicU64::new(0),
            answered: Mutex::default(),
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn tell(&self, what: What) {
        self.log.write(Some(self.number), what);
    }

    pub(super) async fn reach(&self, step: Step) {
        self.steps.reach(self.number, step).await;
    }

    /// The number of the exchange that begins now.
    pub(super) fn next_exchange(&self) -> u64 {
        self.exchanges.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn this_exchange(&self) -> u64 {
        self.exchanges.load(Ordering::Relaxed)
    }

    /// The id under which the server's history has the exchange that is under way.
    pub(super) fn request_id(&self) -> String {
        request::id(self.process, self.number, self.this_exchange())
    }

    pub(super) fn answered(&self, refresh: Option<Mark>) {
        *self.answered.lock().unwrap_or_else(PoisonError::into_inner) = refresh;
    }

    /// Whether a write with this refresh token is the commit of the last answer.
    pub(super) fn is_commit(&self, refresh: Option<Mark>) -> bool {
        refresh.is_some()
            && *self.answered.lock().unwrap_or_else(PoisonError::into_inner) == refresh
    }

    pub(super) fn login_begins(&self, refresh: &str) {
        self.tell(What::Login { refresh: Mark::of(refresh) });
    }

    pub(super) fn login_ended(&self, stored: bool) {
        self.tell(What::LoggedIn { stored });
    }
}
