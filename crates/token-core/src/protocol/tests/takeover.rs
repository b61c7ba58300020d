//! Whose intent it is, and how long it is left alone.

use super::*;

/// A process that presented the seed and went away before it was answered, and the one that comes after it.
fn after_a_crash() -> (Process, Process) {
    let store = MemoryStore::new();
    let (mut gone, next) = (Process::new(&store), Process::new(&store));
    let context = gone.context();
    let mut action = gone.replica.begin(Demand::default(), &context);
    while !matches!(action, Action::Exchange { .. }) {
        let event = match action {
            Action::Load => Event::Loaded(Ok(gone.stored())),
            Action::Swap { expect, stamp, record } => {
                Event::Swapped(Ok(gone.swap(expect, stamp, &record)))
            }
            action => panic!("{action:?}"),
        };
        let context = gone.context();
        action = gone.replica.step(event, &context);
    }
    (gone, next)
}

#[test]
fn an_intent_of_somebody_who_may_live_is_left_alone_for_the_quarantine() {
    for liveness in [Liveness::Unknown, Liveness::Alive] {
        let (_, mut next) = after_a_crash();
        next.policy().tells_dead_holder = true;
        next.liveness = liveness;
        next.refresh().unwrap();
        assert_eq!(next.waited(), next.replica.policy.quarantine());
        let notes = next.replica.take_notes();
        assert_eq!(
            notes[1..],
            [Note::HolderOverdue, Note::TakenOver { gone: false }],
            "each told once, in this order"
        );
    }
}

#[test]
fn an_intent_of_somebody_who_is_gone_is_taken_over_once_the_server_must_be_done() {
    let (_, mut next) = after_a_crash();
    next.policy().tells_dead_holder = true;
    next.liveness = Liveness::Dead;
    next.refresh().unwrap();
    assert_eq!(next.waited(), next.replica.policy.settling());
    assert!(next.replica.take_notes().contains(&Note::TakenOver { gone: true }));
}

#[test]
fn a_takeover_that_has_to_wait_for_the_access_token_is_not_told_of_yet() {
    let (_, mut next) = after_a_crash();
    let record = next.stored().unwrap().record;
    let tokens = TokenSet::new("serves").with_refresh_token("seed");
    let tokens = tokens.with_expires_in(Duration::from_secs(3600)).anchored(NOW);
    next.force(&Record { tokens, ..record });
    let newer_than = Some(Version::FIRST);
    for _ in 0..2 {
        let failure = next
            .fly(Demand { newer_than, ..Demand::default() }, |token, _| Ok(after(token)))
            .unwrap_err();
        assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
        let told = next.replica.take_notes();
        assert!(!told.iter().any(|note| matches!(note, Note::TakenOver { .. })), "{told:?}");
    }
    assert!(next.presented.is_empty());
}

#[test]
pub(crate) fn a_token_that_was_sent_is_not_sent_again_because_the_record_says_idle() {
    let mut process = Process::new(&MemoryStore::new());
    process.fly(Demand::default(), |_, _| Err(RefreshError::not_sent("x"))).unwrap_err();
    let idle = process.stored().unwrap().record;
    process.fly(Demand::default(), |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();
    process.force(&idle);
    let failure = process.refresh().unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert_eq!(process.presented, ["seed", "seed"]);
}

#[test]
fn an_answer_about_a_holder_is_not_taken_for_one_about_another() {
    let (_, mut next) = after_a_crash();
    next.policy().tells_dead_holder = true;
    let context = next.context();
    let action = next.replica.begin(Demand::default(), &context);
    assert!(matches!(action, Action::Load));
    let found = Event::Loaded(Ok(next.stored()));
    let action = next.replica.step(found, &context);
    assert!(matches!(action, Action::AskHolder { .. }), "{action:?}");
    // Meanwhile a living process has taken over, and the task that watches the store has seen it.
    let attempt = Stamp::random();
    let record = next.stored().unwrap().record.with_state(State::InFlight { attempt });
    next.force(&record);
    next.look();
    next.replica.step(Event::Holder(Liveness::Dead), &context);
    let seen = next.replica.seen.clone().flatten().unwrap();
    assert_eq!((seen.record.attempt(), seen.holder_gone), (Some(attempt), None));
}

#[test]
fn an_attempt_that_was_not_sent_does_not_forget_one_that_was() {
    let mut process = Process::new(&MemoryStore::new());
    process.fly(Demand::default(), |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();
    process.wait(process.replica.policy.settling());
    // The second is not sent, and the write that would say so loses to an update that keeps the token.
    let serves = TokenSet::new("serves").with_expires_in(Duration::from_secs(3600));
    process
        .fly(Demand::default(), |_, process| {
            process.change(&Change::Update(serves.clone()));
            Err(RefreshError::not_sent("x"))
        })
        .unwrap();
    let failure = process.refresh().unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert_eq!(process.presented, ["seed", "seed"]);
}

#[test]
fn a_token_that_was_sent_is_not_sent_again_because_an_update_gave_it_another_version() {
    let mut process = Process::new(&MemoryStore::new());
    process.fly(Demand::default(), |_, _| Err(RefreshError::not_sent("x"))).unwrap_err();
    let idle = process.stored().unwrap().record;
    process.fly(Demand::default(), |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();
    process.force(&idle);
    process.change(&Change::Update(TokenSet::new("by hand")));
    process.look();
    let failure = process.refresh().unwrap_err();
    assert!(matches!(failure, Failure::OutcomeUnknown { .. }), "{failure:?}");
    assert_eq!(process.presented, ["seed", "seed"]);
}
