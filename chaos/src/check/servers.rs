//! What was done to the servers, and what it excuses: who could not reach a place, and what a place may have lost.

use std::collections::HashMap;

use crate::history::Injected;
use crate::time::At;

/// A time in which a place may have lost what was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fall {
    pub(super) place: u32,
    /// What was acknowledged earlier is there.
    pub(super) since: At,
    pub(super) began: At,
    pub(super) over: At,
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
            self.falls.push(Fall { place, since, began, over });
        }
        if let Some(host) = out {
            self.out.entry((place, host)).or_default().push((began, over));
        }
        if out.is_some() || lost_since.is_some() {
            self.disturbed.entry(place).or_default().push((began, over));
        }
    }

    /// The first fall by which what a grant's place acknowledged at this moment may have been lost.
    pub(super) fn may_have_lost(&self, grant: u32, acknowledged: At) -> Option<&Fall> {
        let place = self.place_of(grant);
        let of_place = self.falls.iter().filter(|fall| fall.place == place);
        let lost = of_place.filter(|fall| fall.since <= acknowledged && acknowledged <= fall.over);
        lost.min_by_key(|fall| fall.began)
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
