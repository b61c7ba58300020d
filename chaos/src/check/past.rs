//! The history, put in order for the rules: who lived when, what each write, exchange and presentation was.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::history::{Entry, ExchangeEnd, Found, Heard, SwapEnd, What};
use crate::mark::Mark;
use crate::record::{Record, State, Version};
use crate::request::{Decision, Request};
use crate::time::At;

use super::able::{Life, join};
use super::servers::{Fall, Servers, Stored};

/// One compare-and-swap.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) process: u32,
    pub(super) grant: u32,
    pub(super) began: At,
    pub(super) expect: Option<Mark>,
    pub(super) stamp: Mark,
    pub(super) digest: Mark,
    pub(super) record: Record,
    pub(super) end: Option<(At, SwapEnd)>,
}

impl Write {
    /// When it was acknowledged.
    pub(super) fn won(&self) -> Option<At> {
        self.end.as_ref().filter(|(_, end)| *end == SwapEnd::Won).map(|(at, _)| *at)
    }
}

/// One exchange, as its process saw it.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) process: u32,
    pub(super) grant: u32,
    pub(super) began: At,
    pub(super) presented: Mark,
    pub(super) sending: Option<At>,
    pub(super) end: Option<(At, ExchangeEnd)>,
}

/// One token request, as the server saw it.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) arrived: At,
    pub(super) family: u64,
    pub(super) presented: Mark,
    /// Where it is in [`Past::exchanges`].
    pub(super) exchange: usize,
    /// When the server's rules decided, and what.
    pub(super) decided: Option<(At, Decision)>,
    /// When the tokens were handed to the connection, if nothing kept them from it.
    pub(super) answered: Option<At>,
}

/// What is looked up again and again.
pub(super) struct Past {
    pub(super) lives: HashMap<u32, Life>,
    pub(super) writes: Vec<Write>,
    pub(super) by_stamp: HashMap<Mark, usize>,
    /// The writes of each process to each grant.
    by_writer: HashMap<(u32, u32), Vec<usize>>,
    /// When each write was seen to be in the store last: when that began by which it was seen.
    seen: HashMap<Mark, At>,
    /// When somebody stood still within a write to a grant, with the store's lock.
    pub(super) blocked: HashMap<u32, Vec<(At, At)>>,
    pub(super) servers: Servers,
    /// When the writes to each grant by which a refresh, or a login, was stored were acknowledged; in order.
    pub(super) idle: HashMap<u32, Vec<At>>,
    /// The versions that each process came to know of each grant, by grant: when, and ever higher ones.
    pub(super) known: HashMap<u32, HashMap<u32, Vec<(At, Version)>>>,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) shown: Vec<Shown>,
    /// The grant of each family, and the refresh token that it began with.
    pub(super) families: HashMap<u64, (u32, Mark)>,
    pub(super) end: At,
    /// The longest that a process that nobody had stopped got no time.
    pub(super) starved: Duration,
    /// Token requests that no process has told of, or with tokens that the server never issued.
    pub(super) strangers: Vec<Request>,
}

