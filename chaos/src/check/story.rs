//! The part of the history that a person needs to understand a violation.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Duration;

use crate::history::{Entry, What};
use crate::run::Outcome;
use crate::time::At;

use super::Violation;

const AROUND: Duration = Duration::from_millis(300);
const LINES: usize = 160;

/// What happened to the violation's grant around it, in order, with what the server saw.
pub(crate) fn tell(violation: &Violation, outcome: &Outcome) -> String {
    let Violation { rule, text, grant, from, to } = violation;
    let mut story = format!("{rule:?}: {text}\n");
    let Some(grant) = *grant else { return story };
    let (from, to) = (from.before(AROUND), to.after(AROUND));
    let within = |at: At| from <= at && at <= to;
    let of_grant = |entry: &&Entry| entry.grant == Some(grant) && within(entry.at);
    let involved: HashSet<u32> =
        outcome.entries.iter().filter(of_grant).map(|entry| entry.process).collect();
    let belongs = |entry: &&Entry| match &entry.what {
        // It may have been over later.
        What::Injected(injected) => {
            injected.is_of(grant, outcome.places) && injected.began <= to && from <= entry.at
        }
        what => {
            let own = entry.grant.is_none() && involved.contains(&entry.process);
            within(entry.at) && tells(what) && (entry.grant == Some(grant) || own)
        }
    };
    let mut lines: Vec<(At, String)> = outcome
        .entries
        .iter()
        .filter(belongs)
        .map(|entry| (entry.at, format!("process {:<4} {:?}", entry.process, entry.what)))
        .collect();
    let mut tell = |at: At, line: String| {
        if within(at) {
            lines.push((at, line));
        }
    };
    for request in &outcome.requests {
        let Some((process, of, n)) = request.id.filter(|(_, of, _)| *of == grant) else { continue };
        let (presented, family) = (request.presented, request.family);
        let line = format!(
            "server       got {presented} of exchange {n} of process {process}, family {family:?}"
        );
        tell(request.arrived, line);
        if let Some((at, decision)) = &request.decided {
            tell(
                *at,
                format!(
                    "server       decided on exchange {n} of process {process}, grant {of}: {decision:?}"
                ),
            );
        }
    }
    lines.sort();
    let left_out = lines.len().saturating_sub(LINES);
    for (at, line) in lines.iter().skip(left_out) {
        // Writing to a string cannot fail.
        let _ = writeln!(story, "  {:9.3}  {line}", at.since(from).as_secs_f64());
    }
    if left_out > 0 {
        let _ = writeln!(story, "  ({left_out} earlier lines left out)");
    }
    story
}

/// Whether this entry belongs to what a person needs to see.
fn tells(what: &What) -> bool {
    !matches!(what, What::Call { .. } | What::Waiting { .. })
}
