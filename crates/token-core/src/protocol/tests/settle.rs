//! After a store has fallen back.

use super::*;
use crate::secret::SeedFingerprint;

/// A process over a store that may fall back and holds a refresh token that was never sent. The process has seen it.
fn process() -> Process {
    let mut process = Process::new(&MemoryStore::new());
    process.policy().may_regress = true;
    let seed = process.replica.seed.clone().unwrap();
    let record = Record::brought(Version::FIRST, seed.tokens, seed.at);
    process.force(&record.with_seeds(Vec::new(), Some(seed.fingerprint)));
    process.look();
    process
}

fn stamp(process: &Process) -> Option<Stamp> {
    process.stored().map(|stored| stored.stamp)
}

#[test]
pub(crate) fn a_record_from_before_the_fall_is_presented_only_after_the_barrier() {
    let mut process = process();
    process.fell_after = stamp(&process);
    process.look();
    process.refresh().unwrap();
    assert_eq!(process.waited(), process.replica.policy.settle_barrier());
    assert!(!process.waited().is_zero());
}

/// However often it looks meanwhile.
#[test]
fn each_fall_that_is_waited_for_is_told_once() {
    let mut process = process();
    let barrier = process.replica.policy.settle_barrier();
    process.replica.take_notes();
    for _ in 0..2 {
        process.fell_after = stamp(&process);
        process.look();
        process.refresh().unwrap();
        assert_eq!(process.replica.take_notes(), [Note::Settling(barrier)]);
    }
}

#[test]
fn a_fall_between_the_look_and_the_intent_is_noticed_before_anything_is_sent() {
    let mut process = process();
    process.fell_after = stamp(&process);
    process
        .fly(Demand::default(), |token, process| {
            assert_eq!(process.waited(), process.replica.policy.settle_barrier());
            Ok(after(token))
        })
        .unwrap();
    assert!(!process.waited().is_zero());
}

#[test]
fn whoever_comes_after_a_repair_waits_too() {
    let mut process = process();
    let old = process.stored().unwrap().record;
    process.refresh().unwrap();
    process.force(&old);
    process.look();
    assert!(process.replica.needs_repair());
    process.fly(Demand { repair: true, ..Demand::default() }, |_, _| unreachable!()).unwrap();
    assert!(!process.replica.needs_repair() && process.waited().is_zero());

    let mut next = Process::new(&process.store);
    next.look();
    next.refresh().unwrap();
    assert_eq!(next.presented, ["seed+"]);
    assert_eq!(next.waited(), next.replica.policy.settle_barrier());
}

#[test]
fn what_was_lost_is_brought_back_while_others_wait() {
    let mut process = process();
    let old = process.stored().unwrap().record;
    process.refresh().unwrap();
    let newest = process.stored().unwrap().record;
    let mut next = Process::new(&process.store);
    next.policy().may_regress = true;
    next.force(&old);
    next.fell_after = stamp(&next);
    next.look();
    next.on_watch = Some(newest);
    next.refresh().unwrap();
    assert_eq!(next.stored().unwrap().record.version, Version::new(1, 1));
    assert!(next.presented.is_empty());
}

#[test]
fn the_record_of_a_lost_swap_is_loaded_before_it_is_trusted() {
    let mut process = process();
    let old = process.stored().unwrap().record;
    process.force(&old);
    process.fell_after = stamp(&process);
    process.refresh().unwrap();
    assert_eq!(process.waited(), process.replica.policy.settle_barrier());
}

#[test]
pub(crate) fn an_intent_that_does_not_last_is_undone_and_nothing_is_sent() {
    let mut process = process();
    process.durable = false;
    let failure = process.refresh().unwrap_err();
    assert!(matches!(failure, Failure::NotDurable), "{failure:?}");
    assert_eq!(process.stored().unwrap().record.state, State::Idle);
    assert!(process.presented.is_empty());
    process.durable = true;
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed"]);
}

#[test]
fn a_seed_in_an_empty_store_that_may_fall_back_waits_for_those_who_know_more() {
    let mut process = Process::new(&MemoryStore::new());
    process.policy().may_regress = true;
    process.refresh().unwrap();
    assert_eq!(process.waited(), process.replica.policy.settle_barrier());
}

#[test]
fn a_seed_that_was_seen_to_be_taken_is_not_taken_again_from_a_store_that_forgot() {
    let mut process = process();
    process.refresh().unwrap();
    let newer = process.stored().unwrap().record.version.next_epoch();
    let tokens = TokenSet::new("other").with_refresh_token("other");
    let other = SeedFingerprint::of(&["other"]);
    process.force(&Record::brought(newer, tokens, NOW.wall()).with_seeds(Vec::new(), Some(other)));
    process.look();
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed", "other"]);
}

#[test]
fn an_answer_over_a_store_that_lost_everything_waits_for_those_who_know_more() {
    let mut process = process();
    process
        .fly(Demand::default(), |token, process| {
            process.store = MemoryStore::new();
            Ok(after(token))
        })
        .unwrap();
    assert!(process.stored().unwrap().record.settling);
}

#[test]
fn a_login_is_not_buried_because_an_old_one_had_its_version() {
    let mut process = process();
    process.fly(Demand::default(), |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();
    let tokens = TokenSet::new("login").with_refresh_token("login");
    process.force(&Record::brought(Version::FIRST, tokens, NOW.wall() + Duration::from_secs(1)));
    process.look();
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed", "login"]);
}
