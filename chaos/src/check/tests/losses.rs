use super::*;

#[test]
fn a_family_that_ends_while_the_store_has_its_live_token_is_an_avoidable_loss() {
    let mut scene = refreshed();
    scene.kill(1100, 1);
    scene.write(3990, 2, 3, 4, ((1, 1), InFlight, 101));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    let findings = scene.check();
    lost(&findings, Cause::Avoidable);
}

#[test]
fn an_answer_that_was_lost_is_no_avoidable_loss() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, ExchangeEnd::Ambiguous);
    let findings = again(scene, 1600).check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::AnswerLost);
    let mut scene = sent();
    scene.exchanged(1400, 1, 1, ExchangeEnd::Ambiguous);
    assert_eq!(again(scene, 1600).rules(), [Rule::PresentedTwice], "it is not settled");
}

#[test]
fn a_holder_that_stands_still_for_too_long_is_window_p() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.stop(1045, 8000, 1);
    scene.kill(8100, 1);
    let findings = again(scene, 4000).check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::Paused);
    let mut scene = sent();
    scene.stop(1045, 8000, 1);
    assert_eq!(
        again(scene, 3000).rules(),
        [Rule::PresentedTwice],
        "its intent is left alone for longer"
    );
}

#[test]
fn a_late_commit_over_the_intent_of_who_presents_again_is_window_p() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.stop(1045, 3995, 1);
    scene.write(3990, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.write(3997, 1, 4, 5, ((1, 1), Idle, 101));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    let findings = scene.check();
    lost(&findings, Cause::Paused);
    assert_eq!(findings.violations, []);
}

#[test]
fn who_stood_still_with_the_stores_lock_holds_up_the_commit_of_others() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.begin(1030, 3, 1, 6, ((1, 0), InFlight, TOKEN));
    scene.stop(1035, 3990, 3);
    let findings = again(scene, 4000).check();
    lost(&findings, Cause::Paused);
}

#[test]
fn no_standing_still_explains_the_loss_of_what_was_issued_before() {
    let late = |stopped: (u64, u64)| {
        let mut scene = refreshed();
        scene.write(1055, 2, 3, 4, ((1, 1), InFlight, 101));
        scene.stop(stopped.0, stopped.1, 2);
        scene.exchange(5000, 2, 1, TOKEN, Some(Reuse));
        scene.check()
    };
    lost(&late((5000, 5009)), Cause::Avoidable);
    lost(&late((1060, 4990)), Cause::Avoidable);
}

#[test]
fn who_got_no_time_from_a_busy_machine_stood_still() {
    let starved = |spans: &[(u64, u64)]| {
        let mut scene = sent();
        for (since, until) in spans {
            scene.tell(*until, 1, What::Starved { since: at(*since) });
        }
        scene.exchanged(3985, 1, 1, tokens(101));
        again(scene, 4000).check()
    };
    lost(&starved(&[(1020, 3980)]), Cause::Paused);
    lost(&starved(&[]), Cause::Avoidable);
    // Told of twice it is one time, and the rest of its time it ran.
    lost(&starved(&[(1020, 1200), (1020, 1200), (1020, 1200)]), Cause::Avoidable);
}

#[test]
fn a_server_that_breaks_its_promise_is_told_apart() {
    let mut scene = sent();
    scene.kill(1011, 1);
    scene.0.requests[0].decided = Some((at(2000), Reuse));
    scene.write(1590, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.exchange(1600, 2, 1, TOKEN, Some(Issued(Mark(101))));
    scene.exchanged(1630, 2, 1, tokens(101));
    scene.write(1640, 2, 4, 5, ((1, 1), Idle, 101));
    let findings = scene.check();
    lost(&findings, Cause::ServerLate);
}

#[test]
fn a_family_that_a_login_has_replaced_is_no_loss() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.tell(1100, 0, What::SignedIn { family: FAMILY + 1, refresh: Mark(200), forgotten: None });
    scene.tell(1100, 3, What::Login { refresh: Mark(200) });
    scene.write(3980, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.write(3990, 3, 4, 5, ((2, 0), Idle, 200));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    lost(&scene.check(), Cause::Superseded);
}

#[test]
fn who_had_time_to_store_its_answer_is_not_excused_by_its_end() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.kill(5000, 1);
    lost(&again(scene, 6000).check(), Cause::Avoidable);
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.stop(4900, 8000, 1);
    lost(&again(scene, 5000).check(), Cause::Avoidable);
}

