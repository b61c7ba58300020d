//! What was done to the servers, and what it excuses: who could not reach a place, and what a place may have lost.

use std::collections::HashMap;

use crate::history::{Injected, Out};
use crate::time::At;

/// A time in which a place may have lost what was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fall {
    place: u32,
    /// What was acknowledged earlier is there.
    since: At,
    pub(super) began: At,
    /// When the place could be used again: what it has lost can be brought back.
    pub(super) served: At,
    /// What takes effect later is not lost.
    over: At,
}

/// From when until when.
type Span = (At, At);

/// All that was done to the servers.
#[derive(Debug, Default)]
pub(super) struct Servers {
    /// How many places there are: the grants are in them in turn.
    places: u32,
    falls: Vec<Fall>,
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
            self.falls.push(Fall { place, since, began, served, over });
        }
        if let Some(Out { host, from, until }) = out {
            self.out.entry((place, host)).or_default().push((from, until));
        }
        if out.is_some() || lost_since.is_some() {
            self.disturbed.entry(place).or_default().push((began, over));
        }
    }

    /// The first fall by which a write to a grant that began then, and is known to have taken effect by then, may have been lost.
    pub(super) fn may_have_lost(&self, grant: u32, began: At, known: At) -> Option<&Fall> {
        let place = self.place_of(grant);
        let of_place = self.falls.iter().filter(|fall| fall.place == place);
        of_place
            .filter(|fall| fall.since <= known && began <= fall.over)
            .min_by_key(|fall| fall.began)
    }

    /// When a grant's place was out of reach of a host.
    pub(super) fn out(&self, grant: u32, host: u32) -> impl Iterator<Item = Span> {
        let place = self.place_of(grant);
        let spans = |host| self.out.get(&(place, host)).into_iter().flatten().copied();
        spans(None).chain(spans(Some(host)))
    }

    /// When a grant's place was disturbed.
    pub(super) fn disturbed(&self, grant: u32) -> impl Iterator<Item = Span> {
        self.disturbed.get(&self.place_of(grant)).into_iter().flatten().copied()
    }

    fn place_of(&self, grant: u32) -> u32 {
        grant % self.places.max(1)
    }
}
