//! Every interleaving of several processes that share a [`MemoryStore`], with crashes, timeouts and pauses between any
//! two steps, against a server that revokes the family when a refresh token is used twice.
//!
//! What is assumed, and is the protocol's assumption too: a request and its sender's wait for the answer are over within
//! the quarantine. What is not: that anybody's steps follow each other soon.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Debug, Write};
use std::future::Future;
use std::hash::Hasher;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use super::flight::{Action, Context, Event, Swapped};
use super::replica::{Demand, Fate, Policy, Replica, Seed, UnknownOutcome};
use crate::clock::Moment;
use crate::freshness::Freshness;
use crate::key::{StoreKey, TokenKey};
use crate::record::Record;
use crate::refresher::{RefreshError, Spends};
use crate::store::{
    Durability, Expect, MemoryStore, Stamp, StoreError, StoreErrorKind, Swap, TokenStore, Versioned,
};
use crate::token::TokenSet;
use crate::version::Version;

/// How long the server's access tokens live: longer than any quarantine.
const LIFETIME: Duration = Duration::from_secs(1_000);

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) processes: usize,
    /// Flights that each process may begin.
    pub(crate) flights: u32,
    pub(crate) crashes: u32,
    /// Store operations that fail, with or without effect.
    pub(crate) store_faults: u32,
    /// Jumps of time, to the end of the quarantine and to the end of the access token.
    pub(crate) jumps: u32,
    pub(crate) rule: UnknownOutcome,
    /// Whether a process may be paused between a write and the sight of its result, and requests may fail unsent.
    pub(crate) pauses: bool,
    /// Whether the store is empty at first, so that the processes race for the seed too.
    pub(crate) empty: bool,
}

/// What an exploration came across, so that a test can see that it was not vacuous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) newest_generation: u64,
    /// Revocations that nobody could have avoided: the answer was lost with its reader.
    pub(crate) unavoidable: usize,
    pub(crate) takeovers: usize,
    pub(crate) late_commits: usize,
}

/// Explores everything within the scope.
///
/// # Panics
///
/// A rule was broken; the message has the steps that led there.
pub(crate) fn explore(scope: Scope) -> Found {
    let mut found = Found::default();
    let mut visited = HashSet::new();
    let mut open = vec![World::new(scope)];
    while let Some(world) = open.pop() {
        if !visited.insert(world.fingerprint()) {
            continue;
        }
        found.states += 1;
        found.newest_generation = found.newest_generation.max(world.server.live);
        for step in world.steps() {
            let mut next = world.clone();
            next.path.push(step);
            next.take(step, &mut found);
            open.push(next);
        }
    }
    found
}

/// Hashes what is written to it.
struct Hashed(DefaultHasher);

impl fmt::Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Begin(usize),
    /// Performs the action that the process waits for. The process goes on at once: that nobody else sees, so a later
    /// time would lead to the same. Only the send gate looks at the time between.
    Perform(usize),
    /// Performs it, and the process is paused before it sees the result.
    PerformAndPause(usize),
    /// The store fails: before or after the write.
    FailStore {
        process: usize,
        applied: bool,
    },
    /// The process sees the result, and goes on.
    Deliver(usize),
    NotSent(usize),
    Send(usize),
    /// The server carries a request out, whether its sender waits or not.
    Serve(usize),
    GiveUp(usize),
    Crash(usize),
    JumpPastQuarantine,
    JumpPastExpiry,
}

#[derive(Clone, Debug)]
struct World {
    scope: Scope,
    processes: Vec<Process>,
    store: Forked,
    key: StoreKey,
    server: Server,
    requests: Vec<Request>,
    start: Moment,
    now: Moment,
    crashes: u32,
    store_faults: u32,
    jumps: u32,
    path: Vec<Step>,
}

/// A store whose clones go ways of their own.
#[derive(Debug)]
struct Forked(MemoryStore);

impl Clone for Forked {
    fn clone(&self) -> Self {
        Self(self.0.fork())
    }
}

#[derive(Clone, Debug)]
struct Process {
    replica: Replica,
    /// The action that is to be performed next, or whose result is awaited.
    action: Option<Action>,
    /// A result that the process has not seen yet.
    result: Option<Event>,
    sent_at: Option<Moment>,
    waiting: bool,
    flights: u32,
    incarnation: u8,
    steps: u64,
}

/// The authorization server: one live refresh token, named by its generation.
#[derive(Clone, Debug, Default)]
struct Server {
    live: u64,
    revoked: bool,
}

#[derive(Clone, Debug)]
struct Request {
    /// Who waits for the answer: the process, its incarnation, and which of its steps sent it.
    from: (usize, u8, u64),
    generation: u64,
}

