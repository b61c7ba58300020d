//! Single rules of the protocol, each over a real [`MemoryStore`].

use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use crate::clock::Moment;
use crate::freshness::Freshness;
use crate::key::{StoreKey, TokenKey};
use crate::protocol::action::{Action, Context, Event, Swapped};
use crate::protocol::policy::Policy;
use crate::protocol::replica::{Demand, History, Note, Replica, Stored};
use crate::protocol::seed::Seed;
use crate::protocol::{Change, Failure, GraceWindow, LoginReason, UnknownOutcome};
use crate::record::{DeadReason, Record, State};
use crate::refresher::{RefreshError, Spends};
use crate::store::{Durability, Expect, Liveness, MemoryStore, Stamp, Swap, TokenStore, Versioned};
use crate::token::TokenSet;
use crate::version::Version;

pub(crate) mod settle;
pub(crate) mod takeover;
pub(crate) mod unknown_outcome;

const NOW: Moment = Moment::new(Duration::from_secs(1_000_000), Duration::from_secs(2_000_000));

/// One process, the store that it shares, and what it presented.
struct Process {
    replica: Replica,
    store: MemoryStore,
    key: StoreKey,
    presented: Vec<String>,
    now: Moment,
    /// What the store says of the holders of attempts.
    liveness: Liveness,
    /// The write after which the store fell back.
    fell_after: Option<Stamp>,
    /// What the store says of what is written.
    durable: bool,
    /// What somebody else stores while this process watches.
    on_watch: Option<Record>,
}

impl Process {
    fn new(store: &MemoryStore) -> Self {
        let policy = Policy {
            freshness: Freshness::default(),
            exchange_deadline: Duration::from_secs(10),
            send_gate: Duration::from_secs(1),
            drain: Duration::from_secs(10),
            unknown_outcome: UnknownOutcome::PresentAgain,
            grace: None,
            tells_dead_holder: false,
            may_regress: false,
            dice: 0.5,
        };
        let seed = Seed::new(TokenSet::from_refresh_token("seed"), NOW).unwrap();
        let key = TokenKey::new("grant").unwrap().to_store_key();
        Self {
            replica: Replica::new(policy, Some(seed)),
            store: store.clone(),
            key,
            presented: Vec::new(),
            now: NOW,
            liveness: Liveness::Unknown,
            fell_after: None,
            durable: true,
            on_watch: None,
        }
    }

    fn policy(&mut self) -> &mut Policy {
        &mut self.replica.policy
    }

