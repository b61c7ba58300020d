//! The history, put in order for the rules: who lived when, what each write, exchange and presentation was.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{Entry, ExchangeEnd, SwapEnd, What};
use crate::mark::Mark;
use crate::record::{Record, State};
use crate::request::{Decision, Request};
use crate::time::At;

/// One process.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// When `kill -9` was sent.
    pub(super) killed: Option<At>,
    /// When it stood still: from SIGSTOP to SIGCONT, or while a busy machine gave it no time. In order, and apart.
    pub(super) stops: Vec<(At, At)>,
}

impl Life {
    /// For how long it stood still within this time.
    pub(super) fn stood(&self, from: At, to: At) -> Duration {
        let within = |(stop, go): &(At, At)| (*go.min(&to)).since(*stop.max(&from));
        self.stops.iter().map(within).sum()
    }
}

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
    /// Its place among the exchanges.
    pub(super) exchange: usize,
    /// When the server's rules decided, and what.
    pub(super) decided: Option<(At, Decision)>,
}

/// What is looked up again and again.
pub(super) struct Past {
    pub(super) lives: HashMap<u32, Life>,
    pub(super) writes: Vec<Write>,
    pub(super) by_stamp: HashMap<Mark, usize>,
    /// The writes of each process to each grant.
    by_writer: HashMap<(u32, u32), Vec<usize>>,
    /// When somebody stood still within a write to a grant.
    blocked: HashMap<u32, Vec<(At, At)>>,
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
    pub(super) fn new(entries: &[Entry], requests: &[Request]) -> Self {
        let mut past = Self {
            lives: HashMap::new(),
            writes: Vec::new(),
            by_stamp: HashMap::new(),
            by_writer: HashMap::new(),
            blocked: HashMap::new(),
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
            life.stops.sort_unstable();
            life.stops.dedup_by(|(stop, go), (_, until)| {
                let overlaps = *stop <= *until;
                if overlaps {
                    *until = (*until).max(*go);
                }
                overlaps
            });
        }
        for write in &past.writes {
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
            What::SignedIn { family, refresh } => {
                self.families.insert(*family, (grant, *refresh));
            }
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
                if let Some(place) = self.by_stamp.get(stamp) {
                    self.writes[*place].end = Some((at, end.clone()));
                }
            }
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
                if let Some(place) = exchange(n) {
                    self.exchanges[place].sending = Some(at);
                }
            }
            What::Exchanged { n, end } => {
                if let Some(place) = exchange(n) {
                    self.exchanges[place].end = Some((at, end.clone()));
                }
            }
            _ => {}
        }
    }

    fn take_request(&mut self, request: &Request, by_id: &HashMap<(u32, u32, u64), usize>) {
        let exchange = request.id.and_then(|id| by_id.get(&id)).copied();
        let (Some(exchange), Some(family)) = (exchange, request.family) else {
            return self.strangers.push(request.clone());
        };
        let Request { arrived, presented, decided, .. } = *request;
        self.shown.push(Shown { arrived, family, presented, exchange, decided });
    }

    /// Whether a process stood still within this time.
    pub(super) fn stood(&self, process: u32, from: At, to: At) -> bool {
        self.lives.get(&process).is_some_and(|life| !life.stood(from, to).is_zero())
    }

    /// When `kill -9` was sent to it.
    pub(super) fn killed(&self, process: u32) -> Option<At> {
        self.lives.get(&process)?.killed
    }

    /// For how long of this time an exchange's process ran, and could write.
    pub(super) fn ran(&self, exchange: &Exchange, from: At, to: At) -> Duration {
        let stood = self.lives.get(&exchange.process).map(|life| life.stood(from, to));
        let blocked = self.blocked.get(&exchange.grant).map(Vec::as_slice).unwrap_or_default();
        let blocked: Duration =
            blocked.iter().map(|(stop, go)| (*go.min(&to)).since(*stop.max(&from))).sum();
        to.since(from).saturating_sub(stood.unwrap_or_default() + blocked)
    }

    /// Whether anybody stood still within a write to this grant, with the store's lock, within this time.
    pub(super) fn store_stood(&self, grant: u32, from: At, to: At) -> bool {
        let blocked = self.blocked.get(&grant).map(Vec::as_slice).unwrap_or_default();
        blocked.iter().any(|(stop, go)| *stop < to && *go > from)
    }

    /// Whether an exchange's process has begun to store this refresh token.
    pub(super) fn has_tried(&self, exchange: &Exchange, refresh: Mark) -> bool {
        let own = self.by_writer.get(&(exchange.process, exchange.grant));
        let mut own = own.into_iter().flatten().map(|place| &self.writes[*place]);
        own.any(|write| write.record.refresh == Some(refresh))
    }

    /// The intent under which an exchange was made: its process's last write of one before it.
    pub(super) fn intent(&self, exchange: &Exchange) -> Option<&Write> {
        let own = self.by_writer.get(&(exchange.process, exchange.grant))?;
        own.iter().rev().map(|place| &self.writes[*place]).find(|write| {
            write.began <= exchange.began
                && write.record.state == State::InFlight
                && write.record.refresh == Some(exchange.presented)
        })
    }
}
