//! Where a process waits to be killed, stopped or let go.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::history::What;
use crate::step::Step;

use super::log::Log;

pub(super) struct Steps {
    log: Arc<Log>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    armed: Option<Step>,
    waiting: Option<oneshot::Sender<()>>,
}

impl Steps {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self { log, state: Mutex::default() }
    }

    /// Waits here if this process is armed for this step.
    pub(super) async fn reach(&self, grant: u32, step: Step) {
        let go = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.armed != Some(step) {
                return;
            }
            state.armed = None;
            let (sender, go) = oneshot::channel();
            state.waiting = Some(sender);
            go
        };
        self.log.write(Some(grant), What::Reached(step));
        // It ends with `go`, and with the sender.
        let _ = go.await;
    }

    pub(super) fn arm(&self, step: Step) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).armed = Some(step);
    }

    pub(super) fn disarm(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }

    pub(super) fn go(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting = None;
    }
}
