//! The processes, the store, the server, and what is on its way between them.

use super::checks::Broken;
use super::clock::{SECOND, Time};
use super::flight::Cause;
use super::network::{Answer, Request};
use super::operation::Orphan;
use super::process::Process;
use super::reached::Reached;
use super::scenario::Scenario;
use super::server::{Server, refresh_of};
use super::step::{Ask, ByHand, Reborn, Slot, Step};
use super::store::Store;
use crate::protocol::Change;
use crate::protocol::replica::Demand;
use crate::record::Record;
use crate::store::{Expect, Stamp};
use crate::token::TokenSet;

#[derive(Debug)]
pub(super) struct World {
    pub(super) scenario: Scenario,
    pub(super) now: Time,
    pub(super) processes: Vec<Process>,
    pub(super) store: Store,
    pub(super) server: Server,
    pub(super) requests: Vec<Request>,
    pub(super) answers: Vec<Answer>,
    /// Writes that nobody waits for any more, and that will be carried out all the same.
    pub(super) orphans: Vec<Orphan>,
    /// The access token that each process was configured with.
    pub(super) seeds: Vec<usize>,
    pub(super) next_request: u64,
    pub(super) regressed_at: Option<Time>,
    pub(super) emptied_at: Option<Time>,
    /// Who last asked for tokens with what is not used up, with which refresh token if any, and when.
    pub(super) last_turn: Option<((usize, u32), Option<usize>, Time)>,
    /// How far the wall clocks ever were behind and ahead.
    pub(super) behind: i64,
    pub(super) ahead: i64,
    /// Somebody has met another answer for the same token.
    pub(super) sibling: bool,
    pub(super) reached: Reached,
    pub(super) broken: Option<Broken>,
    pub(super) trace: Option<Vec<String>>,
}

/// What falls due.
#[derive(Clone, Copy, Debug)]
enum Due {
    Task(usize, Slot),
    Request(usize),
    Answer(usize),
    Orphan(usize),
}

/// More than this in one second is a loop.
const BUSY: u32 = 20_000;

impl World {
    pub(super) fn new(scenario: &Scenario, traced: bool) -> Self {
        let mut server = Server::new(scenario.rotation, scenario.grace, scenario.lifetime);
        let login = server.log_in(0);
        let tokens = server.tokens(login, false);
        let processes: Vec<_> = (0..scenario.hosts.len())
            .map(|n| Process::first(n, scenario, tokens.clone()))
            .collect();
        let ahead = || scenario.hosts.iter().map(|host| host.clock.ahead);
        let mut world = Self {
            seeds: vec![login; processes.len()],
            scenario: scenario.clone(),
            now: 0,
            processes,
            store: Store::new(),
            server,
            requests: Vec::new(),
            answers: Vec::new(),
            orphans: Vec::new(),
            next_request: 0,
            regressed_at: None,
            emptied_at: None,
            last_turn: None,
            behind: ahead().min().unwrap_or_default(),
            ahead: ahead().max().unwrap_or_default(),
            sibling: false,
            reached: Reached::default(),
            broken: None,
            trace: traced.then(Vec::new),
        };
        if scenario.begun
            && let Some(seed) = world.processes[0].replica.seed.clone()
        {
            let record = Record::brought(crate::version::Version::FIRST, seed.tokens, seed.at)
                .with_seeds(Vec::new(), Some(seed.fingerprint));
            world.store.swap(Expect::Absent, Stamp::from_bytes([9; 16]), &record, true, 0);
        }
        world
    }