impl Past {
    /// `places`: how many there are that servers keep; 0 where the store is of files.
    pub(super) fn new(entries: &[Entry], requests: &[Request], places: u32) -> Self {
        let mut past = Self {
            lives: HashMap::new(),
            writes: Vec::new(),
            by_stamp: HashMap::new(),
            by_writer: HashMap::new(),
            seen: HashMap::new(),
            blocked: HashMap::new(),
            servers: Servers::new(places),
            idle: HashMap::new(),
            known: HashMap::new(),
            exchanges: Vec::new(),
            shown: Vec::new(),
            families: HashMap::new(),
            end: entries.last().map_or(At(0), |entry| entry.at),
            starved: Duration::ZERO,
            strangers: Vec::new(),
        };
        let mut by_id = HashMap::new();
        for entry in entries {
            past.take(entry, &mut by_id);
        }
        for life in past.lives.values_mut() {
            // Who was killed while it stood stands no more.
            let end = life.killed.unwrap_or(past.end);
            life.stops.iter_mut().for_each(|(_, go)| *go = (*go).min(end));
            join(&mut life.stops);
        }
        // Files are written under a lock, which who stands still does not let go.
        for write in past.writes.iter().filter(|_| places == 0) {
            let end = write.end.as_ref().map_or(past.end, |(at, _)| *at);
            let stops = past.lives.get(&write.process).map(|life| life.stops.as_slice());
            for (stop, go) in stops.unwrap_or_default() {
                if *stop < end && *go > write.began {
                    past.blocked.entry(write.grant).or_default().push((*stop, *go));
                }
            }
        }
        for request in requests {
            past.take_request(request, &by_id);
        }
        let issued: HashSet<(u32, Mark)> = past
            .exchanges
            .iter()
            .filter_map(|exchange| match &exchange.end {
                Some((_, ExchangeEnd::Tokens { refresh })) => Some((exchange.process, (*refresh)?)),
                _ => None,
            })
            .collect();
        for entry in entries {
            past.learn(entry, &issued);
        }
        for write in past.writes.iter().filter(|write| write.record.state == State::Idle) {
            past.idle.entry(write.grant).or_default().extend(write.won());
        }
        past.idle.values_mut().for_each(|times| times.sort_unstable());
        past
    }

    fn take(&mut self, entry: &Entry, by_id: &mut HashMap<(u32, u32, u64), usize>) {
        let (at, process, grant) = (entry.at, entry.process, entry.grant.unwrap_or_default());
        let exchange = |n: &u64| by_id.get(&(process, grant, *n)).copied();
        match &entry.what {
            What::Started => _ = self.lives.entry(process).or_default(),
            What::Killed { .. } => self.lives.entry(process).or_default().killed = Some(at),
            What::Starved { since } => {
                let stops = &mut self.lives.entry(process).or_default().stops;
                if !stops.iter().any(|(stop, go)| *stop < at && *go > *since) {
                    self.starved = self.starved.max(at.since(*since));
                }
                stops.push((*since, at));
            }
            What::Stopped => {
                self.lives.entry(process).or_default().stops.push((at, At(u64::MAX)));
            }
            What::Continued => {
                let stops = &mut self.lives.entry(process).or_default().stops;
                if let Some((_, go)) = stops.iter_mut().rfind(|(_, go)| *go == At(u64::MAX)) {
                    *go = at;
                }
            }
            What::SignedIn { family, refresh, .. } => {
                self.families.insert(*family, (grant, *refresh));
            }
            What::Injected(injected) => self.servers.take(injected, at),
            What::Swap { expect, stamp, digest, record } => {
                self.by_stamp.insert(*stamp, self.writes.len());
                self.by_writer.entry((process, grant)).or_default().push(self.writes.len());
                self.writes.push(Write {
                    process,
                    grant,
                    began: at,
                    expect: *expect,
                    stamp: *stamp,
                    digest: *digest,
                    record: *record,
                    end: None,
                });
            }
            What::Swapped { stamp, end } => {
                let Some(&write) = self.by_stamp.get(stamp) else { return };
                self.writes[write].end = Some((at, end.clone()));
                let Write { began, expect, .. } = self.writes[write];
                match end {
                    SwapEnd::Won => self.saw(expect, began),
                    SwapEnd::Lost { current } => self.saw(*current, began),
                    SwapEnd::Failed { .. } => {}
                }
            }
            What::Loaded {
                began,
                found: Found::Record { stamp, .. } | Found::Torn { stamp, .. },
            } => self.saw(Some(*stamp), *began),
            What::Exchange { n, presented } => {
                by_id.insert((process, grant, *n), self.exchanges.len());
                self.exchanges.push(Exchange {
                    process,
                    grant,
                    began: at,
                    presented: *presented,
                    sending: None,
                    end: None,
                });
            }
            What::Sending { n } => {
                if let Some(exchange) = exchange(n) {
                    self.exchanges[exchange].sending = Some(at);
                }
            }
            What::Exchanged { n, end } => {
                if let Some(exchange) = exchange(n) {
                    self.exchanges[exchange].end = Some((at, end.clone()));
                }
            }
            _ => {}
        }
    }

