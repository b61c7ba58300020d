use super::*;

#[test]
fn a_token_that_is_sent_without_an_intent_is_found() {
    let mut scene = refreshed();
    scene.exchange(1200, 2, 1, 101, Some(Issued(Mark(102))));
    assert_eq!(scene.rules(), [Rule::NoIntent]);
    let mut scene = refreshed();
    scene.begin(1190, 2, 3, 5, ((1, 1), InFlight, 101));
    scene.end(1191, 2, 5, SwapEnd::Failed { kind: "Refused".to_owned() });
    scene.exchange(1200, 2, 1, 101, Some(Issued(Mark(102))));
    assert_eq!(scene.rules(), [Rule::NoIntent], "an intent that was not stored is none");
    let mut scene = refreshed();
    scene.begin(1190, 2, 3, 5, ((1, 1), InFlight, 101));
    scene.end(1205, 2, 5, SwapEnd::Won);
    scene.last(5);
    scene.exchange(1200, 2, 1, 101, Some(Issued(Mark(102))));
    assert_eq!(scene.rules(), [Rule::NoIntent], "it is not yet in the store");
    let mut scene = refreshed();
    scene.0.requests[0].id = None;
    assert_eq!(scene.rules(), [Rule::NoIntent], "nobody has told of the request");
}

#[test]
fn what_was_carried_out_and_is_taken_for_refused_is_found() {
    use ExchangeEnd::{Configuration, InvalidGrant, NotSent, Rejected};
    for end in [Rejected, NotSent, InvalidGrant, Configuration] {
        let mut scene = sent();
        scene.exchanged(1040, 1, 1, end);
        assert_eq!(scene.rules(), [Rule::NotCarriedOut]);
    }
    let mut scene = sent();
    scene.0.requests[0].decided = Some((at(1030), Refused));
    scene.exchanged(1040, 1, 1, InvalidGrant);
    assert_eq!(scene.rules(), [], "it was refused");
}

#[test]
fn a_token_may_be_presented_again_where_the_first_time_came_to_nothing() {
    let mut scene = Scene::new();
    scene.write(1000, 1, 1, 2, ((1, 0), InFlight, TOKEN));
    scene.exchange(1010, 1, 1, TOKEN, None);
    scene.exchanged(1040, 1, 1, ExchangeEnd::Rejected);
    scene.write(1050, 1, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.exchange(1100, 1, 2, TOKEN, Some(Issued(Mark(101))));
    assert_eq!(scene.rules(), []);
}

#[test]
fn the_token_of_a_dead_holder_is_presented_again_once_all_has_ended() {
    let mut scene = sent();
    scene.kill(1100, 1);
    let findings = again(scene, 1600).check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::Crashed);
    let mut scene = sent();
    scene.kill(1250, 1);
    assert_eq!(
        again(scene, 1520).rules(),
        [Rule::PresentedTwice],
        "the server may still act on it"
    );
    let mut scene = sent();
    scene.kill(1100, 1);
    assert_eq!(again(scene, 1450).rules(), [Rule::PresentedTwice], "the access token serves");
    let mut scene = sent();
    scene.kill(1100, 1);
    scene.tell(1440, 2, What::Refused { version: Version(1, 0) });
    assert_eq!(again(scene, 1450).rules(), [], "the access token was refused");
}

#[test]
fn a_token_whose_holder_lives_is_not_presented_again() {
    for end in [None, Some(tokens(101)), Some(ExchangeEnd::InvalidGrant)] {
        let mut scene = sent();
        if let Some(end) = end {
            scene.exchanged(1040, 1, 1, end);
        }
        let findings = again(scene, 4000).check();
        let rules: Vec<_> = findings.violations.iter().map(|violation| violation.rule).collect();
        assert!(rules.contains(&Rule::PresentedTwice), "{rules:?}");
    }
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    let findings = again(scene, 4000).check();
    lost(&findings, Cause::Avoidable);
    assert_eq!(findings.violations[0].rule, Rule::AvoidableLoss);
}

#[test]
fn who_stood_still_while_it_sent_is_judged_at_its_last_look_at_the_clock() {
    let stopped = |exchange: u64, stop: u64| {
        let mut scene = sent();
        scene.kill(1250, 1);
        scene.write(1400, 2, 2, 4, ((1, 0), InFlight, TOKEN));
        scene.tell(exchange, 2, What::Exchange { n: 1, presented: Mark(TOKEN) });
        scene.stop(stop, 1990, 2);
        scene.tell(2000, 2, What::Sending { n: 1 });
        scene.0.requests.push(Request {
            arrived: at(2001),
            id: Some((2, 0, 1)),
            presented: Mark(TOKEN),
            family: Some(FAMILY),
            decided: Some((at(2002), Reuse)),
            answered: None,
        });
        scene.rules()
    };
    assert_eq!(
        stopped(1520, 1521),
        [Rule::PresentedTwice],
        "the server may still act on the first"
    );
    assert_eq!(stopped(1560, 1561), []);
}

#[test]
fn who_stood_still_while_another_presented_the_token_is_not_to_blame() {
    let mut scene = Scene::new();
    scene.write(1000, 2, 1, 2, ((1, 0), InFlight, TOKEN));
    scene.tell(1010, 2, What::Exchange { n: 1, presented: Mark(TOKEN) });
    scene.stop(1011, 5000, 2);
    scene.write(3990, 1, 2, 3, ((1, 0), InFlight, TOKEN));
    scene.exchange(4000, 1, 1, TOKEN, Some(Issued(Mark(101))));
    scene.exchanged(4030, 1, 1, tokens(101));
    scene.write(4040, 1, 3, 4, ((1, 1), Idle, 101));
    scene.tell(5001, 2, What::Sending { n: 1 });
    scene.0.requests.push(Request {
        arrived: at(5002),
        id: Some((2, 0, 1)),
        presented: Mark(TOKEN),
        family: Some(FAMILY),
        decided: Some((at(5003), Reuse)),
        answered: None,
    });
    let findings = scene.check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::PausedSending);
}

#[test]
fn a_token_whose_successor_is_in_the_store_is_not_presented_again() {
    let mut scene = refreshed();
    scene.kill(1060, 1);
    scene.write(3990, 2, 3, 4, ((1, 1), InFlight, TOKEN));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    let rules = scene.rules();
    assert!(
        rules.contains(&Rule::PresentedTwice),
        "dead or not, it had stored its answer: {rules:?}"
    );
}
