//! What the server's thread and its handle share.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    Answer, ApiFault, Counters, Fault, Fingerprint, Login, RandomFaults,
    api_history::ApiHistory,
    doors::Doors,
    fault::{Changes, RefreshField},
    grants::{self, Directory},
    history::{History, Presented},
    hold::{Holds, Stage},
    policy::{Policy, Rotation},
    refusal::Refusal,
    script::Script,
    token_request::TokenRequest,
    tokens::{Issued, Tokens},
};

/// One server's state. Requests are served on one thread, so the lock is contended only while the
/// handle looks in.
pub(crate) struct Shared {
    directory: Directory,
    pub(crate) doors: Doors,
    /// Whether `/control` is there.
    pub(crate) control: bool,
    started: Instant,
    state: Mutex<State>,
    /// How many token requests have arrived.
    arrivals: watch::Sender<u64>,
}

pub(crate) struct State {
    pub(crate) policy: Policy,
    pub(crate) tokens: Tokens,
    pub(crate) script: Script<Fault>,
    pub(crate) random: Option<RandomFaults>,
    /// Every answer's `Date` is off by so many seconds.
    pub(crate) date_skew: i64,
    pub(crate) api_delay: Duration,
    pub(crate) api_script: Script<ApiFault>,
    pub(crate) api_history: ApiHistory,
    pub(crate) history: History,
    pub(crate) holds: Holds,
    pub(crate) counters: Counters,
}

impl State {
    /// Ends the family of this token. False if there is none, or it had ended before.
    pub(crate) fn revoke_family_of(&mut self, token: &str) -> bool {
        let revoked = self.tokens.revoke_family_of(token);
        self.counters.families_revoked += u64::from(revoked);
        revoked
    }
}

impl Shared {
    pub(crate) fn new(
        directory: Directory,
        policy: Policy,
        tokens: Tokens,
        doors: Doors,
        control: bool,
    ) -> Self {
        let state = State {
            policy,
            tokens,
            script: Script::default(),
            random: None,
            date_skew: 0,
            api_delay: Duration::ZERO,
            api_script: Script::default(),
            api_history: ApiHistory::default(),
            history: History::default(),
            holds: Holds::default(),
            counters: Counters::default(),
        };
        Self {
            directory,
            doors,
            control,
            started: Instant::now(),
            state: Mutex::new(state),
            arrivals: watch::Sender::new(0),
        }
    }

    pub(crate) fn started_at(&self) -> Instant {
        self.started
    }

    /// Time since the server's start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// No code panics while it holds the lock; a poisoned one would still hold whole entries.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn date_skew(&self) -> i64 {
        self.state().date_skew
    }

    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Opens a family for this client, known or not.
    pub(crate) fn sign_in(&self, client_id: &str) -> Login {
        let now = self.now();
        let state = &mut *self.state();
        Login::new(state.tokens.sign_in(&state.policy, client_id, now))
    }

    /// Takes note of a token request that has been read; gives its place in the history and the
    /// fault that is due.
    pub(crate) fn token_request_arrived(&self, request: &TokenRequest) -> (u64, Fault) {
        let arrived = {
            let state = &mut *self.state();
            let place = self.record_arrival(state, Some(request));
            (place, state.script.next(|| state.random.as_mut().map(RandomFaults::draw)))
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

    /// Carries a token request out, with what these changes ask of the rules.
    pub(crate) fn perform(
        &self,
        request: &TokenRequest,
        changes: &Changes,
    ) -> Result<Issued, Refusal> {
        let mut state = self.state();
        if changes.kill_family
            && let Some(token) = request.parameter("refresh_token")
        {
            state.revoke_family_of(token);
        }
        let State { policy, tokens, counters, .. } = &mut *state;
        // Who leaves the token out, or repeats it, has not rotated it.
        let rotation = match changes.refresh_token {
            None => policy.rotation,
            Some(RefreshField::Repeated) => Rotation::Repeat,
            Some(_) => Rotation::Omit,
        };
        let policy = Policy { rotation, ..policy.clone() };
        let outcome = grants::perform(&self.directory, &policy, tokens, request, self.now());
        match &outcome {
            Ok(issued) => {
                counters.tokens_issued += 1;
                counters.accepted_in_grace += u64::from(issued.in_grace);
            }
            Err(Refusal::ReuseDetected) => {
                counters.reuse_detected += 1;
                counters.families_revoked += 1;
            }
            Err(_) => {}
        }
        outcome
    }

    /// Waits while somebody holds the request at this stage, and tells them when its sender `left`.
    pub(crate) async fn hold_up(
        &self,
        sequence: u64,
        stage: Stage,
        left: impl Future<Output = ()>,
    ) {
        let held = {
            let State { holds, history, .. } = &mut *self.state();
            holds.come(stage, || history.entry(sequence).cloned())
        };
        let Some((mut released, tell_left)) = held else { return };
        // Nothing is ever sent: it ends when the other side is dropped.
        tokio::select! {
            _ = &mut released => return,
            () = left => drop(tell_left),
        }
        _ = released.await;
    }

    /// Takes note of what the server's own rules came to for a token request.
    pub(crate) fn token_request_decided(&self, sequence: u64, decision: Answer) {
        let now = self.now();
        self.state().history.decided(sequence, now, decision);
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
                request_id: request.id().map(str::to_owned),
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