#[test]
fn who_wakes_up_after_the_takeover_changes_nothing_about_it() {
    let mut scene = sent();
    scene.stop(1045, 3995, 1);
    scene.exchanged(3996, 1, 1, ExchangeEnd::Dropped);
    let findings = again(scene, 4000).check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::Paused);
}

#[test]
fn an_answer_that_a_running_process_does_not_store_is_found() {
    let answered = || {
        let mut scene = sent();
        scene.exchanged(1040, 1, 1, tokens(101));
        scene
    };
    assert_eq!(answered().rules(), [Rule::AnswerDropped]);
    let mut scene = answered();
    scene.kill(1500, 1);
    assert_eq!(scene.rules(), [], "it died");
    let mut scene = answered();
    scene.stop(1050, 9000, 1);
    scene.write(5000, 3, 2, 4, ((2, 0), Idle, 200));
    assert_eq!(scene.rules(), [], "there was a login meanwhile");
    let mut scene = answered();
    scene.write(5000, 3, 2, 4, ((2, 0), Idle, 200));
    assert_eq!(scene.rules(), [Rule::AnswerDropped], "the login came later");
}

#[test]
fn an_answer_that_went_out_whole_was_not_lost_on_its_way() {
    let given_up = |answered: u64, ended: u64, stopped: Option<(u64, u64)>| {
        let mut scene = sent();
        scene.answered(answered);
        scene.exchanged(ended, 1, 1, ExchangeEnd::Dropped);
        if let Some((from, to)) = stopped {
            scene.stop(from, to, 1);
        }
        again(scene, 4000).check()
    };
    lost(&given_up(1040, 2010, None), Cause::Avoidable);
    lost(&given_up(1040, 1050, None), Cause::Avoidable);
    lost(&given_up(1900, 2010, None), Cause::AnswerLost);
    lost(&given_up(1500, 1040, None), Cause::AnswerLost);
    lost(&given_up(1040, 2010, Some((1041, 2005))), Cause::Paused);
}

#[test]
fn a_server_that_was_slow_explains_no_loss_of_what_was_issued_before() {
    let mut scene = refreshed();
    scene.write(1190, 2, 3, 4, ((1, 1), InFlight, TOKEN));
    scene.exchange(1200, 2, 1, TOKEN, Some(Reuse));
    scene.exchanged(1205, 2, 1, ExchangeEnd::Dropped);
    scene.0.requests[1].decided = Some((at(2000), Reuse));
    lost(&scene.check(), Cause::Avoidable);
}

#[test]
fn who_stood_still_while_it_sent_is_not_excused_by_what_came_meanwhile() {
    let mut scene = sent();
    scene.kill(1700, 1);
    scene.write(1590, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.exchange(1600, 2, 1, TOKEN, Some(Reuse));
    scene.0.entries.retain(|entry| (entry.at, &entry.what) != (at(1600), &What::Sending { n: 1 }));
    scene.stop(1601, 1990, 2);
    scene.tell(2000, 2, What::Sending { n: 1 });
    let again = &mut scene.0.requests[1];
    (again.arrived, again.decided) = (at(2001), Some((at(2002), Reuse)));
    lost(&scene.check(), Cause::Avoidable);
}

#[test]
fn a_family_ends_once() {
    let mut scene = again(sent(), 4000);
    scene.exchange(4100, 2, 2, TOKEN, Some(Reuse));
    assert_eq!(scene.check().losses.values().sum::<u64>(), 1);
}
