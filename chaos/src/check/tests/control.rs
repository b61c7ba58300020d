use super::*;

/// A token is presented again without an intent, a version goes down, and a write is lost.
fn careless() -> Scene {
    let mut scene = refreshed();
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    scene.write(4100, 2, 3, 4, ((1, 0), Dead, TOKEN));
    scene.last(2);
    scene
}

#[test]
fn of_who_promises_nothing_only_the_losses_count() {
    let rules = careless().rules();
    for rule in [Rule::NoIntent, Rule::VersionDown, Rule::LostWrite] {
        assert!(rules.contains(&rule), "{rule:?}: {rules:?}");
    }
    let findings = check(&careless().ended(), false);
    lost(&findings, Cause::Avoidable);
    let rules: Vec<_> = findings.violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [Rule::AvoidableLoss]);
}

#[test]
fn each_part_has_its_own_grants_and_what_befell_all() {
    let mut scene = refreshed();
    let killed = What::Killed { gone: at(1101) };
    scene.0.entries.push(Entry { at: at(1100), process: 1, grant: None, what: killed });
    scene.0.last.push((1, Ok(None)));
    scene.0.entries.push(Entry { at: at(1200), process: 2, grant: Some(1), what: What::Ready });
    for n in [1, 2] {
        scene.exchange(1300, 2, n, TOKEN, None);
    }
    scene.0.requests[1].id = Some((2, 1, 1));
    scene.0.requests[2].id = None;
    scene.0.faults.push("process 3 ended by itself".to_owned());
    scene.0.places = 3;
    let all = scene.0.entries.len();
    let (ours, control) = (scene.0.part(1, false), scene.0.part(1, true));
    let of = |part: &Outcome| part.last.iter().map(|(grant, _)| *grant).collect::<Vec<_>>();
    assert_eq!((of(&ours), of(&control)), (vec![0], vec![1]));
    assert_eq!((ours.entries.len(), ours.requests.len(), ours.faults.len()), (all - 1, 2, 1));
    assert_eq!((control.entries.len(), control.requests.len(), control.faults.len()), (2, 1, 0));
    assert_eq!((ours.places, control.places), (3, 3));
}
