//! How long it takes until the work of a dead holder is taken over.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{Entry, Heard, What};
use crate::record::State;
use crate::time::At;

use super::chain::Chain;
use super::of_grants;
use super::past::Past;

/// How late a listener may be.
const LISTENER: Duration = Duration::from_millis(200);

/// For each process that was killed while its intent stood in the store: the time until another process declared that it
/// takes over, where nothing was done to the servers meanwhile. An intent that was answered, or ended by a login, before
/// anybody did so does not count. Sorted.
pub(super) fn all(past: &Past, chains: &HashMap<u32, Chain>, entries: &[Entry]) -> Vec<Duration> {
    let select = |what: &What| matches!(what, What::Event(Heard::TakenOver)).then_some(());
    let mut declared: HashMap<u32, Vec<(At, u32)>> = HashMap::new();
    for (at, process, grant, ()) in of_grants(entries, select) {
        declared.entry(grant).or_default().push((at, process));
    }
    let mut takeovers = Vec::new();
    for (grant, chain) in chains {
        let writes: Vec<_> = chain.writes(past).map(|(_, write)| write).collect();
        for (rank, intent) in writes.iter().enumerate() {
            let killed = past.killed(intent.process);
            let Some(killed) = killed.filter(|killed| *killed >= intent.began) else { continue };
            let next = writes.get(rank + 1);
            let left =
                next.is_none_or(|next| next.process != intent.process && next.began > killed);
            if intent.record.state != State::InFlight || !left {
                continue;
            }
            // Who declares it writes next, and the event may come to its listener after that.
            let until = next.map_or(past.end, |next| next.began.after(LISTENER));
            let declared = declared.get(grant);
            let first = declared
                .into_iter()
                .flatten()
                .find(|(at, process)| *process != intent.process && *at > killed && *at <= until);
            // A server that fell back, or does not answer, has everybody wait for longer.
            let disturbed = |at: At| past.is_disturbed(*grant, intent.began, at);
            takeovers
                .extend(first.filter(|(at, _)| !disturbed(*at)).map(|(at, _)| at.since(killed)));
        }
    }
    takeovers.sort_unstable();
    takeovers
}
