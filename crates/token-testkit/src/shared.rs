//! What the server's thread and its handle share.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::watch;

use crate::{
    Answer, ApiFault, Counters, Dialect, Fault, Fingerprint, Login, RandomFaults,
    api_history::ApiHistory,
    client::Clients,
    date::skewed,
    dialect::Wire,
    doors::Doors,
    fault::{Changes, RefreshField},
    grants,
    history::{History, Presented},
    hold::{Holds, Stage},
    policy::{Policy, Rotation},
    refusal::Refusal,
    script::Script,
    token_request::TokenRequest,
    tokens::{Holder, Issued, Tokens},
    users::Users,
};

/// One server's state. Requests are served on one thread, so the lock is contended only while the
/// handle looks in.
pub(crate) struct Shared {
    pub(crate) dialect: Dialect,
    pub(crate) wire: Box<dyn Wire>,
    pub(crate) clients: Clients,
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
    pub(crate) users: Users,
    pub(crate) tokens: Tokens,
    pub(crate) script: Script<Fault>,
    pub(crate) random: Option<RandomFaults>,
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

/// What is set before the start.
pub(crate) struct Setup {
    pub(crate) dialect: Dialect,
    pub(crate) wire: Box<dyn Wire>,
    pub(crate) clients: Clients,
    pub(crate) users: Users,
    pub(crate) policy: Policy,
    pub(crate) control: bool,
}

impl Shared {
    pub(crate) fn new(setup: Setup, tokens: Tokens, doors: Doors) -> Self {
        let Setup { dialect, wire, clients, users, policy, control } = setup;
        let state = State {
            policy,
            users,
            tokens,
            script: Script::default(),
            random: None,
            api_delay: Duration::ZERO,
            api_script: Script::default(),
            api_history: ApiHistory::default(),
            history: History::default(),
            holds: Holds::default(),
            counters: Counters::default(),
        };
        Self {
            dialect,
            wire,
            clients,
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
        self.state().policy.date_skew
    }

    /// The time by the server's clock.
    pub(crate) fn wall_clock(&self) -> SystemTime {
        skewed(SystemTime::now(), self.date_skew())
    }

    pub(crate) fn arrivals(&self) -> watch::Receiver<u64> {
        self.arrivals.subscribe()
    }

    /// Opens a family for this client, or this user where the dialect has no clients; known or not.
    pub(crate) fn sign_in(&self, id: &str) -> Login {
        let now = self.now();
        let holder = match self.dialect.has_clients() {
            true => Holder::from(id),
            false => Holder { user: Some(id.to_owned()), ..Holder::default() },
        };
        let state = &mut *self.state();
        Login::new(state.tokens.sign_in(&state.policy, holder, now))
    }

    /// A service token of this user.
    pub(crate) fn service_token(&self, user: &str, lifetime: Option<Duration>) -> String {
        let now = self.now();
        let state = &mut *self.state();
        state.tokens.service_token(&state.policy, user, lifetime, now).access
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
        let State { policy, users, tokens, counters, .. } = &mut *state;
        // Who leaves the token out, or repeats it, has not rotated it.
        let rotation = match changes.refresh_token {
            None => policy.rotation,
            Some(RefreshField::Repeated) => Rotation::Repeat,
            Some(_) => Rotation::Omit,
        };
        let policy = Policy { rotation, ..policy.clone() };
        let outcome = grants::perform(&self.clients, users, &policy, tokens, request, self.now());
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
                grant_type: request.grant_type().map(str::to_owned),
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