    fn context(&self) -> Context<'static> {
        Context { now: self.now, fresh: Stamp::random(), spends: &|_| Spends::RefreshToken }
    }

    fn wait(&mut self, time: Duration) {
        self.now = Moment::new(self.now.monotonic() + time, self.now.wall() + time);
    }

    /// Flies a whole flight. The exchange sees the refresh token that is presented, and the process.
    fn fly(
        &mut self,
        demand: Demand,
        mut exchange: impl FnMut(&str, &mut Self) -> Result<TokenSet, RefreshError>,
    ) -> Result<(), Failure> {
        let context = self.context();
        let mut action = self.replica.begin(demand, &context);
        loop {
            let event = match action {
                Action::Load => Event::Loaded(Ok(self.stored())),
                Action::Swap { expect, stamp, record } => {
                    Event::Swapped(Ok(self.swap(expect, stamp, &record)))
                }
                Action::Exchange { tokens } => {
                    let token = tokens
                        .as_ref()
                        .and_then(TokenSet::refresh_token)
                        .unwrap()
                        .expose_secret()
                        .to_owned();
                    self.presented.push(token.clone());
                    let sent = self.now;
                    Event::Exchanged { sent, result: exchange(&token, self) }
                }
                Action::AskHolder { .. } => Event::Holder(self.liveness),
                Action::Watch { at_most: time, .. } | Action::Pause(time) => {
                    match self.on_watch.take() {
                        Some(record) => self.force(&record),
                        None => self.wait(time),
                    }
                    Event::Woken
                }
                Action::Finish(result) => return result,
            };
            let context = self.context();
            action = self.replica.step(event, &context);
        }
    }

    /// Looks at the store, as a process does between two flights.
    fn look(&mut self) {
        let current = self.stored();
        self.replica.observe(current, self.now, self.now);
    }

    /// Refreshes whatever is there, at a server that rotates.
    fn refresh(&mut self) -> Result<(), Failure> {
        let newer_than = self.replica.known().map(|known| known.record.version);
        self.fly(Demand { newer_than, ..Demand::default() }, |token, _| Ok(after(token)))
    }

    fn stored(&self) -> Option<Stored> {
        let (versioned, _) = ready(self.store.load(&self.key)).unwrap()?;
        let record = Record::decode(versioned.bytes(), &self.key).unwrap();
        let stamp = versioned.stamp();
        Some(Stored { stamp, record, history: self.history(Some(stamp)) })
    }

    fn swap(&self, expect: Expect, stamp: Stamp, record: &Record) -> Swapped {
        let new = Versioned::new(stamp, record.encode(&self.key));
        match ready(self.store.compare_and_swap(&self.key, expect, &new, Durability::Durable))
            .unwrap()
        {
            Swap::Won { .. } => {
                let replaced = match expect {
                    Expect::Is(stamp) => Some(stamp),
                    Expect::Absent => None,
                };
                Swapped::Won { durable: self.durable, history: self.history(replaced) }
            }
            Swap::Lost(_) => {
                let untold = |stored| Stored { history: History::Untold, ..stored };
                Swapped::Lost(self.stored().map(untold))
            }
        }
    }

    fn history(&self, of: Option<Stamp>) -> History {
        if of.is_some() && of == self.fell_after {
            History::Broken(None)
        } else {
            History::Unbroken
        }
    }

    /// How long it has waited.
    fn waited(&self) -> Duration {
        self.now.monotonic() - NOW.monotonic()
    }

    /// Puts a record into the store, whatever is there.
    fn force(&self, record: &Record) {
        let expect = self.stored().map_or(Expect::Absent, |stored| Expect::Is(stored.stamp));
        assert!(matches!(self.swap(expect, Stamp::random(), record), Swapped::Won { .. }));
    }

    fn change(&self, change: &Change) {
        let current = self.stored().map(|stored| stored.record);
        self.force(&change.apply(current.as_ref(), None, NOW));
    }
}

/// What a rotating server answers to a refresh token.
fn after(token: &str) -> TokenSet {
    TokenSet::new(format!("{token}+at")).with_refresh_token(format!("{token}+"))
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a memory store answers at once"),
    }
}

#[test]
pub(crate) fn a_store_that_fell_back_is_repaired_and_not_believed() {
    let mut process = Process::new(&MemoryStore::new());
    process.refresh().unwrap();
    let old = process.stored().unwrap().record;
    process.refresh().unwrap();
    process.force(&old);
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed", "seed+", "seed++"]);
    assert!(process.replica.take_notes().contains(&Note::RecordRepaired));
}

#[test]
fn a_store_that_lost_the_record_is_repaired_and_the_seed_is_not_used_again() {
    let mut process = Process::new(&MemoryStore::new());
    process.refresh().unwrap();
    process.store = MemoryStore::new();
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed", "seed+"]);
}

#[test]
pub(crate) fn an_answer_that_belongs_to_an_older_login_is_dropped() {
    let mut process = Process::new(&MemoryStore::new());
    let login = Change::Login(TokenSet::new("new login").with_refresh_token("login"));
    process
        .fly(Demand::default(), |token, process| {
            process.change(&login);
            Ok(after(token))
        })
        .unwrap();
    let record = process.stored().unwrap().record;
    assert_eq!(record.tokens.access_token().unwrap().expose_secret(), "new login");
    assert!(process.replica.take_notes().contains(&Note::Superseded));
}

