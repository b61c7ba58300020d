//! What is done with a refresh token whose outcome nobody knows.

use super::*;

const WINDOW: Duration = Duration::from_secs(60);

fn process(grace: Option<GraceWindow>, rule: UnknownOutcome) -> Process {
    let mut process = Process::new(&MemoryStore::new());
    process.policy().grace = grace;
    process.policy().unknown_outcome = rule;
    // An access token that still serves: without a window the rule waits for its end.
    let tokens = TokenSet::new("serves").with_refresh_token("seed");
    let tokens = tokens.with_expires_in(Duration::from_secs(3600)).anchored(NOW);
    let seed = process.replica.seed.as_ref().map(|seed| seed.fingerprint);
    process
        .force(&Record::brought(Version::FIRST, tokens, NOW.wall()).with_seeds(Vec::new(), seed));
    process.look();
    process
}

/// Whether a refresh goes on after the answer to the first exchange was lost, which took so long.
fn lose(process: &mut Process, took: Duration) -> Result<(), Failure> {
    let demand = Demand { newer_than: Some(Version::FIRST), ..Demand::default() };
    let mut lost = false;
    process.fly(demand, |token, process| {
        if std::mem::replace(&mut lost, true) {
            return Ok(after(token).with_expires_in(Duration::from_secs(3600)));
        }
        process.wait(took);
        Err(RefreshError::ambiguous("x"))
    })
}

#[test]
fn without_a_window_nothing_is_sent_while_the_access_token_serves() {
    let mut process = process(None, UnknownOutcome::PresentAgain);
    let failure = lose(&mut process, Duration::from_secs(5)).unwrap_err();
    let Failure::OutcomeUnknown { wait, .. } = failure else { panic!("{failure:?}") };
    assert_eq!(wait, Duration::from_secs(3595));
    assert_eq!(process.presented.len(), 1);
}

#[test]
fn a_rule_that_does_not_hold_off_waits_for_the_server_only() {
    let mut process = process(None, UnknownOutcome::PresentAgainEarly);
    let failure = lose(&mut process, Duration::from_secs(5)).unwrap_err();
    let Failure::OutcomeUnknown { wait, .. } = failure else { panic!("{failure:?}") };
    assert_eq!(wait, process.replica.policy.settling());
}

#[test]
pub(crate) fn within_a_window_the_same_process_presents_the_token_again_at_once() {
    for rule in [UnknownOutcome::PresentAgain, UnknownOutcome::RequireLogin] {
        for grace in [GraceWindow::new_pair(WINDOW), GraceWindow::same_pair(WINDOW)] {
            let mut process = process(Some(grace), rule);
            lose(&mut process, Duration::from_secs(5)).unwrap();
            assert_eq!(process.presented, ["seed", "seed"]);
            assert_eq!(process.waited(), Duration::from_secs(5));
        }
    }
}

#[test]
pub(crate) fn a_window_that_may_be_over_is_not_used() {
    let mut process = process(Some(GraceWindow::new_pair(WINDOW)), UnknownOutcome::PresentAgain);
    let failure = lose(&mut process, Duration::from_secs(53)).unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert_eq!(process.presented, ["seed"]);
}

