//! The processes, the store, the server and what is on its way between them: one state, and what a step makes of it.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Write};
use std::hash::Hasher;
use std::time::Duration;

use super::process::{LIFETIME, Process, generation_of, spends, tokens};
use super::steps::Step;
use super::store::Store;
use super::{Found, Scope};
use crate::clock::Moment;
use crate::protocol::action::{Action, Context, Event};
use crate::protocol::replica::{Demand, Fate, Note};
use crate::record::Record;
use crate::refresher::RefreshError;
use crate::store::{Expect, Liveness, Stamp, StoreError, StoreErrorKind};
use crate::token::TokenSet;
use crate::version::Version;

/// Hashes what is written to it.
struct Hashed(DefaultHasher);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) scope: Scope,
    pub(super) processes: Vec<Process>,
    pub(super) store: Store,
    pub(super) server: Server,
    pub(super) requests: Vec<Request>,
    start: Moment,
    pub(super) now: Moment,
    pub(super) crashes: u32,
    pub(super) store_faults: u32,
    pub(super) jumps: u32,
    pub(super) path: Vec<Step>,
}

/// The authorization server: one live refresh token, named by its generation.
#[derive(Clone, Debug, Default)]
pub(super) struct Server {
    pub(super) live: u64,
    pub(super) revoked: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Request {
    /// Who waits for the answer: the process, its incarnation, and which of its steps sent it.
    from: (usize, u8, u64),
    generation: u64,
}

impl World {
    pub(super) fn new(scope: Scope) -> Self {
        let now = Moment::new(Duration::from_secs(1_000_000), Duration::from_secs(2_000_000));
        let processes = (0..scope.processes).map(|_| Process::new(scope, now, 0)).collect();
        let world = Self {
            scope,
            processes,
            store: Store::new(),
            server: Server::default(),
            requests: Vec::new(),
            start: now,
            now,
            crashes: scope.crashes,
            store_faults: scope.store_faults,
            jumps: scope.jumps,
            path: Vec::new(),
        };
        if !scope.empty {
            let seed = world.processes[0].replica.seed.clone().unwrap();
            let record = Record::brought(Version::FIRST, seed.tokens, seed.at)
                .with_seeds(Vec::new(), Some(seed.fingerprint));
            world.store.swap(Expect::Absent, Stamp::from_bytes([9; 16]), &record);
        }
        world
    }

    pub(super) fn fingerprint(&self) -> u64 {
        let mut text = Hashed(DefaultHasher::new());
        let stored = self.store.stored();
        let Self { processes, server, requests, now, crashes, store_faults, jumps, .. } = self;
        let rest = (server, requests, now, crashes, store_faults, jumps);
        write!(text, "{processes:?}{stored:?}{rest:?}").unwrap();
        text.0.finish()
    }

    pub(super) fn holder(&self, attempt: Stamp) -> Liveness {
        let [process, incarnation, ..] = attempt.to_bytes();
        let gone = self.processes[usize::from(process) - 1].incarnation > incarnation;
        if gone && self.scope.tells_dead_holder { Liveness::Dead } else { Liveness::Alive }
    }

    pub(super) fn take(&mut self, step: Step, found: &mut Found) {
        let live = self.server.live;
        let known_before = self.is_known(live);
        let stored_before = self.store.stored().map(|stored| stored.record.version);
        match step {
            Step::Begin(n) => self.begin(n),
            Step::Perform(n) => {
                let event = self.perform(n);
                self.processes[n].result = Some(event);
                self.deliver(n, found);
            }
            Step::PerformAndPause(n) => {
                let event = self.perform(n);
                self.processes[n].result = Some(event);
            }
            Step::FailStore { process: n, applied } => {
                self.store_faults -= 1;
                if applied {
                    self.perform(n);
                }
                let error = StoreError::new(StoreErrorKind::Indeterminate, "explored");
                self.processes[n].result = Some(match self.processes[n].action {
                    Some(Action::Load) => Event::Loaded(Err(error)),
                    _ => Event::Swapped(Err(error)),
                });
                self.deliver(n, found);
            }
            Step::Deliver(n) => self.deliver(n, found),
            Step::NotSent(n) => {
                let result = Err(RefreshError::not_sent("explored"));
                self.processes[n].result = Some(Event::Exchanged { sent: self.now, result });
                self.deliver(n, found);
            }
            Step::Send(n) => {
                let process = &mut self.processes[n];
                let Some(Action::Exchange { tokens: Some(tokens) }) = &process.action else {
                    unreachable!()
                };
                let generation = generation_of(tokens);
                process.waiting = true;
                process.sent_at = Some(self.now);
                self.requests
                    .push(Request { from: (n, process.incarnation, process.steps), generation });
            }
            Step::Serve(n) => {
                let request = self.requests.remove(n);
                self.serve(&request, found);
            }
            Step::GiveUp(n) => {
                let sent = self.processes[n].sent_at.unwrap_or(self.now);
                let result = Err(RefreshError::ambiguous("explored"));
                self.processes[n].result = Some(Event::Exchanged { sent, result });
                self.deliver(n, found);
            }
            Step::Crash(n) => {
                self.crashes -= 1;
                let dead = &self.processes[n];
                let mut process = Process::new(self.scope, self.start, dead.incarnation + 1);
                process.flights = dead.flights;
                self.processes[n] = process;
            }
            Step::JumpPastQuarantine => self.jump(self.quarantine()),
            Step::JumpPastExpiry => self.jump(LIFETIME),
        }
        let stored_after = self.store.stored().map(|stored| stored.record.version);
        assert!(stored_after >= stored_before, "the stored version went down: {:?}", self.path);
        // Only the network and a crash may lose the live token; no decision may.
        let by_decision = !matches!(step, Step::Crash(_) | Step::GiveUp(_) | Step::Serve(_));
        if by_decision && known_before && !self.server.revoked {
            assert!(self.is_known(live), "the live token was thrown away: {:?}", self.path);
        }
    }

