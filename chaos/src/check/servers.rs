//! What was done to the servers, and what it excuses: who could not reach a place, and what a place may have lost.

use std::collections::HashMap;

use crate::history::{Injected, Out};
use crate::stores::place_of;
use crate::time::At;

/// A time in which a place may have lost what was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fall {
    /// What was acknowledged earlier is there.
    since: At,
    pub(super) began: At,
    /// When the place could be used again: what it has lost can be brought back.
    pub(super) served: At,
    /// What takes effect later is not lost.
    over: At,
}

/// What is known of a write that took effect.
pub(super) struct Stored {
    pub(super) grant: u32,
    pub(super) began: At,
    /// By when it had taken effect.
    pub(super) known: At,
    /// When that began by which it was seen to be there last.
    pub(super) seen: At,
}

/// From when until when.
type Span = (At, At);

/// All that was done to the servers.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// How many places there are: the grants are in them in turn.
    places: u32,
    /// By place.
    falls: HashMap<u32, Vec<Fall>>,
    /// By place and host, when it was out of reach; without a host for all of them.
    out: HashMap<(u32, Option<u32>), Vec<Span>>,
    /// By place, when something that disturbs was under way.
    disturbed: HashMap<u32, Vec<Span>>,
}

impl Servers {
    pub(super) fn new(places: u32) -> Self {
        Self { places, ..Self::default() }
    }

    pub(super) fn take(&mut self, injected: &Injected, over: At) {
        let Injected { place, began, out, lost_since, .. } = *injected;
        if let Some(since) = lost_since {
            let served = out.map_or(began, |out| out.until);
            self.falls.entry(place).or_default().push(Fall { since, began, served, over });
        }
        if let Some(Out { host, from, until }) = out {
            self.out.entry((place, host)).or_default().push((from, until));
        }
        if out.is_some() || lost_since.is_some() {
            self.disturbed.entry(place).or_default().push((began, over));
        }
    }

    /// The first fall by which a write may be lost to who looks at this moment.
    ///
    /// What was seen after a fall has survived it; but as long as one lasts, a former master may not show what its successor
    /// has.
    pub(super) fn may_have_lost(&self, write: &Stored, looked: At) -> Option<&Fall> {
        let Stored { grant, began, known, seen } = *write;
        let falls = self.falls.get(&place_of(grant, self.places)).into_iter().flatten();
        falls
            .filter(|fall| fall.since <= known && began <= fall.over)
            .filter(|fall| seen.min(looked) <= fall.over)
            .min_by_key(|fall| fall.began)
    }

    /// When a grant's place was out of reach of a host.
    pub(super) fn out(&self, grant: u32, host: u32) -> impl Iterator<Item = Span> {
        let place = place_of(grant, self.places);
        let spans = |host| self.out.get(&(place, host)).into_iter().flatten().copied();
        spans(None).chain(spans(Some(host)))
    }

    /// When a grant's place was disturbed.
    pub(super) fn disturbed(&self, grant: u32) -> impl Iterator<Item = Span> {
        self.disturbed.get(&place_of(grant, self.places)).into_iter().flatten().copied()
    }
}
