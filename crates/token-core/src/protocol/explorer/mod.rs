//! Every interleaving of several processes that share a [`MemoryStore`], with crashes, timeouts and pauses between any
//! two steps, against a server that revokes the family when a refresh token is used twice.
//!
//! What is assumed, and is the protocol's assumption too: a request and its sender's wait for the answer are over within
//! the quarantine. What is not: that anybody's steps follow each other soon.

mod process;
mod steps;
mod store;
mod world;

use std::collections::HashSet;

use self::world::World;
use super::UnknownOutcome;

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) processes: usize,
    /// Flights that each process may begin.
    pub(crate) flights: u32,
    pub(crate) crashes: u32,
    /// Store operations that fail, with or without effect.
    pub(crate) store_faults: u32,
    /// Jumps of time, to the end of the quarantine and to the end of the access token.
    pub(crate) jumps: u32,
    pub(crate) rule: UnknownOutcome,
    /// Whether a process may be paused between a write and the sight of its result, and requests may fail unsent.
    pub(crate) pauses: bool,
    /// Whether the store knows which processes are gone; then the shorter jumps go to where that helps.
    pub(crate) tells_dead_holder: bool,
    /// Whether the store is empty at first, so that the processes race for the seed too.
    pub(crate) empty: bool,
}

/// What an exploration came across, so that a test can see that it was not vacuous.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) newest_generation: u64,
    /// Revocations that nobody could have avoided: the answer was lost with its reader.
    pub(crate) unavoidable: usize,
    pub(crate) takeovers: usize,
    pub(crate) late_commits: usize,
}

/// Explores everything within the scope.
///
/// # Panics
///
/// A rule was broken; the message has the steps that led there.
pub(crate) fn explore(scope: Scope) -> Found {
    let mut found = Found::default();
    let mut visited = HashSet::new();
    let mut open = vec![World::new(scope)];
    while let Some(world) = open.pop() {
        if !visited.insert(world.fingerprint()) {
            continue;
        }
        found.states += 1;
        found.newest_generation = found.newest_generation.max(world.server.live);
        for step in world.steps() {
            let mut next = world.clone();
            next.path.push(step);
            next.take(step, &mut found);
            open.push(next);
        }
    }
    found
}

/// Two processes, each of which refreshes as often as told, with nothing that goes wrong but the network.
pub(crate) const TWO: Scope = Scope {
    processes: 2,
    flights: 1,
    crashes: 0,
    store_faults: 0,
    jumps: 1,
    rule: UnknownOutcome::PresentAgain,
    pauses: true,
    tells_dead_holder: false,
    empty: false,
};

mod tests {
    use super::*;

    #[test]
    fn two_processes_with_a_crash_and_a_store_that_fails_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { crashes: 1, store_faults: 1, jumps: 2, ..TWO });
        // Not vacuous: everything that is guarded against was met.
        assert!(
            found.newest_generation >= 2 && found.takeovers > 0 && found.late_commits > 0,
            "{found:?}"
        );
        assert!(found.unavoidable > 0, "{found:?}");
    }

    #[test]
    fn two_processes_that_refresh_twice_with_a_crash_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { flights: 2, crashes: 1, ..TWO });
        assert!(found.newest_generation >= 4, "{found:?}");
    }

    #[test]
    fn two_processes_that_race_for_the_seed_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { crashes: 1, empty: true, ..TWO });
        assert!(found.newest_generation >= 2, "{found:?}");
    }

    #[test]
    fn two_processes_that_know_of_each_others_death_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { crashes: 1, jumps: 2, tells_dead_holder: true, ..TWO });
        assert!(found.takeovers > 0 && found.unavoidable > 0, "{found:?}");
    }

    #[test]
    fn three_processes_with_a_crash_lose_nothing_that_could_be_kept() {
        let found = explore(Scope { processes: 3, crashes: 1, pauses: false, ..TWO });
        assert!(found.takeovers > 0, "{found:?}");
    }

    #[test]
    fn the_rule_that_requires_a_login_never_has_a_family_revoked() {
        let found =
            explore(Scope { crashes: 1, jumps: 2, rule: UnknownOutcome::RequireLogin, ..TWO });
        assert_eq!(found.unavoidable, 0, "{found:?}");
        assert!(found.takeovers > 0, "{found:?}");
    }
}