#[test]
fn a_server_that_does_not_answer_at_all_is_asked_twice_and_not_in_a_loop() {
    let mut process = process(Some(GraceWindow::new_pair(WINDOW)), UnknownOutcome::PresentAgain);
    let demand = Demand { newer_than: Some(Version::FIRST), ..Demand::default() };
    process.fly(demand, |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();
    assert_eq!(process.presented, ["seed", "seed"]);
}

#[test]
fn where_the_order_matters_the_first_request_is_over_before_the_second() {
    let grace = GraceWindow::previous_only(WINDOW);
    let mut process = process(Some(grace), UnknownOutcome::PresentAgain);
    let failure = lose(&mut process, Duration::from_secs(5)).unwrap_err();
    let Failure::OutcomeUnknown { wait, .. } = failure else { panic!("{failure:?}") };
    assert_eq!(wait, process.replica.policy.settling());
    process.wait(wait);
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed", "seed"]);
}

#[test]
fn an_answer_that_is_repeated_counts_from_the_first_use() {
    let grace = GraceWindow::same_pair(WINDOW);
    let mut process = process(Some(grace), UnknownOutcome::PresentAgain);
    lose(&mut process, Duration::from_secs(30)).unwrap();
    let ends = process.stored().unwrap().record.tokens.ends().unwrap();
    assert_eq!(ends, NOW.wall() + Duration::from_secs(3600));
}

#[test]
fn another_process_uses_the_window_if_it_looked_shortly_before() {
    let grace = Some(GraceWindow::new_pair(WINDOW));
    for (looked, presents) in [(true, true), (false, false)] {
        let mut here = process(grace, UnknownOutcome::PresentAgain);
        let mut there = Process::new(&here.store);
        there.policy().grace = grace;
        if looked {
            there.look();
        }
        let demand = Demand { newer_than: Some(Version::FIRST), ..Demand::default() };
        here.fly(demand, |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();

        let result = there.fly(demand, |token, _| Ok(after(token)));
        assert_eq!(result.is_ok(), presents, "{result:?}");
        let settling = there.replica.policy.settling();
        assert_eq!(there.waited(), if presents { settling } else { Duration::ZERO });
    }
}

#[test]
fn a_record_that_was_brought_back_does_not_open_the_window_again() {
    let grace = GraceWindow::new_pair(WINDOW);
    let mut process = process(Some(grace), UnknownOutcome::PresentAgain);
    let idle = process.stored().unwrap().record;
    lose(&mut process, Duration::from_secs(53)).unwrap_err();
    for settling in [true, false] {
        process.force(&idle.settling(settling));
        process.look();
        process.wait(process.replica.policy.settle_barrier());
        let failure = process.refresh().unwrap_err();
        assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    }
    assert_eq!(process.presented, ["seed"]);
}

#[test]
fn a_window_that_could_never_be_used_is_refused_and_any_other_is_used() {
    // The first request may still be carried out within 11 s, and then it must find the window open.
    for (window, used) in [(13_300, false), (14_000, true)] {
        let window = Duration::from_millis(window);
        let kinds: [fn(Duration) -> GraceWindow; 3] =
            [GraceWindow::same_pair, GraceWindow::new_pair, GraceWindow::previous_only];
        for grace in kinds.map(|kind| kind(window)) {
            let mut process = process(Some(grace), UnknownOutcome::RequireLogin);
            assert_eq!(process.replica.policy.validate().is_ok(), used, "{grace:?}");
            if let Err(Failure::OutcomeUnknown { wait, .. }) = lose(&mut process, Duration::ZERO) {
                process.wait(wait);
                let _ = process.refresh();
            }
            assert_eq!(process.presented.len() == 2, used, "{grace:?}");
        }
    }
    let mut process =
        process(Some(GraceWindow::new_pair(Duration::from_secs(10))), UnknownOutcome::RequireLogin);
    let refused = process.policy().validate().unwrap_err().to_string();
    assert!(refused.contains("longer than 13.4s"), "{refused}");
    process.policy().drain = Duration::from_secs(7);
    process.policy().validate().unwrap();
}

#[test]
fn an_answer_long_after_the_window_is_no_repetition() {
    let grace = GraceWindow::same_pair(WINDOW);
    let mut process = process(Some(grace), UnknownOutcome::PresentAgainEarly);
    lose(&mut process, Duration::from_secs(1000)).unwrap_err();
    process.wait(process.replica.policy.settling());
    let newer_than = Some(Version::FIRST);
    process
        .fly(Demand { newer_than, ..Demand::default() }, |token, _| {
            Ok(after(token).with_expires_in(Duration::from_secs(3600)))
        })
        .unwrap();
    let ends = process.stored().unwrap().record.tokens.ends().unwrap();
    assert_eq!(ends, process.now.wall() + Duration::from_secs(3600) - WINDOW);
}

#[test]
fn who_knows_nothing_of_the_window_leaves_it_to_the_process_that_does() {
    let grace = Some(GraceWindow::previous_only(WINDOW));
    for returns in [true, false] {
        let mut here = process(grace, UnknownOutcome::RequireLogin);
        lose(&mut here, Duration::from_secs(1)).unwrap_err();
        // It presents the token again within the window, once the first request must be over.
        let mut there = Process::new(&here.store);
        there.policy().grace = grace;
        there.policy().unknown_outcome = UnknownOutcome::RequireLogin;
        let next = Record::brought(Version::new(1, 1), after("seed"), NOW.wall());
        there.on_watch = returns.then_some(next);
        let demand = Demand { newer_than: Some(Version::FIRST), ..Demand::default() };
        let result = there.fly(demand, |token, _| Ok(after(token)));
        assert_eq!(result.is_ok(), returns, "{result:?}");
        assert!(there.presented.is_empty());
    }
}

#[test]
fn a_second_presentation_that_was_not_sent_leaves_the_first_this_processs_own() {
    let mut process = process(None, UnknownOutcome::PresentAgainEarly);
    lose(&mut process, Duration::ZERO).unwrap_err();
    process.wait(process.replica.policy.settling());
    let before = process.waited();
    process.fly(Demand::default(), |_, _| Err(RefreshError::rejected("x"))).unwrap();
    let newer_than = Some(Version::FIRST);
    let demand = Demand { newer_than, ..Demand::default() };
    process.fly(demand, |_, _| Err(RefreshError::rejected("x"))).unwrap_err();
    // Whoever asks next is told how long to wait, and does not wait as for another process's.
    let failure = process.fly(demand, |_, _| unreachable!()).unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert_eq!(process.waited(), before);
}