impl World {
    fn new(scope: Scope) -> Self {
        let now = Moment::new(Duration::from_secs(1_000_000), Duration::from_secs(2_000_000));
        let processes = (0..scope.processes).map(|_| Process::new(scope, now, 0)).collect();
        let world = Self {
            scope,
            processes,
            store: Forked(MemoryStore::new()),
            key: TokenKey::new("explored").unwrap().to_store_key(),
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
            world.swap(Expect::Absent, Stamp::from_bytes([9; 16]), &record);
        }
        world
    }

    fn fingerprint(&self) -> u64 {
        let mut text = Hashed(DefaultHasher::new());
        let stored = self.stored();
        let Self { processes, server, requests, now, crashes, store_faults, jumps, .. } = self;
        let rest = (server, requests, now, crashes, store_faults, jumps);
        write!(text, "{processes:?}{stored:?}{rest:?}").unwrap();
        text.0.finish()
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.server.revoked {
            return steps;
        }
        for (n, process) in self.processes.iter().enumerate() {
            match (&process.action, &process.result) {
                // Processes are alike, so they begin for the first time in one order.
                (None, _)
                    if process.flights > 0
                        && (n == 0 || self.processes[n - 1].has_begun(self.scope)) =>
                {
                    steps.push(Step::Begin(n));
                }
                (None, _) => {}
                (Some(_), Some(_)) => steps.push(Step::Deliver(n)),
                (Some(Action::Exchange { .. }), None) if process.waiting => {
                    steps.push(Step::GiveUp(n))
                }
                (Some(Action::Exchange { .. }), None) => {
                    steps.push(Step::Send(n));
                    if self.scope.pauses {
                        steps.push(Step::NotSent(n));
                    }
                }
                (Some(Action::Watch { since, .. }), None) => {
                    // A wait that ends without cause leads to the same wait.
                    if *since != self.stored().map(|(stamp, _)| stamp)
                        || self.quarantine_is_over(process)
                    {
                        steps.push(Step::Perform(n));
                    }
                }
                (Some(action), None) => {
                    steps.push(Step::Perform(n));
                    if self.scope.pauses && self.jumps > 0 && matches!(action, Action::Swap { .. })
                    {
                        steps.push(Step::PerformAndPause(n));
                    }
                    if self.store_faults > 0 && matches!(action, Action::Load | Action::Swap { .. })
                    {
                        steps.push(Step::FailStore { process: n, applied: false });
                        if matches!(action, Action::Swap { .. }) {
                            steps.push(Step::FailStore { process: n, applied: true });
                        }
                    }
                }
            }
            if self.crashes > 0 && process.action.is_some() {
                steps.push(Step::Crash(n));
            }
        }
        for n in 0..self.requests.len() {
            steps.push(Step::Serve(n));
        }
        if self.jumps > 0 && !self.is_exchanging() {
            // Whoever holds an answer stores it before the others may present the token again: the window P, which only
            // the rule that requires a login closes.
            let unsaved = self.processes.iter().any(|process| process.replica.has_unsaved_answer());
            let closed = self.scope.rule == UnknownOutcome::RequireLogin;
            let stored = self.stored().and_then(|(_, record)| record.tokens.ends());
            let held_off = stored.is_some_and(|end| end > self.now.wall() + self.quarantine());
            if !unsaved || closed || held_off {
                steps.push(Step::JumpPastQuarantine);
            }
            if !unsaved || closed {
                steps.push(Step::JumpPastExpiry);
            }
        }
        steps
    }

    /// Whether some process is between its decision to send and the end of its wait for the answer.
    fn is_exchanging(&self) -> bool {
        self.processes.iter().any(|process| matches!(process.action, Some(Action::Exchange { .. })))
    }

    fn quarantine_is_over(&self, process: &Process) -> bool {
        let over = |seen: &super::replica::Seen| {
            self.now.monotonic() >= seen.since + process.replica.policy.quarantine()
        };
        process.replica.seen.as_ref().and_then(Option::as_ref).is_some_and(over)
    }

