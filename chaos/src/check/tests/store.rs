use super::*;

#[test]
fn a_write_that_was_acknowledged_and_is_gone_is_found() {
    let mut scene = refreshed();
    scene.begin(1000, 2, 1, 5, ((1, 0), Idle, TOKEN));
    scene.end(1001, 2, 5, SwapEnd::Won);
    assert_eq!(scene.rules(), [Rule::LostWrite], "two have replaced the same record");
    let mut scene = refreshed();
    scene.begin(1000, 2, 1, 5, ((1, 0), Idle, TOKEN));
    scene.end(1001, 2, 5, SwapEnd::Lost { current: Some(Mark(2)) });
    assert_eq!(scene.rules(), []);
}

#[test]
fn a_version_that_goes_down_is_found() {
    let mut scene = refreshed();
    scene.write(1200, 2, 3, 5, ((1, 0), Idle, TOKEN));
    assert_eq!(scene.rules(), [Rule::VersionDown]);
}

#[test]
fn what_is_read_and_was_not_written_is_found() {
    for found in [
        Found::Record { stamp: Mark(3), digest: Mark(99) },
        Found::Torn { stamp: Mark(3), why: "Eof".to_owned() },
        Found::Failed { kind: "Corrupt".to_owned() },
    ] {
        let mut scene = refreshed();
        scene.tell(1100, 2, What::Loaded { began: at(1090), found });
        assert_eq!(scene.rules(), [Rule::Torn]);
    }
    let mut scene = refreshed();
    scene.last(77);
    assert_eq!(scene.rules()[0], Rule::Torn, "nobody has told of the last record");
}

#[test]
fn an_old_record_that_is_read_is_found() {
    for found in [Found::Record { stamp: Mark(2), digest: Mark(2) }, Found::Nothing] {
        let mut scene = refreshed();
        scene.tell(1100, 2, What::Loaded { began: at(1090), found: found.clone() });
        assert_eq!(scene.rules(), [Rule::StaleRead]);
        let mut scene = refreshed();
        scene.tell(1100, 2, What::Loaded { began: at(0), found });
        assert_eq!(scene.rules(), [], "it began before the write was acknowledged");
    }
}

#[test]
fn what_a_denied_swap_shows_is_a_look_too() {
    let denied = |began: u64, current: Option<u64>| {
        let mut scene = refreshed();
        scene.begin(began, 2, 99, 5, ((1, 0), Idle, TOKEN));
        scene.end(began + 5, 2, 5, SwapEnd::Lost { current: current.map(Mark) });
        scene.rules()
    };
    assert_eq!(denied(1100, Some(3)), []);
    assert_eq!(denied(1100, Some(2)), [Rule::StaleRead]);
    assert_eq!(denied(1100, None), [Rule::StaleRead]);
    assert_eq!(denied(1020, Some(2)), [], "it began before the write was acknowledged");
    assert_eq!(denied(1100, Some(77)), [Rule::Torn], "nobody wrote it");
    let mut scene = refreshed();
    scene.begin(1100, 2, 99, 5, ((1, 0), Idle, TOKEN));
    scene.end(1105, 2, 5, SwapEnd::Failed { kind: "Corrupt".to_owned() });
    assert_eq!(scene.rules(), [Rule::Torn]);
}

#[test]
fn a_swap_that_is_denied_for_no_reason_is_found() {
    let mut scene = refreshed();
    scene.begin(1100, 2, 3, 5, ((1, 1), InFlight, 101));
    scene.end(1105, 2, 5, SwapEnd::Lost { current: Some(Mark(3)) });
    assert_eq!(scene.rules(), [Rule::FalseDenial], "it expected this record");
    let mut scene = refreshed();
    scene.begin(1100, 2, 3, 5, ((1, 1), InFlight, 101));
    scene.end(1105, 2, 5, SwapEnd::Lost { current: Some(Mark(6)) });
    scene.begin(1102, 1, 5, 6, ((1, 1), Idle, 101));
    scene.end(1104, 1, 6, SwapEnd::Won);
    scene.last(6);
    assert_eq!(scene.rules(), [Rule::FalseDenial], "it was replaced");
}