    fn saw(&mut self, stamp: Option<Mark>, began: At) {
        let latest = stamp.map(|stamp| self.seen.entry(stamp).or_insert(began));
        latest.into_iter().for_each(|latest| *latest = began.max(*latest));
    }

    /// Takes in which versions a process came to know. `issued`: which process was issued which refresh token.
    fn learn(&mut self, entry: &Entry, issued: &HashSet<(u32, Mark)>) {
        let of_write = |stamp: &Mark| self.written(*stamp).map(|write| write.record.version);
        let version = match &entry.what {
            // Of what others have brought a process knows once it is in.
            What::Swap { record, .. } => {
                let own = record.refresh.is_some_and(|one| issued.contains(&(entry.process, one)));
                own.then_some(record.version)
            }
            What::Swapped { stamp, end: SwapEnd::Won }
            | What::Swapped { end: SwapEnd::Lost { current: Some(stamp) }, .. } => of_write(stamp),
            What::Loaded { found: Found::Record { stamp, .. }, .. } => of_write(stamp),
            What::Event(Heard::Refreshed { version } | Heard::Adopted { version }) => {
                Some(*version)
            }
            _ => None,
        };
        if let (Some(version), Some(grant)) = (version, entry.grant) {
            let of_grant = self.known.entry(grant).or_default();
            let versions = of_grant.entry(entry.process).or_default();
            if versions.last().is_none_or(|(_, known)| *known < version) {
                versions.push((entry.at, version));
            }
        }
    }

    fn take_request(&mut self, request: &Request, by_id: &HashMap<(u32, u32, u64), usize>) {
        let exchange = request.id.and_then(|id| by_id.get(&id)).copied();
        let (Some(exchange), Some(family)) = (exchange, request.family) else {
            return self.strangers.push(request.clone());
        };
        let Request { arrived, presented, decided, answered, .. } = *request;
        self.shown.push(Shown { arrived, family, presented, exchange, decided, answered });
    }

    /// The write with this stamp, if anybody has told of it.
    pub(super) fn written(&self, stamp: Mark) -> Option<&Write> {
        self.by_stamp.get(&stamp).map(|write| &self.writes[*write])
    }

    /// The fall by which a write that is known to have taken effect by then may be lost to who looks at this moment.
    pub(super) fn may_have_lost(&self, write: &Write, known: At, looked: At) -> Option<&Fall> {
        let Write { grant, began, .. } = *write;
        let seen = self.seen.get(&write.stamp).copied().unwrap_or_default();
        self.servers.may_have_lost(&Stored { grant, began, known, seen }, looked)
    }

    /// Whether an exchange's process has begun to store this refresh token.
    pub(super) fn has_tried(&self, exchange: &Exchange, refresh: Mark) -> bool {
        let own = self.by_writer.get(&(exchange.process, exchange.grant));
        let mut own = own.into_iter().flatten().map(|write| &self.writes[*write]);
        own.any(|write| write.record.refresh == Some(refresh))
    }

    /// The intent under which an exchange was made: its process's last write of one before it.
    pub(super) fn intent(&self, exchange: &Exchange) -> Option<&Write> {
        let own = self.by_writer.get(&(exchange.process, exchange.grant))?;
        own.iter().rev().map(|write| &self.writes[*write]).find(|write| {
            write.began <= exchange.began
                && write.record.state == State::InFlight
                && write.record.refresh == Some(exchange.presented)
        })
    }
}
