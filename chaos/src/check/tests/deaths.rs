use super::*;

/// Process 1 presents token 100 at 1010, which is decided upon at 1030, and declares the grant dead.
fn declared(ms: u64, decision: Option<Decision>) -> Scene {
    let mut scene = Scene::new();
    scene.write(1000, 1, 1, 2, ((1, 0), InFlight, TOKEN));
    scene.exchange(1010, 1, 1, TOKEN, decision);
    scene.exchanged(1040, 1, 1, ExchangeEnd::InvalidGrant);
    scene.write(ms, 1, 2, 3, ((1, 0), Dead, TOKEN));
    scene
}

#[test]
fn a_grant_that_is_declared_dead_without_cause_is_found() {
    for decision in [Refused, Reuse] {
        assert_eq!(declared(1050, Some(decision)).rules(), []);
        assert_eq!(declared(1020, Some(decision)).rules(), [Rule::DeadWithoutCause], "too early");
    }
    for decision in [None, Some(Decision::Other)] {
        assert_eq!(declared(1050, decision).rules(), [Rule::DeadWithoutCause]);
    }
}

#[test]
fn the_refusal_of_an_older_token_is_no_cause() {
    let mut scene = refreshed();
    scene.0.requests[0].decided = Some((at(1030), Refused));
    scene.write(1100, 2, 3, 4, ((1, 1), Dead, 101));
    assert_eq!(scene.rules(), [Rule::DeadWithoutCause]);
}

#[test]
fn who_writes_a_dead_record_again_declares_nothing() {
    let mut scene = declared(1050, Some(Refused));
    scene.write(1100, 2, 3, 4, ((1, 0), Dead, TOKEN));
    scene.write(1200, 2, 2, 5, ((1, 0), Dead, TOKEN));
    let rules = scene.rules();
    assert!(!rules.contains(&Rule::DeadWithoutCause), "{rules:?}");
}
