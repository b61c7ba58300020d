//! The history, put in order for the rules: who lived when, what each write, exchange and presentation was.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::history::{Entry, ExchangeEnd, Found, Heard, SwapEnd, What};
use crate::mark::Mark;
use crate::record::{Record, State, Version};
use crate::request::{Decision, Request};
use crate::run::host;
use crate::time::{At, REPAIR, quarantine};

use super::servers::{Fall, Servers};

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
        overlap(&self.stops, from, to)
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
    /// When somebody stood still within a write to a grant, with the store's lock.
    blocked: HashMap<u32, Vec<(At, At)>>,
    pub(super) servers: Servers,
    /// When the writes to each grant by which a refresh, or a login, was stored were acknowledged; in order.
    idle: HashMap<u32, Vec<At>>,
    /// The versions that each process came to know of each grant, by grant: when, and ever higher ones.
    known: HashMap<u32, HashMap<u32, Vec<(At, Version)>>>,
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
    /// `servers`: how many places there are that servers keep; 0 where the store is of files.
    pub(super) fn new(entries: &[Entry], requests: &[Request], servers: u32) -> Self {
        let mut past = Self {
            lives: HashMap::new(),
            writes: Vec::new(),
            by_stamp: HashMap::new(),
            by_writer: HashMap::new(),
            blocked: HashMap::new(),
            servers: Servers::new(servers),
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
        for write in past.writes.iter().filter(|_| servers == 0) {
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

    /// Takes in which versions a process came to know. `issued`: which process was issued which refresh token.
    fn learn(&mut self, entry: &Entry, issued: &HashSet<(u32, Mark)>) {
        let of_write =
            |stamp: &Mark| self.by_stamp.get(stamp).map(|place| self.writes[*place].record.version);
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

    /// For how long of this time a process ran, and could write to a grant.
    pub(super) fn ran(&self, process: u32, grant: u32, from: At, to: At) -> Duration {
        let unable = overlap(&self.unable(process, grant), from, to);
        to.since(from).saturating_sub(unable)
    }

    /// Whether a process could do nothing for a grant at some moment of this time: it stood still, or somebody else did with the
    /// store's lock, or the store was out of its reach.
    pub(super) fn held_up(&self, process: u32, grant: u32, from: At, to: At) -> bool {
        !overlap(&self.unable(process, grant), from, to).is_zero()
    }

    /// How much of this time a caller could not have been served in: its process could do nothing, or what was done to the servers
    /// made everybody hold off afterwards.
    pub(super) fn delayed(&self, process: u32, grant: u32, from: At, to: At) -> Duration {
        let mut spans = self.unable(process, grant);
        spans.extend(self.disturbed(grant));
        join(&mut spans);
        overlap(&spans, from, to)
    }

    /// Whether everybody held off from a grant at some moment of this time, for what was done to its servers.
    pub(super) fn is_disturbed(&self, grant: u32, from: At, to: At) -> bool {
        self.disturbed(grant).any(|(began, over)| began < to && over > from)
    }

    /// Each such time ends with the first write after it that nobody holds off from, and in no longer than a settle barrier.
    fn disturbed(&self, grant: u32) -> impl Iterator<Item = (At, At)> {
        let holding_off = quarantine() + REPAIR;
        let idle = self.idle.get(&grant).map(Vec::as_slice).unwrap_or_default();
        self.servers.disturbed(grant).map(move |(began, over)| {
            let next = idle.get(idle.partition_point(|at| *at <= over)).copied();
            (began, next.unwrap_or(At(u64::MAX)).min(over.after(holding_off)))
        })
    }

    fn unable(&self, process: u32, grant: u32) -> Vec<(At, At)> {
        let stops = self.lives.get(&process).map(|life| life.stops.as_slice());
        let blocked = self.blocked.get(&grant).map(Vec::as_slice);
        let mut spans = [stops.unwrap_or_default(), blocked.unwrap_or_default()].concat();
        spans.extend(self.servers.out(grant, host(process)));
        join(&mut spans);
        spans
    }

    /// The fall by which a write that is known to have taken effect by then may have been lost.
    pub(super) fn may_have_lost(&self, write: &Write, known: At) -> Option<&Fall> {
        self.servers.may_have_lost(write.grant, write.began, known)
    }

    /// Whether somebody knew this version of a grant, or a later one, and had the time to bring it back within this time.
    pub(super) fn could_bring_back(&self, grant: u32, version: Version, from: At, to: At) -> bool {
        self.known.get(&grant).into_iter().flatten().any(|(process, versions)| {
            let knew = versions.iter().find(|(_, known)| *known >= version);
            let until = self.killed(*process).unwrap_or(to).min(to);
            knew.is_some_and(|(at, _)| self.ran(*process, grant, from.max(*at), until) > REPAIR)
        })
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

/// Puts spans of time in order, and joins those that overlap.
fn join(spans: &mut Vec<(At, At)>) {
    spans.sort_unstable();
    spans.dedup_by(|(from, to), (_, until)| {
        let overlaps = *from <= *until;
        if overlaps {
            *until = (*until).max(*to);
        }
        overlaps
    });
}

/// How much of this time is within the spans, which do not overlap.
fn overlap(spans: &[(At, At)], from: At, to: At) -> Duration {
    spans.iter().map(|(stop, go)| (*go.min(&to)).since(*stop.max(&from))).sum()
}
