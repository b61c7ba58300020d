//! The store's rules: from the last record of a grant back to the first, each write has replaced the one that it expected.

use std::collections::HashMap;

use crate::history::{Entry, Found, What};
use crate::mark::Mark;
use crate::time::At;

use super::past::{Past, Write};
use super::{Rule, Violation, of_grants};

/// The writes to one grant that took effect, in their order.
#[derive(Default)]
pub(super) struct Chain {
    /// Places in [`Past::writes`].
    writes: Vec<usize>,
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

    /// From when on the write at this place is in the store for sure: it was acknowledged, or built upon.
    pub(super) fn in_by(&self, past: &Past, place: usize) -> At {
        let acknowledged = past.writes[self.writes[place]].won();
        let next = self.writes.get(place + 1).map(|next| past.writes[*next].began);
        acknowledged.into_iter().chain(next).min().unwrap_or(past.end)
    }

    /// The first place whose record has this refresh token.
    pub(super) fn first_with(&self, refresh: Mark) -> Option<usize> {
        self.first.get(&refresh).copied()
    }
}

/// Walks back from the last record of each grant.
pub(super) fn all(
    past: &Past,
    last: &[Result<Option<(Mark, Mark)>, String>],
    violations: &mut Vec<Violation>,
) -> Vec<Chain> {
    let mut chains = Vec::new();
    for (grant, last) in last.iter().enumerate() {
        let grant = u32::try_from(grant).unwrap_or_default();
        let mut violation = |rule, text, from, to| {
            violations.push(Violation { rule, text, grant: Some(grant), from, to });
        };
        let mut chain = Chain::default();
        let mut at = match last {
            Ok(last) => last.map(|(stamp, _)| stamp),
            Err(why) => {
                let text = format!("the last record cannot be read: {why}");
                violation(Rule::Torn, text, past.end, past.end);
                None
            }
        };
        while let Some(stamp) = at {
            let Some(write) = past.by_stamp.get(&stamp) else {
                let text = format!("the write {stamp} is there, and nobody has told of it");
                violation(Rule::Torn, text, past.end, past.end);
                break;
            };
            if chain.writes.len() > past.writes.len() {
                violation(Rule::Torn, format!("{stamp} has replaced itself"), past.end, past.end);
                break;
            }
            chain.writes.push(*write);
            at = past.writes[*write].expect;
        }
        chain.writes.reverse();
        chain.place = chain.writes(past).map(|(place, write)| (write.stamp, place)).collect();
        let last_first = chain.writes(past).rev();
        chain.first =
            last_first.filter_map(|(place, write)| Some((write.record.refresh?, place))).collect();
        for pair in chain.writes.windows(2) {
            let (before, after) = (&past.writes[pair[0]], &past.writes[pair[1]]);
            if after.record.version < before.record.version {
                let text = format!(
                    "version {} was replaced by {}, written by process {}",
                    before.record.version, after.record.version, after.process
                );
                violation(Rule::VersionDown, text, before.began, after.began);
            }
        }
        for write in past.writes.iter().filter(|write| write.grant == grant) {
            if let Some(won) = write.won()
                && chain.place(write.stamp).is_none()
            {
                let text = format!(
                    "the write {} of process {} was acknowledged, and its successors know nothing of it",
                    write.stamp, write.process
                );
                violation(Rule::LostWrite, text, write.began, won);
            }
        }
        chains.push(chain);
    }
    chains
}

/// What was read: whole, written by somebody, and not older than what was acknowledged before.
pub(super) fn loads(
    past: &Past,
    chains: &[Chain],
    entries: &[Entry],
    violations: &mut Vec<Violation>,
) {
    // The times of acknowledgement in order, each with the highest place that was acknowledged by then.
    let acknowledged: Vec<Vec<(At, usize)>> = chains
        .iter()
        .map(|chain| {
            let mut won: Vec<_> = chain
                .writes(past)
                .filter_map(|(place, write)| Some((write.won()?, place)))
                .collect();
            won.sort_unstable();
            let mut highest = 0;
            won.iter_mut().for_each(|(_, place)| {
                highest = highest.max(*place);
                *place = highest;
            });
            won
        })
        .collect();
    for (at, process, grant, (began, found)) in of_grants(entries, loaded) {
        let mut violation = |rule, text| {
            violations.push(Violation { rule, text, grant: Some(grant), from: began, to: at });
        };
        let Some(chain) = chains.get(grant as usize) else { continue };
        let won = &acknowledged[grant as usize];
        let before = won.partition_point(|(at, _)| *at < began);
        let newest = before.checked_sub(1).map(|place| won[place].1);
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
                match chain.place(*stamp) {
                    Some(place) if newest.is_none_or(|newest| place >= newest) => {}
                    Some(_) => violation(
                        Rule::StaleRead,
                        format!("process {process} read {stamp}, which had been replaced before"),
                    ),
                    None => violation(
                        Rule::LostWrite,
                        format!(
                            "process {process} read {stamp}, of which the last record knows nothing"
                        ),
                    ),
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
