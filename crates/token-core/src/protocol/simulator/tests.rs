use std::time::Instant;

use super::checks::Broken;
use super::*;
use crate::guard::Guard;

/// How many seeds are run where nobody says otherwise.
const SEEDS: u64 = 100_000;

/// Within how many seeds the lack of a rule has to show.
const ENOUGH_TO_MISS: u64 = 20_000;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn no_seed_loses_anything_that_could_be_kept() {
    if let Some(seed) = asked("SIMULATOR_SEED") {
        match run_seed(seed) {
            Ok(reached) => println!("seed {seed}\n{}", reached.summary(0)),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let start = Instant::now();
    let seeds = asked("SIMULATOR_SEEDS").unwrap_or(SEEDS);
    assert!(seeds > 0, "no runs show nothing");
    let (reached, failures) = run_seeds(seeds);
    println!("{reached}\n{}, in {:.1?}", reached.summary(failures.len()), start.elapsed());
    if let Some(first) = failures.first() {
        let all: Vec<_> = failures.iter().map(|failure| (failure.seed, failure.broken)).collect();
        panic!("{all:?}\n{first}");
    }
    let gaps = coverage::gaps(&reached);
    assert!(gaps.is_empty() || seeds < SEEDS, "{gaps:#?}");
}

/// For each rule, what is broken without it.
const MISSED: &[(Guard, &[Broken])] = &[
    (Guard::Intent, &[Broken::UnderWay, Broken::AvoidableLoss]),
    (Guard::SendGate, &[Broken::UnderWay, Broken::AvoidableLoss]),
    (Guard::GenerationFence, &[Broken::ThrownAway]),
    (Guard::Quarantine, &[Broken::UnderWay]),
    (Guard::Drain, &[Broken::UnderWay]),
    (Guard::OwnAttempt, &[Broken::UnderWay, Broken::TooEarly, Broken::SentAgain]),
    (Guard::SpentLedger, &[Broken::UnderWay, Broken::TooEarly, Broken::SentAgain]),
    (Guard::HoldOff, &[Broken::TooEarly]),
    (Guard::HighWater, &[Broken::HandedDown]),
    (Guard::EpochWins, &[Broken::ThrownAway]),
    (Guard::Recheck, &[Broken::Needless]),
    (Guard::ReloadOnRefusal, &[Broken::VersionDown]),
    (Guard::KeepRefreshToken, &[Broken::NoToken, Broken::ThrownAway]),
    (Guard::SeedOnce, &[Broken::AvoidableLoss, Broken::ThrownAway, Broken::UnderWay]),
    (Guard::DeadIsFinal, &[Broken::DeadPresented]),
    (Guard::OneLogin, &[Broken::OutOfTurn]),
    (Guard::Turn, &[Broken::OutOfTurn]),
    (
        Guard::DurableIntent,
        &[Broken::UnderWay, Broken::TooEarly, Broken::SentAgain, Broken::AvoidableLoss],
    ),
    (Guard::SettleBarrier, &[Broken::AvoidableLoss, Broken::UnderWay]),
    (Guard::GraceWindow, &[Broken::TooEarly, Broken::SentAgain]),
];

/// The first seed that breaks one of these rules.
fn first_to_break(expected: &[Broken]) -> Option<Box<Failure>> {
    let mut runs = (0..ENOUGH_TO_MISS).filter_map(|seed| run_seed(seed).err());
    runs.find(|failure| expected.contains(&failure.broken))
}

#[test]
fn without_any_one_rule_something_is_lost() {
    let mut unmissed = Vec::new();
    for (guard, expected) in MISSED {
        match guard.without(|| first_to_break(expected)) {
            Some(failure) => {
                println!("{guard:?}: {:?} at seed {}", failure.broken, failure.seed);
            }
            None => unmissed.push(guard),
        }
    }
    assert!(unmissed.is_empty(), "nobody misses {unmissed:?}");
}

#[test]
fn a_run_that_breaks_a_rule_is_shrunk_to_a_few_steps() {
    Guard::Quarantine.without(|| {
        let Failure { run, broken, .. } = *first_to_break(&[Broken::UnderWay]).unwrap();
        let whole = run.steps.len();
        let shrunk = run.shrunk(broken);
        assert_eq!(shrunk.again(false).broken, Some(Broken::UnderWay));
        assert!(shrunk.steps.len() < 10 && whole > 20, "{whole} steps to {:?}", shrunk.steps);
    });
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in 0..100 {
        let runs = [run_seed(seed), run_seed(seed)].map(|run| run.map_err(|failed| failed.run));
        let [first, second] = runs.map(|run| format!("{run:?}"));
        assert_eq!(first, second);
    }
}

/// A process that stops after it has looked at the clock for the last time, and goes on when others have given it up for
/// dead: no client can close that, and nothing else is assumed away.
#[test]
fn a_pause_between_the_gate_and_the_request_is_what_is_left() {
    let lost = (0..ENOUGH_TO_MISS).find_map(|seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        let scenario = Scenario { pause_before_send: true, ..Scenario::draw(&mut rng) };
        run_scenario(seed, scenario, &mut rng).err()
    });
    let broken = lost.map(|failure| failure.broken);
    let expected = [Broken::UnderWay, Broken::AvoidableLoss, Broken::SentAgain, Broken::TooEarly];
    assert!(broken.is_some_and(|broken| expected.contains(&broken)), "{broken:?}");
}
