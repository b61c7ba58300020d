use super::*;

#[test]
fn an_ordinary_refresh_breaks_no_rule() {
    let mut scene = refreshed();
    let found = Found::Record { stamp: Mark(3), digest: Mark(3) };
    scene.tell(1100, 2, What::Loaded { began: at(1090), found });
    let version = Version(1, 1);
    scene.tell(1100, 1, What::Call { began: at(1000), end: CallEnd::Token { version } });
    let findings = scene.check();
    assert_eq!(findings.violations, []);
    assert_eq!((findings.refreshes, findings.presentations_max), (1, 1));
    assert!(findings.losses.is_empty());
}

#[test]
fn a_caller_that_gets_an_older_version_is_found() {
    let call = |scene: &mut Scene, began, ended, version| {
        let end = CallEnd::Token { version: Version(1, version) };
        scene.tell(ended, 1, What::Call { began: at(began), end });
    };
    let mut scene = refreshed();
    call(&mut scene, 1100, 1110, 1);
    call(&mut scene, 1111, 1120, 0);
    assert_eq!(scene.rules(), [Rule::CallerDown]);
    let mut scene = refreshed();
    call(&mut scene, 1100, 1110, 1);
    call(&mut scene, 1105, 1120, 0);
    assert_eq!(scene.rules(), [], "they overlap");
}

#[test]
fn a_caller_that_waits_for_too_long_is_found() {
    let waited = |stopped: Option<(u64, u64)>| {
        let mut scene = refreshed();
        let end = CallEnd::Error { kind: "Store".to_owned() };
        scene.tell(50_000, 1, What::Call { began: at(20_000), end });
        if let Some((from, to)) = stopped {
            scene.stop(from, to, 1);
        }
        scene.rules()
    };
    assert_eq!(waited(None), [Rule::LongWait]);
    assert_eq!(waited(Some((20_000, 40_000))), [], "it stood still itself");
    let mut scene = refreshed();
    scene.tell(2000, 1, What::Waiting { began: at(1100) });
    assert_eq!(scene.rules(), [Rule::LongWait], "it waits to the end of the run");
    let mut scene = refreshed();
    scene.tell(2000, 1, What::Waiting { began: at(1100) });
    scene.kill(3000, 1);
    assert_eq!(scene.rules(), [], "it waited until it was killed");
}

#[test]
fn a_takeover_counts_from_the_death_of_the_holder_to_its_declaration() {
    let mut scene = sent();
    scene.kill(1100, 1);
    scene.tell(1440, 2, What::Event(Heard::TakenOver));
    let findings = again(scene, 1600).check();
    assert_eq!(findings.takeovers, [Duration::from_millis(340)]);
    let mut scene = refreshed();
    scene.kill(1100, 1);
    scene.tell(1440, 2, What::Event(Heard::TakenOver));
    assert_eq!(scene.check().takeovers, [], "its answer was stored");
}

#[test]
fn what_went_wrong_with_the_run_itself_is_a_violation() {
    let mut scene = refreshed();
    scene.0.faults.push("process 3 ended by itself".to_owned());
    assert_eq!(scene.rules(), [Rule::Run]);
}
