//! How long it takes until the work of a dead holder is taken over.

use std::time::Duration;

use crate::history::{Entry, Heard, What};
use crate::record::State;

use super::chain::Chain;
use super::of_grants;
use super::past::Past;

/// For each process that was killed while its intent stood in the store: the time until another process declared that it
/// takes over. An intent that was answered, or ended by a login, before anybody did so does not count. Sorted.
pub(super) fn all(past: &Past, chains: &[Chain], entries: &[Entry]) -> Vec<Duration> {
    let select = |what: &What| matches!(what, What::Event(Heard::TakenOver)).then_some(());
    let declared: Vec<_> = of_grants(entries, select).collect();
    let mut takeovers = Vec::new();
    for (grant, chain) in chains.iter().enumerate() {
        let writes: Vec<_> = chain.writes(past).map(|(_, write)| write).collect();
        for (place, intent) in writes.iter().enumerate() {
            let killed = past.lives.get(&intent.process).and_then(|life| life.killed);
            let Some(killed) = killed.filter(|killed| *killed >= intent.began) else { continue };
            let next = writes.get(place + 1);
            let left =
                next.is_none_or(|next| next.process != intent.process && next.began > killed);
            if intent.record.state != State::InFlight || !left {
                continue;
            }
            // Who takes over writes next, unless it dies first: then the next one to declare it counts from here, too.
            let until = next.map_or(past.end, |next| next.began);
            let first = declared.iter().find(|(at, process, of, ())| {
                *of as usize == grant && *process != intent.process && *at > killed && *at <= until
            });
            takeovers.extend(first.map(|(at, ..)| at.since(killed)));
        }
    }
    takeovers.sort_unstable();
    takeovers
}