#[test]
pub(crate) fn a_refresh_that_a_sibling_has_just_made_is_not_made_again() {
    let store = MemoryStore::new();
    let (mut here, mut there) = (Process::new(&store), Process::new(&store));
    here.refresh().unwrap();
    let newer_than = here.replica.known().map(|known| known.record.version);
    there.fly(Demand { newer_than, ..Demand::default() }, |token, _| Ok(after(token))).unwrap();
    // `here` still has the old view, and its intent is refused.
    here.refresh().unwrap();
    assert_eq!((here.presented.len(), there.presented.len()), (1, 1));
}

#[test]
pub(crate) fn invalid_grant_for_a_token_that_a_sibling_rotated_is_no_death() {
    let store = MemoryStore::new();
    let mut process = Process::new(&store);
    let demand = Demand::default();
    process
        .fly(demand, |token, process| {
            // A sibling is answered within a grace window, and stores it, before our refusal arrives.
            let record = process.stored().unwrap().record;
            let next = Record::brought(record.version.next_generation(), after(token), NOW.wall());
            process.force(&next);
            Err(RefreshError::invalid_grant())
        })
        .unwrap();
    assert_eq!(process.stored().unwrap().record.state, State::Idle);
}

#[test]
pub(crate) fn a_dead_grant_is_not_presented_again() {
    let mut process = Process::new(&MemoryStore::new());
    for _ in 0..3 {
        let failure =
            process.fly(Demand::default(), |_, _| Err(RefreshError::invalid_grant())).unwrap_err();
        let Failure::NeedsLogin(LoginReason::Dead(DeadReason::Refused)) = failure else {
            panic!("{failure:?}")
        };
    }
    assert_eq!(process.presented, ["seed"]);
}

#[test]
pub(crate) fn a_seed_that_was_taken_over_never_overwrites_the_record() {
    let store = MemoryStore::new();
    Process::new(&store)
        .fly(Demand::default(), |_, _| Err(RefreshError::not_sent("down")))
        .unwrap_err();
    Process::new(&store).change(&Change::Login(TokenSet::from_refresh_token("login")));
    let mut restarted = Process::new(&store);
    restarted.refresh().unwrap();
    assert_eq!(restarted.presented, ["login"]);
}

#[test]
pub(crate) fn a_server_that_omits_the_refresh_token_is_refreshed_a_hundred_times_in_a_row() {
    let mut process = Process::new(&MemoryStore::new());
    for n in 0..100 {
        let newer_than = process.replica.known().map(|known| known.record.version);
        let demand = Demand { newer_than, ..Demand::default() };
        process.fly(demand, |_, _| Ok(TokenSet::new(format!("at-{n}")))).unwrap();
    }
    assert_eq!(process.presented, vec!["seed"; 100]);
    assert_eq!(process.stored().unwrap().record.version, Version::new(1, 100));
}

#[test]
fn a_server_that_repeats_the_refresh_token_is_refreshed_a_hundred_times_in_a_row() {
    let mut process = Process::new(&MemoryStore::new());
    for n in 0..100 {
        let newer_than = process.replica.known().map(|known| known.record.version);
        let demand = Demand { newer_than, ..Demand::default() };
        process
            .fly(demand, |token, _| Ok(TokenSet::new(format!("at-{n}")).with_refresh_token(token)))
            .unwrap();
    }
    assert_eq!(process.presented, vec!["seed"; 100]);
}

#[test]
fn a_definite_refusal_leaves_the_refresh_token_to_be_presented_again() {
    let mut process = Process::new(&MemoryStore::new());
    for error in
        [RefreshError::not_sent("x"), RefreshError::rejected("x"), RefreshError::configuration("x")]
    {
        process.fly(Demand::default(), |_, _| Err(error.clone())).unwrap_err();
        assert_eq!(process.stored().unwrap().record.state, State::Idle);
    }
    process.refresh().unwrap();
    assert_eq!(process.presented.len(), 4);
}