    /// Takes a step. Returns whether it could be taken.
    pub(super) fn take(&mut self, step: Step) -> bool {
        if self.broken.is_some() {
            return false;
        }
        if !matches!(step, Step::Advance(_) | Step::Run(..)) {
            self.note(|_| format!("--- {step:?}"));
        }
        let taken = match step {
            Step::Advance(time) => {
                self.advance(time);
                true
            }
            Step::Run(n, slot) => self.has(n) && self.run(n, slot, false),
            Step::WakeForNothing(n, slot) => self.has(n) && self.run(n, slot, true),
            Step::Ask(n, ask) => self.is_awake(n) && self.ask(n, ask),
            Step::ExpireLocally(n) => {
                self.is_awake(n) && {
                    self.processes[n].replica.expire();
                    self.processes[n].wake = true;
                    true
                }
            }
            Step::Change(n, by) => self.is_awake(n) && self.change(n, by),
            Step::Store(n, slot, fault) => self.has(n) && self.fail_store(n, slot, fault),
            Step::Network(n, fault) => self.disturb(n, fault),
            Step::Pause(n, time) => {
                self.is_awake(n) && {
                    self.processes[n].paused_until = self.now + time;
                    true
                }
            }
            Step::Crash(n, reborn, down) => self.has(n) && self.crash(n, reborn, down),
            Step::Abandon(n) => self.is_awake(n) && self.abandon(n),
            Step::SetClock(n, by) => {
                self.has(n) && {
                    let clock = &mut self.processes[n].clock;
                    clock.ahead += by;
                    self.behind = self.behind.min(clock.ahead);
                    self.ahead = self.ahead.max(clock.ahead);
                    true
                }
            }
            Step::RevokeAccess => {
                self.server.revoke_access();
                true
            }
            Step::RevokeLogin => {
                if let Some(revoked) = self.server.revoked.last_mut() {
                    *revoked = true;
                }
                true
            }
            Step::Regress(writes) => {
                self.scenario.may_regress && self.store.regress(writes, self.now) && {
                    self.regressed_at = Some(self.now);
                    true
                }
            }
            Step::Empty => {
                self.scenario.may_empty && self.store.empty(self.now) && {
                    self.regressed_at = Some(self.now);
                    self.emptied_at = Some(self.now);
                    true
                }
            }
        };
        if taken {
            self.reached.steps += u64::from(!matches!(step, Step::Advance(_)));
            if let Some(fault) = step.fault() {
                self.reached.fault(fault);
            }
        }
        taken
    }

    fn has(&self, n: usize) -> bool {
        n < self.processes.len()
    }

    pub(super) fn is_awake(&self, n: usize) -> bool {
        self.processes.get(n).is_some_and(|process| process.paused_until <= self.now)
    }

    /// When the next thing is due.
    pub(super) fn next_due(&self) -> Option<Time> {
        self.first_due().map(|(due, _)| due)
    }

    fn first_due(&self) -> Option<(Time, Due)> {
        let store = (self.store.stamp(), self.store.changed_at);
        let mut first: Option<(Time, Due)> = None;
        let mut offer = |due: Option<Time>, what: Due| {
            if let Some(due) = due
                && first.is_none_or(|(first, _)| due < first)
            {
                first = Some((due, what));
            }
        };
        for (n, process) in self.processes.iter().enumerate() {
            for slot in [Slot::Flight, Slot::Driver, Slot::Change] {
                offer(process.due(slot, store), Due::Task(n, slot));
            }
        }
        for (n, request) in self.requests.iter().enumerate() {
            offer(Some(request.due), Due::Request(n));
        }
        for (n, answer) in self.answers.iter().enumerate() {
            offer(Some(answer.due), Due::Answer(n));
        }
        for (n, orphan) in self.orphans.iter().enumerate() {
            offer(Some(orphan.due), Due::Orphan(n));
        }
        first
    }

    pub(super) fn advance(&mut self, time: Time) {
        let until = self.now + time;
        let (mut busy, mut second) = (0, self.now);
        while let Some((due, what)) = self.first_due()
            && due <= until
            && self.broken.is_none()
        {
            self.now = self.now.max(due);
            busy += 1;
            if self.now > second + SECOND {
                (busy, second) = (0, self.now);
            }
            if busy > BUSY {
                self.fail(Broken::Busy, || format!("over and over: {what:?}"));
            }
            self.reached.steps += 1;
            match what {
                Due::Task(n, slot) => {
                    if !self.run(n, slot, false) {
                        self.fail(Broken::Busy, || format!("due, and nothing to do: {what:?}"));
                    }
                }
                Due::Request(n) => self.serve(n),
                Due::Answer(n) => self.arrive(n),
                Due::Orphan(n) => self.carry_out_late(n),
            }
        }
        self.now = self.now.max(until);
    }

