//! The reference passes the suite, and each store that is wrong fails the check that is there for it: a suite that cannot
//! fail is worth nothing.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

use std::collections::BTreeSet;

use token_core::store::MemoryStore;
use token_core::store::sealed::{KeyRing, SealedStore, SealingKey};
use token_testkit::conformance::{self, Checked, check, verdicts};

mod wrong_in_memory;
mod wrong_on_disk;

use wrong_in_memory::{Flaw, Wrong};
use wrong_on_disk::{DiskFlaw, OnDisk};

token_testkit::conformance_tests!(MemoryStore::new());

mod sealed {
    use super::*;

    fn keys() -> KeyRing {
        KeyRing::new(SealingKey::random("k").unwrap())
    }

    token_testkit::conformance_tests!(SealedStore::new(MemoryStore::new(), keys()));
}

/// Every check, a store that it is there for, and what is said of that one.
macro_rules! each_wrong_store_fails {
    ($($test:ident: $check:ident, $subject:expr, $says:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let verdict = check(&$subject, conformance::$check);
                let violation = verdict.expect_err("the store is wrong").to_string();
                assert!(violation.contains($says), "{violation}");
            }
        )*

        #[test]
        fn every_check_has_a_store_that_fails_it() {
            let covered = BTreeSet::from([$(stringify!($check)),*]);
            let all: BTreeSet<_> = verdicts(|| Wrong(Flaw::None.data())).into_iter().map(|(name, _)| name).collect();
            assert_eq!(covered, all);
        }
    };
}

each_wrong_store_fails! {
    a_client_that_reads_its_cache: c01_load_returns_what_was_won, Wrong(Flaw::StaleCache.data()), "loads";
    two_winners: c02_one_of_many_wins, Wrong(Flaw::TwoWinners.data()), "two of 16 swaps";
    a_loser_that_learns_nothing: c03_lost_returns_the_current_record, Wrong(Flaw::LostTellsNothing.data()), "Lost(None)";
    absent_that_replaces: c04_absent_creates_once, Wrong(Flaw::AbsentReplaces.data()), "`Absent` replaced a record";
    doubt_that_mixes_two_records: c05_indeterminate_is_decided_by_the_stamp, Wrong(Flaw::DoubtMixes.data()), "left";
    doubt_that_comes_late: c05_indeterminate_is_decided_by_the_stamp, Wrong(Flaw::DoubtShowsTooEarly.data()), "a swap of the old record";
    a_refusal_that_was_carried_out: c06_refused_changes_nothing, Wrong(Flaw::RefusedApplies.data()), "a refused swap";
    a_write_in_two_steps: c07_no_torn_record, Wrong(Flaw::Torn.data()), "not whole";
    a_file_rewritten_in_place: c07_no_torn_record, OnDisk::new(DiskFlaw::InPlace), "not whole";
    a_watch_that_does_not_look_first: c08_changed_misses_nothing, Wrong(Flaw::LostWakeUp.data()), "missed";
    a_watch_without_end: c08_changed_misses_nothing, Wrong(Flaw::NoTimeout.data()), "goes on after";
    a_watch_that_wakes_one: c09_early_ends_do_no_harm, Wrong(Flaw::WatchOnce.data()), "after an early end";
    won_before_it_is_written: c10_what_was_won_survives_a_kill, OnDisk::new(DiskFlaw::AnswersEarly), "was killed";
    no_lock_between_processes: c10_what_was_won_survives_a_kill, OnDisk::new(DiskFlaw::NoLock), "have both replaced";
    records_that_outlive_and_no_process: c10_what_was_won_survives_a_kill, Wrong(Flaw::ClaimsToOutlive.data()), "implement `Subject::process`";
    half_a_write_when_dropped: c11_dropped_futures_leave_old_or_new, Wrong(Flaw::HalfWhenDropped.data()), "dropped after 1 polls";
    the_living_taken_for_dead: c12_only_the_dead_are_dead, Wrong(Flaw::AllAreDead.data()), "taken for dead";
    others_taken_for_dead: c12_only_the_dead_are_dead, OnDisk::new(DiskFlaw::OthersAreDead), "a process that is alive";
    a_claim_to_tell_that_is_empty: c12_only_the_dead_are_dead, OnDisk::new(DiskFlaw::ClaimsToTell), "claims to tell";
    a_failover_that_nobody_is_told_of: c13_regressions_are_declared, Wrong(Flaw::RegressesInSilence.data()), "fell back";
    keys_without_case: c14_keys_are_apart, Wrong(Flaw::FoldsCase.data()), "has a record before";
    keys_cut_short: c14_keys_are_apart, Wrong(Flaw::CutsKeys.data()), "has a record before";
    records_as_text: c15_any_bytes_come_back, Wrong(Flaw::BytesAsText.data()), "came back as";
    records_cut_short: c15_any_bytes_come_back, Wrong(Flaw::CutsRecords.data()), "came back as";
    records_that_end_by_the_clock: c16_no_wall_clock, Wrong(Flaw::EndsByWallClock.data()), "after a jump by";
    writes_refused_by_the_clock: c16_no_wall_clock, Wrong(Flaw::NewestByWallClock.data()), "lost against nobody";
    an_error_that_quotes: c17_no_secret_is_told, Wrong(Flaw::QuotesSecrets.data()), "a secret is told";
    damage_taken_for_absence: c18_damage_is_never_absence, Wrong(Flaw::DamageIsAbsence.data()), "a damaged record";
    a_login_over_a_good_record: c19_only_what_cannot_be_read_is_set_aside, Wrong(Flaw::SetsAllAside.data()), "a record that can be read";
    a_gap_while_setting_aside: c19_only_what_cannot_be_read_is_set_aside, Wrong(Flaw::RemovesThenWrites.data()), "Ok(None) was there";
    a_listing_of_one_page: list_names_every_key, Wrong(Flaw::ListsOnePage.data()), "lacks";
    a_listing_of_folded_keys: list_names_every_key, Wrong(Flaw::ListsFoldedKeys.data()), "invents";
    a_listing_by_position: list_names_every_key_while_others_write, Wrong(Flaw::ListsByPosition.data()), "lacks";
}

/// The stores above without their flaws, or the suite would fail them for something else.
#[test]
fn without_a_flaw_they_pass() {
    for (name, verdict) in verdicts(|| Wrong(Flaw::None.data())) {
        assert!(verdict.is_ok(), "{name}: {verdict:?}");
    }
    // The second is too simple to watch, to list and to know who lives; what processes do it gets right.
    let sound = || OnDisk::new(DiskFlaw::None);
    assert_eq!(check(&sound(), conformance::c07_no_torn_record), Ok(Checked::Whole));
    assert_eq!(check(&sound(), conformance::c10_what_was_won_survives_a_kill), Ok(Checked::Whole));
    assert_eq!(check(&sound(), conformance::c12_only_the_dead_are_dead), Ok(Checked::Whole));
}

/// What was not asked is said.
#[test]
fn what_a_store_gives_no_hook_for_is_reported() {
    let without = verdicts(MemoryStore::new);
    let parts = without.iter().filter(|(_, verdict)| matches!(verdict, Ok(Checked::Without(_))));
    assert_eq!(parts.count(), 8, "{without:?}");
}

/// The other process of [`OnDisk`].
#[test]
fn process() {
    wrong_on_disk::write_if_told();
}