    fn take(&mut self, step: Step, found: &mut Found) {
        let live = self.server.live;
        let known_before = self.is_known(live);
        let stored_before = self.stored().map(|(_, record)| record.version);
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
        let stored_after = self.stored().map(|(_, record)| record.version);
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
            Some(Action::Load) => Event::Loaded(Ok(self.stored())),
            Some(Action::Swap { expect, stamp, record }) => {
                Event::Swapped(Ok(self.swap(expect, stamp, &record)))
            }
            _ => Event::Woken,
        }
    }

    fn swap(&self, expect: Expect, stamp: Stamp, record: &Record) -> Swapped {
        let new = Versioned::new(stamp, record.encode(&self.key));
        match ready(self.store.0.compare_and_swap(&self.key, expect, &new, Durability::Durable))
            .unwrap()
        {
            Swap::Won { .. } => Swapped::Won,
            Swap::Lost(_) => Swapped::Lost(self.stored()),
        }
    }

    fn stored(&self) -> Option<(Stamp, Record)> {
        let (versioned, _) = ready(self.store.0.load(&self.key)).unwrap()?;
        Some((versioned.stamp(), Record::decode(versioned.bytes(), &self.key).unwrap()))
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
                super::Note::TakenOver => found.takeovers += 1,
                super::Note::CommitDelayed => found.late_commits += 1,
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
        let stored = self.stored().and_then(|(_, record)| record.tokens.ends());
        let known = |process: &Process| {
            process.replica.known().and_then(|known| known.record.tokens.ends())
        };
        self.processes.iter().filter_map(known).chain(stored).max()
    }

    fn quarantine(&self) -> Duration {
        self.processes[0].replica.policy.quarantine()
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
        self.stored().is_some_and(|(_, record)| is(&record.tokens))
            || (self.stored().is_none() && generation == 0)
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

impl Process {
    fn new(scope: Scope, now: Moment, incarnation: u8) -> Self {
        let policy = Policy {
            freshness: Freshness::default(),
            exchange_deadline: Duration::from_secs(10),
            send_gate: Duration::from_secs(1),
            drain: Duration::from_secs(10),
            unknown_outcome: scope.rule,
            dice: 0.5,
        };
        let seed = Seed::new(tokens(0), now).unwrap();
        Self {
            replica: Replica::new(policy, Some(seed)),
            action: None,
            result: None,
            sent_at: None,
            waiting: false,
            flights: scope.flights,
            incarnation,
            steps: 0,
        }
    }

    /// A stamp that depends on nothing but this process's own steps, so that equal states look equal.
    fn fresh(&mut self, n: usize) -> Stamp {
        self.steps += 1;
        let mut bytes = [0; 16];
        bytes[0] = 1 + u8::try_from(n).unwrap();
        bytes[1] = self.incarnation;
        bytes[8..].copy_from_slice(&self.steps.to_be_bytes());
        Stamp::from_bytes(bytes)
    }

    fn has_begun(&self, scope: Scope) -> bool {
        self.flights < scope.flights || self.incarnation > 0
    }

    fn rest(&mut self) {
        if matches!(self.action, Some(Action::Finish(_))) {
            self.action = None;
        }
    }
}

fn tokens(generation: u64) -> TokenSet {
    TokenSet::new(format!("at-{generation}"))
        .with_refresh_token(generation.to_string())
        .with_expires_in(LIFETIME)
}

fn generation_of(tokens: &TokenSet) -> u64 {
    tokens.refresh_token().unwrap().expose_secret().parse().unwrap()
}

fn spends(_: Option<&TokenSet>) -> Spends {
    Spends::RefreshToken
}

/// The output of a future that never waits, as those of a memory store do not.
fn ready<F: Future<Output: Debug>>(future: F) -> F::Output {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a memory store answers at once"),
    }
}

/// Two processes, each of which refreshes as often as told, with nothing that goes wrong but the network.
pub(crate) const TWO: Scope = Scope {
    processes: 2,
    flights: 1,
    crashes: 0,
    store_faults: 0,
    jumps: 1,
    rule: UnknownOutcome::PresentAgain,
    pauses: true,
    empty: false,
};

mod tests {
    use super::*;

    #[test]
    fn two_processes_with_a_crash_and_a_store_that_fails_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { crashes: 1, store_faults: 1, jumps: 2, ..TWO });
        // Not vacuous: everything that is guarded against was met.
        assert!(
            found.newest_generation >= 2 && found.takeovers > 0 && found.late_commits > 0,
            "{found:?}"
        );
        assert!(found.unavoidable > 0, "{found:?}");
    }

    #[test]
    fn two_processes_that_refresh_twice_with_a_crash_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { flights: 2, crashes: 1, ..TWO });
        assert!(found.newest_generation >= 4, "{found:?}");
    }

    #[test]
    fn two_processes_that_race_for_the_seed_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { crashes: 1, empty: true, ..TWO });
        assert!(found.newest_generation >= 2, "{found:?}");
    }

    #[test]
    fn three_processes_with_a_crash_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { processes: 3, crashes: 1, pauses: false, ..TWO });
        assert!(found.takeovers > 0, "{found:?}");
    }

    #[test]
    fn the_rule_that_requires_a_login_never_has_a_family_revoked() {
        let found =
            explore(Scope { crashes: 1, jumps: 2, rule: UnknownOutcome::RequireLogin, ..TWO });
        assert_eq!(found.unavoidable, 0, "{found:?}");
        assert!(found.takeovers > 0, "{found:?}");
    }
}