    fn run(&mut self, n: usize, slot: Slot, for_nothing: bool) -> bool {
        if for_nothing && self.processes[n].paused_until > self.now {
            return false;
        }
        self.guarded(|world| match slot {
            Slot::Flight => world.run_flight(n),
            Slot::Driver => world.run_driver(n, for_nothing),
            Slot::Change => world.run_change(n),
        })
    }

    pub(super) fn ask(&mut self, n: usize, ask: Ask) -> bool {
        let known = self.processes[n].replica.known();
        let version = known.map(|known| known.record.version);
        let demand = Demand::default();
        let (demand, cause) = match ask {
            Ask::Need => (demand, Cause::Need),
            Ask::Hand => (Demand { newer_than: version, ..demand }, Cause::Hand),
            Ask::Lasting(time) => {
                let lasting = Some(std::time::Duration::from_micros(time));
                (Demand { lasting, ..demand }, Cause::Need)
            }
            Ask::Refused => {
                let tokens = known.map(|known| &known.record.tokens);
                let Some(access) = tokens.and_then(super::server::access_of) else { return false };
                // Whatever the server thinks of it, here it is of no more use.
                self.server.access[access].refused = true;
                (Demand { newer_than: version, refused: true, ..demand }, Cause::Refusal)
            }
        };
        self.board(n, demand, cause);
        true
    }

    fn change(&mut self, n: usize, by: ByHand) -> bool {
        let change = match by {
            ByHand::Login => {
                let login = self.server.log_in(self.now);
                Change::Login(self.server.tokens(login, false))
            }
            // One that keeps the refresh token lifts it over what somebody who is paused for longer than the settle barrier, or
            // stores an answer in that very moment, may know (SECURITY.md, F).
            ByHand::Update if self.scenario.may_regress => return false,
            ByHand::Update => {
                let known = self.processes[n].replica.known();
                let Some(refresh) = known.and_then(|known| refresh_of(&known.record.tokens)) else {
                    return false;
                };
                let access = self.server.issue(refresh, self.now, self.now);
                let TokenSet { access_token, expires, .. } = self.server.tokens(access, false);
                Change::Update(TokenSet { access_token, expires, ..TokenSet::empty() })
            }
            ByHand::Logout => Change::Logout,
        };
        self.begin_change(n, change)
    }

    fn crash(&mut self, n: usize, reborn: Reborn, down: Time) -> bool {
        let now = self.now;
        let process = &mut self.processes[n];
        let (flight, change) = (process.flight.take(), process.change.take());
        if let Some(flight) = &flight {
            self.let_go(&flight.doing);
        }
        if let Some(change) = &change {
            self.let_go_of(&change.operation);
        }
        // What an emptied store has forgotten may win over a new seed (SECURITY.md, F).
        if reborn == Reborn::NewSeed && !self.scenario.may_empty {
            self.seeds[n] = self.server.log_in(now);
        }
        let seed = self.server.tokens(self.seeds[n], false);
        let old = &self.processes[n];
        let (incarnation, clock) = (old.incarnation + 1, old.clock);
        let mut process = Process::new(n, incarnation, &self.scenario, clock, seed, now);
        process.paused_until = now + down;
        self.processes[n] = process;
        true
    }

    pub(super) fn fail(&mut self, broken: Broken, why: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(broken);
            let why = why();
            self.note(|_| format!("BROKEN {broken:?}: {why}"));
        }
    }

    pub(super) fn traced(&self) -> bool {
        self.trace.is_some()
    }

    pub(super) fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_none() {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "for people to read")]
        let seconds = self.now as f64 / SECOND as f64;
        let line = format!("{seconds:>12.3}  {}", line(self));
        if let Some(trace) = &mut self.trace {
            trace.push(line);
        }
    }
}
