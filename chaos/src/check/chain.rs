//! The store's rules: each write has replaced the one that it expected, and what took effect is there, or was replaced, or
//! lost by servers that were made to lose it.

use std::collections::{HashMap, HashSet};

use crate::history::{Entry, Found, SwapEnd, What};
use crate::mark::Mark;
use crate::run::LastRecord;
use crate::time::At;

use super::past::{Past, Write};
use super::{Rule, Violation, of_grants};

/// The writes to one grant that took effect, in their order.
///
/// Over servers that fall back a write may replace one that others had replaced before: then this is no chain but a tree,
/// in the order in which the writes are known to have been in the store.
#[derive(Default)]
pub(super) struct Chain {
    /// Places in [`Past::writes`].
    writes: Vec<usize>,
    /// From when on each is in the store for sure.
    in_by: Vec<At>,
    place: HashMap<Mark, usize>,
    /// The first place of each refresh token.
    first: HashMap<Mark, usize>,
}

impl Chain {
    /// How many writes came before this one; `None` if it never took effect.
    pub(super) fn place(&self, stamp: Mark) -> Option<usize> {
        self.place.get(&stamp).copied()
    }

    pub(super) fn writes<'a>(
        &'a self,
        past: &'a Past,
    ) -> impl DoubleEndedIterator<Item = (usize, &'a Write)> + ExactSizeIterator {
        self.writes.iter().enumerate().map(|(place, write)| (place, &past.writes[*write]))
    }

    /// The write at this place.
    pub(super) fn write<'a>(&self, past: &'a Past, place: usize) -> &'a Write {
        &past.writes[self.writes[place]]
    }

    /// From when on the write at this place is in the store for sure: it was acknowledged, built upon, or read.
    pub(super) fn in_by(&self, place: usize) -> At {
        self.in_by[place]
    }

    /// The first place whose record has this refresh token.
    pub(super) fn first_with(&self, refresh: Mark) -> Option<usize> {
        self.first.get(&refresh).copied()
    }

    /// Whether the write at one place has replaced the other, or what replaced that.
    pub(super) fn builds_upon(&self, past: &Past, later: usize, earlier: usize) -> bool {
        let mut at = Some(later);
        while let Some(place) = at.filter(|place| *place > earlier) {
            at = self.write(past, place).expect.and_then(|expect| self.place(expect));
        }
        at == Some(earlier)
    }

    /// Whether servers were made to lose this write, before another shows that it is gone.
    fn was_lost(&self, past: &Past, place: usize) -> bool {
        let mut later =
            (place + 1..self.writes.len()).filter(|one| !self.builds_upon(past, *one, place));
        let gone = later.next().map_or(past.end, |one| self.in_by(one));
        let fall = past.may_have_lost(self.write(past, place), self.in_by(place));
        fall.is_some_and(|fall| fall.began <= gone)
    }

    /// Puts those writes in their order that were acknowledged, built upon, or read.
    fn new(past: &Past, own: &[usize], seen: &HashMap<Mark, At>, last: Option<Mark>) -> Self {
        let mut in_by: HashMap<usize, At> = HashMap::new();
        let mut known = |write: usize, at: At| {
            let first = in_by.entry(write).or_insert(at);
            let is_news = at <= *first;
            *first = at.min(*first);
            is_news
        };
        let last = last.and_then(|last| past.by_stamp.get(&last)).map(|last| (*last, past.end));
        let told = own.iter().filter_map(|&place| {
            let write = &past.writes[place];
            let at = write.won().into_iter().chain(seen.get(&write.stamp).copied()).min();
            Some((place, at?))
        });
        for (place, at) in told.chain(last) {
            // What it has replaced was there before it began.
            let (mut place, mut at) = (place, at);
            while known(place, at) {
                let write = &past.writes[place];
                let Some(before) = write.expect.and_then(|stamp| past.by_stamp.get(&stamp)) else {
                    break;
                };
                (place, at) = (*before, write.began.min(at));
                if past.writes[place].began > at {
                    // It would have replaced itself, or one that came later.
                    break;
                }
            }
        }
        let mut writes: Vec<usize> = in_by.keys().copied().collect();
        writes.sort_by_key(|write| (in_by[write], past.writes[*write].began, *write));
        let mut chain = Self {
            in_by: writes.iter().map(|write| in_by[write]).collect(),
            writes,
            ..Self::default()
        };
        chain.place = chain.writes(past).map(|(place, write)| (write.stamp, place)).collect();
        let last_first = chain.writes(past).rev();
        chain.first =
            last_first.filter_map(|(place, write)| Some((write.record.refresh?, place))).collect();
        chain
    }
}

