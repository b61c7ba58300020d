//! What callers got, and how long they waited for it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::history::{CallEnd, Entry, What};
use crate::record::Version;
use crate::time::{At, longest_wait};

use super::past::Past;
use super::{Rule, Violation, of_grants};

/// What is returned: how long callers waited, sorted.
pub(super) fn check(
    past: &Past,
    entries: &[Entry],
    violations: &mut Vec<Violation>,
) -> Vec<Duration> {
    let mut waits = Vec::new();
    let mut answered = HashSet::new();
    // Of each process and grant: when a call had ended, and the highest version that had been had by then.
    let mut had: HashMap<(u32, u32), Vec<(At, Version)>> = HashMap::new();
    let mut waited =
        |process: u32, grant, began: At, ended: At, violations: &mut Vec<Violation>| {
            let wait =
                ended.since(began).saturating_sub(past.delayed(process, grant, began, ended));
            waits.push(wait);
            if wait > longest_wait() {
                violations.push(Violation {
                    rule: Rule::LongWait,
                    text: format!("a caller of process {process} waited {wait:?}"),
                    grant: Some(grant),
                    from: began,
                    to: ended,
                });
            }
        };
    for (at, process, grant, (began, end)) in of_grants(entries, call) {
        answered.insert((process, grant, began));
        waited(process, grant, began, at, violations);
        let CallEnd::Token { version } = end else { continue };
        let had = had.entry((process, grant)).or_default();
        let before = had.partition_point(|(ended, _)| *ended < began).checked_sub(1);
        if let Some((ended, higher)) =
            before.map(|last| had[last]).filter(|(_, higher)| higher > version)
        {
            violations.push(Violation {
                rule: Rule::CallerDown,
                text: format!("process {process} gave a caller version {version} after {higher}"),
                grant: Some(grant),
                from: ended,
                to: at,
            });
        }
        let highest = had.last().map_or(*version, |(_, highest)| *version.max(highest));
        had.push((at, highest));
    }
    for (_, process, grant, began) in of_grants(entries, waiting) {
        if !answered.contains(&(process, grant, began)) {
            // Until the process, or the run, was at its end.
            let end = past.killed(process).unwrap_or(past.end);
            waited(process, grant, began, end, violations);
        }
    }
    waits.sort_unstable();
    waits
}

fn call(what: &What) -> Option<(At, &CallEnd)> {
    if let What::Call { began, end } = what { Some((*began, end)) } else { None }
}

fn waiting(what: &What) -> Option<At> {
    if let What::Waiting { began } = what { Some(*began) } else { None }
}