#[test]
fn an_unknown_outcome_holds_off_the_next_presentation() {
    let mut process = Process::new(&MemoryStore::new());
    let failure =
        process.fly(Demand::default(), |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();
    assert!(
        matches!(failure, Failure::OutcomeUnknown { wait, .. } if wait == Duration::from_secs(11))
    );
    assert!(matches!(process.stored().unwrap().record.state, State::Unknown { .. }));
    let failure = process.refresh().unwrap_err();
    assert!(
        matches!(failure, Failure::OutcomeUnknown { wait, .. } if wait == Duration::from_secs(11))
    );
    assert_eq!(process.presented, ["seed"]);
}

#[test]
fn a_logout_while_an_answer_is_under_way_is_not_undone_by_it() {
    let mut process = Process::new(&MemoryStore::new());
    let failure = process
        .fly(Demand::default(), |token, process| {
            process.change(&Change::Logout);
            Ok(after(token))
        })
        .unwrap_err();
    assert!(
        matches!(failure, Failure::NeedsLogin(LoginReason::Dead(DeadReason::LoggedOut))),
        "{failure:?}"
    );
    assert!(process.stored().unwrap().record.tokens.refresh_token().is_none());
}

#[test]
fn an_answer_follows_an_update_that_kept_the_token_which_it_replaced() {
    let mut process = Process::new(&MemoryStore::new());
    process
        .fly(Demand::default(), |token, process| {
            // Somebody took over, gave the token up, and then the access token was updated by hand.
            let reason = DeadReason::OutcomeUnknown;
            let dead = process.stored().unwrap().record.with_state(State::Dead { reason });
            process.force(&dead);
            process.change(&Change::Update(TokenSet::new("by hand")));
            Ok(after(token))
        })
        .unwrap();
    let record = process.stored().unwrap().record;
    assert_eq!(record.tokens.refresh_token().unwrap().expose_secret(), "seed+");
    assert_eq!(record.version, Version::new(2, 1));
}

#[test]
fn an_answer_that_a_flight_left_behind_is_stored_though_nobody_asks_for_a_token() {
    let mut process = Process::new(&MemoryStore::new());
    let context = process.context();
    let mut action = process.replica.begin(Demand::default(), &context);
    loop {
        let event = match action {
            Action::Load => Event::Loaded(Ok(process.stored())),
            Action::Swap { .. } if process.replica.has_unsaved_answer() => break,
            Action::Swap { expect, stamp, record } => {
                Event::Swapped(Ok(process.swap(expect, stamp, &record)))
            }
            Action::Exchange { .. } => {
                Event::Exchanged { sent: process.now, result: Ok(after("seed")) }
            }
            action => panic!("{action:?}"),
        };
        let context = process.context();
        action = process.replica.step(event, &context);
    }
    process.replica.abandon(process.now);
    assert!(process.replica.needs_repair());
    process.fly(Demand { repair: true, ..Demand::default() }, |_, _| unreachable!()).unwrap();
    assert!(!process.replica.needs_repair());
    assert_eq!(process.stored().unwrap().record.version, Version::new(1, 1));
}

#[test]
fn what_became_of_an_attempt_is_told_also_after_an_update_that_kept_it() {
    for (error, idle) in
        [(RefreshError::not_sent("x"), true), (RefreshError::ambiguous("x"), false)]
    {
        let mut process = Process::new(&MemoryStore::new());
        process
            .fly(Demand::default(), |_, process| {
                process.change(&Change::Update(TokenSet::new("by hand")));
                Err(error.clone())
            })
            .unwrap();
        let record = process.stored().unwrap().record;
        assert_eq!(record.version, Version::new(2, 0));
        assert_eq!(record.state == State::Idle, idle, "{:?}", record.state);
        assert!(!matches!(record.state, State::InFlight { .. }), "{:?}", record.state);
    }
}