    fn begin(&mut self, n: usize) {
        let now = self.now;
        let process = &mut self.processes[n];
        process.flights -= 1;
        let known = process.replica.known().map(|known| known.record.version);
        let newer_than = Some(known.unwrap_or(Version::FIRST));
        let fresh = process.fresh(n);
        let demand = Demand { newer_than, ..Demand::default() };
        let action = process.replica.begin(demand, &Context { now, fresh, spends: &spends });
        process.action = Some(action);
        process.rest();
    }

    /// Performs a process's action on the store, or ends its wait.
    fn perform(&mut self, n: usize) -> Event {
        match self.processes[n].action.clone() {
            Some(Action::Load) => Event::Loaded(Ok(self.store.stored())),
            Some(Action::Swap { expect, stamp, record }) => {
                Event::Swapped(Ok(self.store.swap(expect, stamp, &record)))
            }
            Some(Action::AskHolder { attempt }) => Event::Holder(self.holder(attempt)),
            _ => {
                // A watch for the dead takes a second, which changes nothing for anybody else.
                if let Some(Some(seen)) = &mut self.processes[n].replica.seen {
                    seen.holder_asked = None;
                }
                Event::Woken
            }
        }
    }

    fn deliver(&mut self, n: usize, found: &mut Found) {
        let now = self.now;
        let process = &mut self.processes[n];
        let Some(event) = process.result.take() else { unreachable!() };
        process.waiting = false;
        process.sent_at = None;
        let fresh = process.fresh(n);
        let action = process.replica.step(event, &Context { now, fresh, spends: &spends });
        for note in process.replica.take_notes() {
            match note {
                Note::TakenOver { .. } => found.takeovers += 1,
                Note::CommitDelayed => found.late_commits += 1,
                _ => {}
            }
        }
        process.action = Some(action);
        process.rest();
    }

    fn serve(&mut self, request: &Request, found: &mut Found) {
        let result = if request.generation == self.server.live {
            self.server.live += 1;
            Ok(tokens(self.server.live))
        } else {
            // The first use of an older token is what a server takes for theft.
            let live = self.server.live;
            assert!(
                !self.is_known(live),
                "avoidable loss: the live token was there: {:?}",
                self.path
            );
            let serves = self.serves_until().is_some_and(|end| end > self.now.wall());
            assert!(!serves, "an access token that still served was lost: {:?}", self.path);
            self.server.revoked = true;
            found.unavoidable += 1;
            Err(RefreshError::invalid_grant())
        };
        let (n, incarnation, steps) = request.from;
        let process = &mut self.processes[n];
        if (process.incarnation, process.steps) == (incarnation, steps)
            && process.waiting
            && process.result.is_none()
        {
            let sent = process.sent_at.unwrap_or(self.now);
            process.result = Some(Event::Exchanged { sent, result });
        }
    }

    /// When the newest access token that anybody has ends (wall).
    fn serves_until(&self) -> Option<Duration> {
        let stored = self.store.stored().and_then(|stored| stored.record.tokens.ends());
        let known = |process: &Process| {
            process.replica.known().and_then(|known| known.record.tokens.ends())
        };
        self.processes.iter().filter_map(known).chain(stored).max()
    }

    /// How long nobody's intent is touched: to the end of this the shorter jumps go.
    pub(super) fn quarantine(&self) -> Duration {
        let policy = &self.processes[0].replica.policy;
        if self.scope.tells_dead_holder { policy.settling() } else { policy.quarantine() }
    }

    fn jump(&mut self, by: Duration) {
        self.jumps -= 1;
        // What was under way is over by now; not to be served at all is the loss of a request.
        self.requests.clear();
        self.now = Moment::new(self.now.monotonic() + by, self.now.wall() + by);
    }

    /// Whether the refresh token of this generation is anywhere where it is not lost.
    fn is_known(&self, generation: u64) -> bool {
        let is = |tokens: &TokenSet| generation_of(tokens) == generation;
        self.store.stored().is_some_and(|stored| is(&stored.record.tokens))
            || (self.store.stored().is_none() && generation == 0)
            || self.processes.iter().any(|process| {
                let answered = match process.replica.attempt.as_ref().map(|attempt| &attempt.fate) {
                    Some(Fate::Answered { record, .. }) => is(&record.tokens),
                    _ => false,
                };
                let arrived = match &process.result {
                    Some(Event::Exchanged { result: Ok(tokens), .. }) => is(tokens),
                    _ => false,
                };
                answered
                    || arrived
                    || process.replica.known().is_some_and(|known| is(&known.record.tokens))
            })
    }
}
