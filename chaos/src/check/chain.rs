//! The writes to one grant in their order.

use std::collections::HashMap;

use crate::history::{Entry, Found, SwapEnd, What};
use crate::mark::Mark;
use crate::run::LastRecord;
use crate::time::At;

use super::of_grants;
use super::past::{Past, Write};
use super::servers::Fall;

/// The writes to one grant that took effect, each with its rank: how many came before it.
///
/// Over servers that fall back a write may replace one that others had replaced before: then this is no chain but a tree,
/// in the order in which the writes are known to have been in the store.
#[derive(Default)]
pub(super) struct Chain {
    /// Where each is in [`Past::writes`].
    writes: Vec<usize>,
    /// From when on each is in the store for sure.
    in_by: Vec<At>,
    ranks: HashMap<Mark, usize>,
    /// The first rank of each refresh token.
    first: HashMap<Mark, usize>,
}

impl Chain {
    /// The rank of a write; `None` if it never took effect.
    pub(super) fn rank(&self, stamp: Mark) -> Option<usize> {
        self.ranks.get(&stamp).copied()
    }

    pub(super) fn writes<'a>(
        &'a self,
        past: &'a Past,
    ) -> impl DoubleEndedIterator<Item = (usize, &'a Write)> + ExactSizeIterator {
        self.writes.iter().enumerate().map(|(rank, write)| (rank, &past.writes[*write]))
    }

    pub(super) fn write<'a>(&self, past: &'a Past, rank: usize) -> &'a Write {
        &past.writes[self.writes[rank]]
    }

    /// From when on the write is in the store for sure: it was acknowledged, built upon, or read.
    pub(super) fn in_by(&self, rank: usize) -> At {
        self.in_by[rank]
    }

    /// The first rank whose record has this refresh token.
    pub(super) fn first_with(&self, refresh: Mark) -> Option<usize> {
        self.first.get(&refresh).copied()
    }

    /// Whether one write has replaced the other, or what replaced that.
    pub(super) fn builds_upon(&self, past: &Past, later: usize, earlier: usize) -> bool {
        let mut at = Some(later);
        while let Some(rank) = at.filter(|rank| *rank > earlier) {
            at = self.replaced(past, rank);
        }
        at == Some(earlier)
    }

    /// When a later write shows that this one is gone: one that does not build upon it.
    pub(super) fn gone_by(&self, past: &Past, rank: usize) -> Option<At> {
        // All between the two build upon this one, or the search had ended there.
        let builds = |later| self.replaced(past, later).is_some_and(|one| one >= rank);
        (rank + 1..self.writes.len()).find(|later| !builds(*later)).map(|later| self.in_by(later))
    }

    /// The fall by which a write may be lost to who looks at this moment.
    pub(super) fn may_have_lost<'a>(
        &self,
        past: &'a Past,
        rank: usize,
        looked: At,
    ) -> Option<&'a Fall> {
        past.may_have_lost(self.write(past, rank), self.in_by(rank), looked)
    }

    /// What a write has replaced: an earlier one, or none.
    fn replaced(&self, past: &Past, rank: usize) -> Option<usize> {
        let expect = self.write(past, rank).expect?;
        self.rank(expect).filter(|replaced| *replaced < rank)
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
        let told = own.iter().filter_map(|&own| {
            let write = &past.writes[own];
            let at = write.won().into_iter().chain(seen.get(&write.stamp).copied()).min();
            Some((own, at?))
        });
        for (write, at) in told.chain(last) {
            // What it has replaced was there before it began.
            let (mut at, mut one) = (at, write);
            while known(one, at) {
                let write = &past.writes[one];
                let Some(before) = write.expect.and_then(|stamp| past.by_stamp.get(&stamp)) else {
                    break;
                };
                (one, at) = (*before, write.began.min(at));
                if past.writes[one].began > at {
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
        chain.ranks = chain.writes(past).map(|(rank, write)| (write.stamp, rank)).collect();
        let last_first = chain.writes(past).rev();
        chain.first =
            last_first.filter_map(|(rank, write)| Some((write.record.refresh?, rank))).collect();
        chain
    }
}

/// The chain of each grant, from what was told of it and from its last record.
pub(super) fn all(
    past: &Past,
    entries: &[Entry],
    last: &[(u32, LastRecord)],
) -> HashMap<u32, Chain> {
    let mut seen: HashMap<Mark, At> = HashMap::new();
    for (at, _, _, stamp) in of_grants(entries, shown) {
        let first = seen.entry(stamp).or_insert(at);
        *first = at.min(*first);
    }
    let mut own: HashMap<u32, Vec<usize>> = HashMap::new();
    for (index, write) in past.writes.iter().enumerate() {
        own.entry(write.grant).or_default().push(index);
    }
    let chain = |(grant, last): &(u32, LastRecord)| {
        let own = own.get(grant).map(Vec::as_slice).unwrap_or_default();
        let last = last.as_ref().ok().copied().flatten().map(|(stamp, _)| stamp);
        (*grant, Chain::new(past, own, &seen, last))
    };
    last.iter().map(chain).collect()
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
