//! What a flight makes of what the store and the server answer.

use super::*;

#[test]
pub(crate) fn a_store_that_fell_back_is_repaired_and_not_believed() {
    let mut process = Process::new(&MemoryStore::new());
    process.refresh().unwrap();
    let old = process.stored().unwrap().record;
    process.refresh().unwrap();
    process.force(&old);
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed", "seed+", "seed++"]);
    assert!(process.replica.take_notes().contains(&Note::RecordRepaired));
}

#[test]
fn a_store_that_lost_the_record_is_repaired_and_the_seed_is_not_used_again() {
    let mut process = Process::new(&MemoryStore::new());
    process.refresh().unwrap();
    process.store = MemoryStore::new();
    process.refresh().unwrap();
    assert_eq!(process.presented, ["seed", "seed+"]);
}

#[test]
pub(crate) fn an_answer_that_belongs_to_an_older_login_is_dropped() {
    let mut process = Process::new(&MemoryStore::new());
    let login = Change::Login(TokenSet::new("new login").with_refresh_token("login"));
    process
        .fly(Demand::default(), |token, process| {
            process.change(&login);
            Ok(after(token))
        })
        .unwrap();
    let record = process.stored().unwrap().record;
    assert_eq!(record.tokens.access_token().unwrap().expose_secret(), "new login");
    assert!(process.replica.take_notes().contains(&Note::Superseded));
}

#[test]
pub(crate) fn a_refresh_that_a_sibling_has_just_made_is_not_made_again() {
    let store = MemoryStore::new();
    let (mut here, mut there) = (Process::new(&store), Process::new(&store));
    here.refresh().unwrap();
    let newer_than = here.replica.known().map(|known| known.record.version);
    there.fly(Demand { newer_than, ..Demand::default() }, |token, _| Ok(after(token))).unwrap();
    // `here` still has the old view, and its intent is refused.
    here.refresh().unwrap();
    assert_eq!((here.presented.len(), there.presented.len()), (1, 1));
}

#[test]
pub(crate) fn invalid_grant_for_a_token_that_a_sibling_rotated_is_no_death() {
    let store = MemoryStore::new();
    let mut process = Process::new(&store);
    let demand = Demand::default();
    process
        .fly(demand, |token, process| {
            // A sibling is answered within a grace window, and stores it, before our refusal arrives.
            let record = process.stored().unwrap().record;
            let next = Record::brought(record.version.next_generation(), after(token), NOW.wall());
            process.force(&next);
            Err(RefreshError::invalid_grant())
        })
        .unwrap();
    assert_eq!(process.stored().unwrap().record.state, State::Idle);
}

#[test]
pub(crate) fn a_dead_grant_is_not_presented_again() {
    let mut process = Process::new(&MemoryStore::new());
    for _ in 0..3 {
        let failure =
            process.fly(Demand::default(), |_, _| Err(RefreshError::invalid_grant())).unwrap_err();
        let Failure::NeedsLogin { reason: LoginReason::Dead(DeadReason::Refused), .. } = failure
        else {
            panic!("{failure:?}")
        };
    }
    assert_eq!(process.presented, ["seed"]);
}

#[test]
pub(crate) fn a_seed_that_was_taken_over_never_overwrites_the_record() {
    let store = MemoryStore::new();
    Process::new(&store)
        .fly(Demand::default(), |_, _| Err(RefreshError::not_sent("down")))
        .unwrap_err();
    Process::new(&store).change(&Change::Login(TokenSet::from_refresh_token("login")));
    let mut restarted = Process::new(&store);
    restarted.refresh().unwrap();
    assert_eq!(restarted.presented, ["login"]);
}

#[test]
pub(crate) fn a_server_that_omits_the_refresh_token_is_refreshed_a_hundred_times_in_a_row() {
    let mut process = Process::new(&MemoryStore::new());
    for n in 0..100 {
        let newer_than = process.replica.known().map(|known| known.record.version);
        let demand = Demand { newer_than, ..Demand::default() };
        process.fly(demand, |_, _| Ok(TokenSet::new(format!("at-{n}")))).unwrap();
    }
    assert_eq!(process.presented, vec!["seed"; 100]);
    assert_eq!(process.stored().unwrap().record.version, Version::new(1, 100));
}

#[test]
fn a_server_that_repeats_the_refresh_token_is_refreshed_a_hundred_times_in_a_row() {
    let mut process = Process::new(&MemoryStore::new());
    for n in 0..100 {
        let newer_than = process.replica.known().map(|known| known.record.version);
        let demand = Demand { newer_than, ..Demand::default() };
        process
            .fly(demand, |token, _| Ok(TokenSet::new(format!("at-{n}")).with_refresh_token(token)))
            .unwrap();
    }
    assert_eq!(process.presented, vec!["seed"; 100]);
}

