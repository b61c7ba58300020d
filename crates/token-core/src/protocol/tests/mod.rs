//! Single rules of the protocol, each over a real [`MemoryStore`]: one process, and what it is made to meet.

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

pub(crate) mod flights;
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
