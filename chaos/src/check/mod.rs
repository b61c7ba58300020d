//! The checker: the whole history against the rules. Pure.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{Entry, What};
use crate::request::Decision;
use crate::run::Outcome;
use crate::time::At;

mod able;
mod answers;
mod calls;
mod chain;
mod deaths;
mod loads;
pub(crate) mod losses;
mod past;
mod presented;
mod repairs;
mod servers;
pub(crate) mod story;
mod takeovers;
#[cfg(test)]
mod tests;
mod writes;

use self::losses::Cause;
use self::past::Past;

/// What the history shows.
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    pub(crate) refreshes: u64,
    /// How often each refresh token that was presented at all was presented: the most, and the mean.
    pub(crate) presentations_max: u64,
    pub(crate) presentations_mean: f64,
    pub(crate) losses: HashMap<Cause, u64>,
    /// From each death of a holder to the moment when somebody else declared the takeover; sorted.
    pub(crate) takeovers: Vec<Duration>,
    /// How long callers waited, where it was not at once; sorted.
    pub(crate) waits: Vec<Duration>,
    /// The longest that a busy machine gave a process no time.
    pub(crate) starved: Duration,
}

/// A rule that was broken, and where in the history to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) text: String,
    pub(crate) grant: Option<u32>,
    pub(crate) from: At,
    pub(crate) to: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Rule {
    /// A refresh token is presented again only where the rule for unknown outcomes allows it.
    PresentedTwice,
    /// A refresh token is presented only under an intent that is in the store.
    NoIntent,
    /// What is said not to have been carried out was not.
    NotCarriedOut,
    /// A grant is declared dead only after the server has refused its token.
    DeadWithoutCause,
    /// The versions of the stored records never go down.
    VersionDown,
    /// What is read is what was written.
    Torn,
    /// A write that was acknowledged is there, or was succeeded by one that expected it.
    LostWrite,
    /// A write that is said to be lost is, and to another record than the one that it expected.
    FalseDenial,
    /// Who reads after a write was acknowledged sees it, or a later one.
    StaleRead,
    /// An answer that has come to a process that runs is stored.
    AnswerDropped,
    /// What a process's callers get never goes back to an older version.
    CallerDown,
    /// A caller waits for a bounded time.
    LongWait,
    /// No family is revoked while its live refresh token is in the store or in a process that runs.
    AvoidableLoss,
    /// What the store has lost is brought back by whoever knows it.
    NotBroughtBack,
    /// The run itself: processes that end by themselves, steps that are never met, grants that do not recover.
    Run,
}

/// Holds the history against every rule. `intents`: whether the protocol under test promises to keep them; else only the
/// losses are looked at.
pub(crate) fn check(outcome: &Outcome, intents: bool) -> Findings {
    let past = Past::new(&outcome.entries, &outcome.requests, outcome.places);
    let mut violations = Vec::new();
    for fault in &outcome.faults {
        violations.push(Violation {
            rule: Rule::Run,
            text: fault.clone(),
            grant: None,
            from: past.end,
            to: past.end,
        });
    }
    for stranger in &past.strangers {
        violations.push(Violation {
            rule: Rule::NoIntent,
            text: format!(
                "the server got {stranger:?}, of which no process has told, or the server itself"
            ),
            grant: None,
            from: past.end,
            to: past.end,
        });
    }
    let chains = chain::all(&past, &outcome.entries, &outcome.last);
    let revocations = losses::all(&past, &chains, &mut violations);
    if intents {
        writes::check(&past, &chains, &outcome.last, &mut violations);
        loads::check(&past, &chains, &outcome.entries, &mut violations);
        deaths::check(&past, &mut violations);
        presented::check(&past, &chains, &outcome.entries, &mut violations);
        answers::check(&past, &chains, &mut violations);
        repairs::check(&past, &outcome.entries, &mut violations);
    }
    let waits = calls::check(&past, &outcome.entries, &mut violations);
    let mut counts: HashMap<_, u64> = HashMap::new();
    for shown in &past.shown {
        *counts.entry(shown.presented).or_default() += 1;
    }
    let issued = |shown: &&past::Shown| matches!(shown.decided, Some((_, Decision::Issued(_))));
    let mut losses = HashMap::new();
    for cause in revocations {
        *losses.entry(cause).or_default() += 1;
    }
    Findings {
        violations,
        refreshes: past.shown.iter().filter(issued).count() as u64,
        presentations_max: counts.values().copied().max().unwrap_or_default(),
        presentations_mean: past.shown.len() as f64 / counts.len().max(1) as f64,
        losses,
        takeovers: takeovers::all(&past, &chains, &outcome.entries),
        waits,
        starved: past.starved,
    }
}

/// The entries of one kind, with process and grant.
fn of_grants<'a, T>(
    entries: &'a [Entry],
    select: impl Fn(&'a What) -> Option<T>,
) -> impl Iterator<Item = (At, u32, u32, T)> {
    entries.iter().filter_map(move |entry| {
        Some((entry.at, entry.process, entry.grant?, select(&entry.what)?))
    })
}
