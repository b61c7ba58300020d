//! The store's rules for what it shows, to a load or to a swap that it denies: whole, written by somebody, and not older
//! than what was acknowledged before.

use std::collections::HashMap;

use crate::history::{Entry, Found, SwapEnd, What};
use crate::mark::Mark;
use crate::time::At;

use super::chain::Chain;
use super::past::Past;
use super::{Rule, Violation, of_grants};

pub(super) fn check(
    past: &Past,
    chains: &HashMap<u32, Chain>,
    entries: &[Entry],
    violations: &mut Vec<Violation>,
) {
    let acknowledged: HashMap<u32, Acknowledged<'_>> =
        chains.iter().map(|(grant, chain)| (*grant, Acknowledged::new(past, chain))).collect();
    for (at, process, grant, look) in of_grants(entries, |what| look(past, what)) {
        let Look { began, shown, expect } = look;
        let mut violation = |rule, text| {
            violations.push(Violation { rule, text, grant: Some(grant), from: began, to: at });
        };
        let Some(acknowledged) = acknowledged.get(&grant) else { continue };
        let newest = || acknowledged.newest(began, at);
        match shown {
            Shown::Nothing => {
                if newest().is_some() {
                    let text = format!("process {process} found no record where there was one");
                    violation(Rule::StaleRead, text);
                }
            }
            Shown::Record { stamp, digest } => {
                let is_write = past.written(stamp).is_some_and(|write| {
                    write.grant == grant && digest.is_none_or(|digest| write.digest == digest)
                });
                if !is_write {
                    let text =
                        format!("process {process} read {stamp}, which nobody wrote like that");
                    violation(Rule::Torn, text);
                }
                let rank = acknowledged.chain.rank(stamp);
                if rank.zip(newest()).is_some_and(|(rank, newest)| rank < newest) {
                    let text =
                        format!("process {process} read {stamp}, which had been replaced before");
                    violation(Rule::StaleRead, text);
                }
            }
            Shown::Torn { stamp, why } => {
                let text = format!("process {process} read {stamp}, which is no record: {why}");
                violation(Rule::Torn, text);
            }
            Shown::Failed { kind } => {
                if matches!(kind, "Corrupt" | "Insecure" | "Sealed") {
                    violation(Rule::Torn, format!("the store told process {process}: {kind}"));
                }
            }
        }
        if expect.is_some_and(|expect| expect == shown.stamp()) {
            let text = format!(
                "process {process} was told that its write was lost, to the very record that it expected"
            );
            violation(Rule::FalseDenial, text);
        }
    }
}

/// The acknowledged writes to a grant.
struct Acknowledged<'a> {
    past: &'a Past,
    chain: &'a Chain,
    /// The times of acknowledgement in order, each with the highest rank that was acknowledged by then.
    highest: Vec<(At, usize)>,
}

impl<'a> Acknowledged<'a> {
    fn new(past: &'a Past, chain: &'a Chain) -> Self {
        let mut won: Vec<(At, usize)> =
            chain.writes(past).filter_map(|(rank, write)| Some((write.won()?, rank))).collect();
        won.sort_unstable();
        let mut highest = 0;
        for (_, rank) in &mut won {
            highest = highest.max(*rank);
            *rank = highest;
        }
        Self { past, chain, highest: won }
    }

    /// The highest rank that was acknowledged before a look began, and that the servers cannot have been made to lose
    /// before it was over.
    fn newest(&self, began: At, over: At) -> Option<usize> {
        let before = self.highest.partition_point(|(at, _)| *at < began);
        let (_, highest) = self.highest[..before].last()?;
        (0..=*highest).rev().find(|rank| {
            let won = self.chain.write(self.past, *rank).won();
            let fall = self.chain.may_have_lost(self.past, *rank, began);
            won.is_some_and(|won| won < began) && fall.is_none_or(|fall| fall.began > over)
        })
    }
}

/// Somebody saw what the store has.
struct Look<'a> {
    began: At,
    shown: Shown<'a>,
    /// What a swap expected that was told that it had lost: another record than this.
    expect: Option<Option<Mark>>,
}

#[derive(Clone, Copy)]
enum Shown<'a> {
    Nothing,
    /// A swap that has lost does not tell what it saw but for its stamp.
    Record {
        stamp: Mark,
        digest: Option<Mark>,
    },
    Torn {
        stamp: Mark,
        why: &'a str,
    },
    Failed {
        kind: &'a str,
    },
}

impl Shown<'_> {
    fn stamp(self) -> Option<Mark> {
        match self {
            Self::Record { stamp, .. } | Self::Torn { stamp, .. } => Some(stamp),
            Self::Nothing | Self::Failed { .. } => None,
        }
    }
}

fn look<'a>(past: &Past, what: &'a What) -> Option<Look<'a>> {
    match what {
        What::Loaded { began, found } => {
            let shown = match found {
                Found::Nothing => Shown::Nothing,
                Found::Record { stamp, digest } => {
                    Shown::Record { stamp: *stamp, digest: Some(*digest) }
                }
                Found::Torn { stamp, why } => Shown::Torn { stamp: *stamp, why },
                Found::Failed { kind } => Shown::Failed { kind },
            };
            Some(Look { began: *began, shown, expect: None })
        }
        What::Swapped { stamp, end } => {
            let write = past.written(*stamp)?;
            let (shown, expect) = match end {
                SwapEnd::Won => return None,
                SwapEnd::Lost { current: None } => (Shown::Nothing, Some(write.expect)),
                SwapEnd::Lost { current: Some(stamp) } => {
                    (Shown::Record { stamp: *stamp, digest: None }, Some(write.expect))
                }
                SwapEnd::Failed { kind } => (Shown::Failed { kind }, None),
            };
            Some(Look { began: write.began, shown, expect })
        }
        _ => None,
    }
}
