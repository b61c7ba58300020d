//! What the server's thread and its handle share.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    Answer, Counters, Fault, Fingerprint,
    api_fault::ApiScript,
    api_history::ApiHistory,
    fault::Script,
    grants::{self, Directory},
    history::{History, Presented},
    policy::Policy,
    refusal::Refusal,
    token_request::TokenRequest,
    tokens::{Issued, Tokens},
};

/// One server's state. Requests are served on one thread, so the lock is contended only while the
/// handle looks in.
pub(crate) struct Shared {
    directory: Directory,
    started: Instant,
    state: Mutex<State>,
    /// How many token requests have arrived.
    arrivals: watch::Sender<u64>,
}

pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) tokens: Tokens,
    pub(crate) script: Script,
    pub(crate) api_delay: Duration,
    pub(crate) api_script: ApiScript,
    pub(crate) api_history: ApiHistory,
    pub(crate) history: History,
    pub(crate) counters: Counters,
}

impl Shared {
    pub(crate) fn new(directory: Directory, policy: Policy, tokens: Tokens) -> Self {
        let state = State {
            policy,
            tokens,
            script: Script::default(),
            api_delay: Duration::ZERO,
            api_script: ApiScript::default(),
            api_history: ApiHistory::default(),
            history: History::default(),
            counters: Counters::default(),
        };
        Self {
            directory,
            started: Instant::now(),
            state: Mutex::new(state),
            arrivals: watch::Sender::new(0),
        }
    }

    /// Time since the server's start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// No code panics while it holds the lock; a poisoned one would still hold whole entries.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Takes note of a token request that has been read; gives its place in the history and the
    /// fault that is due.
    pub(crate) fn token_request_arrived(&self, request: &TokenRequest) -> (u64, Fault) {
        let arrived = {
            let mut state = self.state();
            (self.record_arrival(&mut state, Some(request)), state.script.next())
        };
        self.announce_arrival();
        arrived
    }

    /// Takes note of a token request whose sender left before it had been read. No fault is used up.
    pub(crate) fn token_request_broke_off(&self) {
        {
            let mut state = self.state();
            let sequence = self.record_arrival(&mut state, None);
            state.history.ended(sequence, self.now(), Answer::NoAnswer { processed: false });
        }
        self.announce_arrival();
    }

    /// Carries a token request out.
    pub(crate) fn perform(&self, request: &TokenRequest) -> Result<Issued, Refusal> {
        let mut state = self.state();
        let State { policy, tokens, counters, .. } = &mut *state;
        let outcome = grants::perform(&self.directory, policy, tokens, request, self.now());
        match outcome {
            Ok(_) => counters.tokens_issued += 1,
            Err(Refusal::ReuseDetected) => {
                counters.reuse_detected += 1;
                counters.families_revoked += 1;
            }
            Err(_) => {}
        }
        outcome
    }

    /// Takes note of what became of a token request.
    pub(crate) fn token_request_ended(&self, sequence: u64, answer: Answer) {
        let now = self.now();
        self.state().history.ended(sequence, now, answer);
    }

    fn record_arrival(&self, state: &mut State, request: Option<&TokenRequest>) -> u64 {
        let presented = request.map_or_else(Presented::default, |request| {
            let refresh_token = request.parameter("refresh_token");
            Presented {
                client: request.claimed_client().map(str::to_owned),
                grant_type: request.parameter("grant_type").map(str::to_owned),
                presented: refresh_token.map(Fingerprint::of),
                lineage: refresh_token.and_then(|token| state.tokens.lineage(token)),
            }
        });
        let (sequence, in_flight) = state.history.arrived(self.now(), presented);
        let counters = &mut state.counters;
        counters.token_requests += 1;
        counters.token_requests_in_flight_max =
            counters.token_requests_in_flight_max.max(in_flight);
        sequence
    }

    /// Not under the lock: it wakes others, who may want the lock at once.
    fn announce_arrival(&self) {
        self.arrivals.send_modify(|seen| *seen += 1);
    }
}
