//! The store's rules for writes: each has replaced the one that it expected, what took effect is there, or was replaced, or
//! lost by servers that were made to lose it, and what is told of a write is so.

use std::collections::{HashMap, HashSet};

use crate::history::SwapEnd;
use crate::mark::Mark;
use crate::run::LastRecord;

use super::chain::Chain;
use super::past::Past;
use super::{Rule, Violation};

pub(super) fn check(
    past: &Past,
    chains: &HashMap<u32, Chain>,
    last: &[(u32, LastRecord)],
    violations: &mut Vec<Violation>,
) {
    for (grant, last) in last {
        let Some(chain) = chains.get(grant) else { continue };
        let mut violation = |rule, text, from, to| {
            violations.push(Violation { rule, text, grant: Some(*grant), from, to });
        };
        for (rank, write) in chain.writes(past) {
            if matches!(write.end, Some((_, SwapEnd::Lost { .. }))) {
                let text = format!(
                    "process {} was told that its write {} was lost, and it is in the store",
                    write.process, write.stamp
                );
                violation(Rule::FalseDenial, text, write.began, chain.in_by(rank));
            }
            let before = write.expect.and_then(|stamp| past.written(stamp));
            if let Some(before) = before
                && write.record.version < before.record.version
            {
                let text = format!(
                    "version {} was replaced by {}, written by process {}",
                    before.record.version, write.record.version, write.process
                );
                violation(Rule::VersionDown, text, before.began, write.began);
            }
        }
        let last = match last {
            Ok(last) => last.map(|(stamp, _)| stamp),
            Err(why) => {
                let text = format!("the last record cannot be read: {why}");
                violation(Rule::Torn, text, past.end, past.end);
                continue;
            }
        };
        let mut stands: HashSet<Mark> = HashSet::new();
        let mut at = last;
        while let Some(stamp) = at {
            let Some(write) = past.written(stamp) else {
                let text = format!("the write {stamp} is there, and nobody has told of it");
                violation(Rule::Torn, text, past.end, past.end);
                break;
            };
            if !stands.insert(stamp) {
                violation(Rule::Torn, format!("{stamp} has replaced itself"), past.end, past.end);
                break;
            }
            at = write.expect;
        }
        for (rank, write) in chain.writes(past) {
            if !stands.contains(&write.stamp) && !was_lost(past, chain, rank) {
                let text = format!(
                    "the write {} of process {} was in the store, and its successors know nothing of it",
                    write.stamp, write.process
                );
                violation(Rule::LostWrite, text, write.began, chain.in_by(rank));
            }
        }
    }
}

/// Whether servers were made to lose this write, before another shows that it is gone.
fn was_lost(past: &Past, chain: &Chain, rank: usize) -> bool {
    let fall = chain.may_have_lost(past, rank, past.end);
    fall.is_some_and(|fall| fall.began <= chain.gone_by(past, rank).unwrap_or(past.end))
}