/// The chain of each grant, from what was told of it and from its last record.
pub(super) fn all(
    past: &Past,
    entries: &[Entry],
    last: &[(u32, LastRecord)],
    violations: &mut Vec<Violation>,
) -> HashMap<u32, Chain> {
    let mut seen: HashMap<Mark, At> = HashMap::new();
    for (at, _, _, stamp) in of_grants(entries, shown) {
        let first = seen.entry(stamp).or_insert(at);
        *first = at.min(*first);
    }
    let mut own: HashMap<u32, Vec<usize>> = HashMap::new();
    for (place, write) in past.writes.iter().enumerate() {
        own.entry(write.grant).or_default().push(place);
    }
    let mut chains = HashMap::new();
    for (grant, last) in last {
        let mut violation = |rule, text, from, to| {
            violations.push(Violation { rule, text, grant: Some(*grant), from, to });
        };
        let last = match last {
            Ok(last) => last.map(|(stamp, _)| stamp),
            Err(why) => {
                let text = format!("the last record cannot be read: {why}");
                violation(Rule::Torn, text, past.end, past.end);
                let own = own.get(grant).map(Vec::as_slice).unwrap_or_default();
                chains.insert(*grant, Chain::new(past, own, &seen, None));
                continue;
            }
        };
        let own = own.get(grant).map(Vec::as_slice).unwrap_or_default();
        let chain = Chain::new(past, own, &seen, last);
        let mut stands: HashSet<Mark> = HashSet::new();
        let mut at = last;
        while let Some(stamp) = at {
            let Some(write) = past.by_stamp.get(&stamp) else {
                let text = format!("the write {stamp} is there, and nobody has told of it");
                violation(Rule::Torn, text, past.end, past.end);
                break;
            };
            if !stands.insert(stamp) {
                violation(Rule::Torn, format!("{stamp} has replaced itself"), past.end, past.end);
                break;
            }
            at = past.writes[*write].expect;
        }
        for (place, write) in chain.writes(past) {
            let before = write.expect.and_then(|stamp| past.by_stamp.get(&stamp));
            if let Some(before) = before.map(|before| &past.writes[*before])
                && write.record.version < before.record.version
            {
                let text = format!(
                    "version {} was replaced by {}, written by process {}",
                    before.record.version, write.record.version, write.process
                );
                violation(Rule::VersionDown, text, before.began, write.began);
            }
            if !stands.contains(&write.stamp) && !chain.was_lost(past, place) {
                let in_by = chain.in_by(place);
                let text = format!(
                    "the write {} of process {} was in the store, and its successors know nothing of it",
                    write.stamp, write.process
                );
                violation(Rule::LostWrite, text, write.began, in_by);
            }
        }
        chains.insert(*grant, chain);
    }
    chains
}

/// The write that this entry shows to be in the store.
fn shown(what: &What) -> Option<Mark> {
    match what {
        What::Loaded { found: Found::Record { stamp, .. } | Found::Torn { stamp, .. }, .. } => {
            Some(*stamp)
        }
        What::Swapped { end: SwapEnd::Lost { current }, .. } => *current,
        _ => None,
    }
}

/// What was read: whole, written by somebody, and not older than what was acknowledged before.
pub(super) fn loads(
    past: &Past,
    chains: &HashMap<u32, Chain>,
    entries: &[Entry],
    violations: &mut Vec<Violation>,
) {
    // The times of acknowledgement in order, each with the highest place that was acknowledged by then.
    let acknowledged = |chain: &Chain| {
        let mut won: Vec<(At, usize)> =
            chain.writes(past).filter_map(|(place, write)| Some((write.won()?, place))).collect();
        won.sort_unstable();
        let mut highest = 0;
        won.iter_mut().for_each(|(_, place)| {
            highest = highest.max(*place);
            *place = highest;
        });
        won
    };
    let acknowledged: HashMap<u32, _> =
        chains.iter().map(|(grant, chain)| (*grant, acknowledged(chain))).collect();
    for (at, process, grant, (began, found)) in of_grants(entries, loaded) {
        let mut violation = |rule, text| {
            violations.push(Violation { rule, text, grant: Some(grant), from: began, to: at });
        };
        let (Some(chain), Some(won)) = (chains.get(&grant), acknowledged.get(&grant)) else {
            continue;
        };
        let before = won.partition_point(|(at, _)| *at < began);
        let newest = before.checked_sub(1).map(|place| won[place].1);
        // Not where the servers were made to lose it.
        let newest = newest.filter(|newest| {
            let fall = past.may_have_lost(chain.write(past, *newest), chain.in_by(*newest));
            fall.is_none_or(|fall| fall.began > at)
        });
        match found {
            Found::Nothing => {
                if newest.is_some() {
                    let text = format!("process {process} found no record where there was one");
                    violation(Rule::StaleRead, text);
                }
            }
            Found::Record { stamp, digest } => {
                let write = past.by_stamp.get(stamp).map(|place| &past.writes[*place]);
                if write.is_none_or(|write| write.digest != *digest || write.grant != grant) {
                    let text =
                        format!("process {process} read {stamp}, which nobody wrote like that");
                    violation(Rule::Torn, text);
                }
                let place = chain.place(*stamp);
                if place.zip(newest).is_some_and(|(place, newest)| place < newest) {
                    let text =
                        format!("process {process} read {stamp}, which had been replaced before");
                    violation(Rule::StaleRead, text);
                }
            }
            Found::Torn { stamp, why } => {
                let text = format!("process {process} read {stamp}, which is no record: {why}");
                violation(Rule::Torn, text);
            }
            Found::Failed { kind } => {
                if matches!(kind.as_str(), "Corrupt" | "Insecure") {
                    violation(Rule::Torn, format!("the store told process {process}: {kind}"));
                }
            }
        }
    }
}

fn loaded(what: &What) -> Option<(At, &Found)> {
    if let What::Loaded { began, found } = what { Some((*began, found)) } else { None }
}
