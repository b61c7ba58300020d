//! Who could do something for a grant, and when: who lived, did not stand still, and reached the store.

use std::time::Duration;

use crate::record::Version;
use crate::run::host;
use crate::time::{At, REPAIR, quarantine};

use super::past::Past;

/// One process.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// When `kill -9` was sent.
    pub(super) killed: Option<At>,
    /// When it stood still: from SIGSTOP to SIGCONT, or while a busy machine gave it no time. In order, and apart.
    pub(super) stops: Vec<(At, At)>,
}

impl Life {
    /// For how long it stood still within this time.
    pub(super) fn stood(&self, from: At, to: At) -> Duration {
        overlap(&self.stops, from, to)
    }
}

impl Past {
    /// Whether a process stood still within this time.
    pub(super) fn stood(&self, process: u32, from: At, to: At) -> bool {
        self.lives.get(&process).is_some_and(|life| !life.stood(from, to).is_zero())
    }

    /// When `kill -9` was sent to it.
    pub(super) fn killed(&self, process: u32) -> Option<At> {
        self.lives.get(&process)?.killed
    }

    /// For how long of this time a process ran, and could write to a grant.
    pub(super) fn ran(&self, process: u32, grant: u32, from: At, to: At) -> Duration {
        let unable = overlap(&self.unable(process, grant), from, to);
        to.since(from).saturating_sub(unable)
    }

    /// Whether a process could do nothing for a grant at some moment of this time: it stood still, or somebody else did with the
    /// store's lock, or the store was out of its reach.
    pub(super) fn held_up(&self, process: u32, grant: u32, from: At, to: At) -> bool {
        !overlap(&self.unable(process, grant), from, to).is_zero()
    }

    /// How much of this time a caller could not have been served in: its process could do nothing, or what was done to the servers
    /// made everybody hold off afterwards.
    pub(super) fn delayed(&self, process: u32, grant: u32, from: At, to: At) -> Duration {
        let mut spans = self.unable(process, grant);
        spans.extend(self.disturbed(grant));
        join(&mut spans);
        overlap(&spans, from, to)
    }

    /// Whether everybody held off from a grant at some moment of this time, for what was done to its servers.
    pub(super) fn is_disturbed(&self, grant: u32, from: At, to: At) -> bool {
        self.disturbed(grant).any(|(began, over)| began < to && over > from)
    }

    /// Each such time ends with the first write after it that nobody holds off from, and in no longer than a settle barrier.
    fn disturbed(&self, grant: u32) -> impl Iterator<Item = (At, At)> {
        let holding_off = quarantine() + REPAIR;
        let idle = self.idle.get(&grant).map(Vec::as_slice).unwrap_or_default();
        self.servers.disturbed(grant).map(move |(began, over)| {
            let next = idle.get(idle.partition_point(|at| *at <= over)).copied();
            (began, next.unwrap_or(At(u64::MAX)).min(over.after(holding_off)))
        })
    }

    fn unable(&self, process: u32, grant: u32) -> Vec<(At, At)> {
        let stops = self.lives.get(&process).map(|life| life.stops.as_slice());
        let blocked = self.blocked.get(&grant).map(Vec::as_slice);
        let mut spans = [stops.unwrap_or_default(), blocked.unwrap_or_default()].concat();
        spans.extend(self.servers.out(grant, host(process)));
        join(&mut spans);
        spans
    }

    /// Whether somebody knew this version of a grant, or a later one, and had the time to bring it back within this time.
    pub(super) fn could_bring_back(&self, grant: u32, version: Version, from: At, to: At) -> bool {
        self.known.get(&grant).into_iter().flatten().any(|(process, versions)| {
            let knew = versions.iter().find(|(_, known)| *known >= version);
            let until = self.killed(*process).unwrap_or(to).min(to);
            knew.is_some_and(|(at, _)| {
                // One look, one answer and one write, which do not get done in pieces.
                longest_gap(&self.unable(*process, grant), from.max(*at), until) > REPAIR
            })
        })
    }
}

/// Puts spans of time in order, and joins those that overlap.
pub(super) fn join(spans: &mut Vec<(At, At)>) {
    spans.sort_unstable();
    spans.dedup_by(|(from, to), (_, until)| {
        let overlaps = *from <= *until;
        if overlaps {
            *until = (*until).max(*to);
        }
        overlaps
    });
}

/// How much of this time is within the spans, which do not overlap.
fn overlap(spans: &[(At, At)], from: At, to: At) -> Duration {
    spans.iter().map(|(stop, go)| (*go.min(&to)).since(*stop.max(&from))).sum()
}

/// The longest part of this time without any of the spans, which are in order and do not overlap.
fn longest_gap(spans: &[(At, At)], from: At, to: At) -> Duration {
    let stops = spans.iter().map(|(stop, _)| *stop).chain([to]);
    let goes = [from].into_iter().chain(spans.iter().map(|(_, go)| *go));
    let gaps = goes.zip(stops).map(|(go, stop)| stop.min(to).since(go.max(from)));
    gaps.max().unwrap_or_default()
}