#[test]
fn a_definite_refusal_leaves_the_refresh_token_to_be_presented_again() {
    let mut process = Process::new(&MemoryStore::new());
    for error in
        [RefreshError::not_sent("x"), RefreshError::rejected("x"), RefreshError::configuration("x")]
    {
        process.fly(Demand::default(), |_, _| Err(error.clone())).unwrap_err();
        assert_eq!(process.stored().unwrap().record.state, State::Idle);
    }
    process.refresh().unwrap();
    assert_eq!(process.presented.len(), 4);
}

#[test]
fn an_unknown_outcome_holds_off_the_next_presentation() {
    let mut process = Process::new(&MemoryStore::new());
    let failure =
        process.fly(Demand::default(), |_, _| Err(RefreshError::ambiguous("x"))).unwrap_err();
    assert!(
        matches!(failure, Failure::OutcomeUnknown { wait, .. } if wait == Duration::from_secs(11))
    );
    assert!(matches!(process.stored().unwrap().record.state, State::Unknown { .. }));
    let failure = process.refresh().unwrap_err();
    assert!(
        matches!(failure, Failure::OutcomeUnknown { wait, .. } if wait == Duration::from_secs(11))
    );
    assert_eq!(process.presented, ["seed"]);
}

#[test]
fn a_logout_while_an_answer_is_under_way_is_not_undone_by_it() {
    let mut process = Process::new(&MemoryStore::new());
    let failure = process
        .fly(Demand::default(), |token, process| {
            process.change(&Change::Logout);
            Ok(after(token))
        })
        .unwrap_err();
    assert!(
        matches!(
            failure,
            Failure::NeedsLogin { reason: LoginReason::Dead(DeadReason::LoggedOut), .. }
        ),
        "{failure:?}"
    );
    assert!(process.stored().unwrap().record.tokens.refresh_token().is_none());
}

#[test]
fn an_answer_follows_an_update_that_kept_the_token_which_it_replaced() {
    let mut process = Process::new(&MemoryStore::new());
    process
        .fly(Demand::default(), |token, process| {
            // Somebody took over, gave the token up, and then the access token was updated by hand.
            let reason = DeadReason::OutcomeUnknown;
            let dead = process.stored().unwrap().record.with_state(State::Dead { reason });
            process.force(&dead);
            process.change(&Change::Update(TokenSet::new("by hand")));
            Ok(after(token))
        })
        .unwrap();
    let record = process.stored().unwrap().record;
    assert_eq!(record.tokens.refresh_token().unwrap().expose_secret(), "seed+");
    assert_eq!(record.version, Version::new(2, 1));
}

#[test]
fn an_answer_that_a_flight_left_behind_is_stored_though_nobody_asks_for_a_token() {
    let mut process = Process::new(&MemoryStore::new());
    let context = process.context();
    let mut action = process.replica.begin(Demand::default(), &context);
    loop {
        let event = match action {
            Action::Load => Event::Loaded(Ok(process.stored())),
            Action::Swap { .. } if process.replica.has_unsaved_answer() => break,
            Action::Swap { expect, stamp, record } => {
                Event::Swapped(Ok(process.swap(expect, stamp, &record)))
            }
            Action::Exchange { .. } => {
                Event::Exchanged { sent: process.now, result: Ok(after("seed")) }
            }
            action => panic!("{action:?}"),
        };
        let context = process.context();
        action = process.replica.step(event, &context);
    }
    process.replica.abandon(process.now);
    assert!(process.replica.needs_repair());
    process.fly(Demand { repair: true, ..Demand::default() }, |_, _| unreachable!()).unwrap();
    assert!(!process.replica.needs_repair());
    assert_eq!(process.stored().unwrap().record.version, Version::new(1, 1));
}

#[test]
fn what_became_of_an_attempt_is_told_also_after_an_update_that_kept_it() {
    for (error, idle) in
        [(RefreshError::not_sent("x"), true), (RefreshError::ambiguous("x"), false)]
    {
        let mut process = Process::new(&MemoryStore::new());
        process
            .fly(Demand::default(), |_, process| {
                process.change(&Change::Update(TokenSet::new("by hand")));
                Err(error.clone())
            })
            .unwrap();
        let record = process.stored().unwrap().record;
        assert_eq!(record.version, Version::new(2, 0));
        assert_eq!(record.state == State::Idle, idle, "{:?}", record.state);
        assert!(!matches!(record.state, State::InFlight { .. }), "{:?}", record.state);
    }
}
