//! What is done to a grant by hand, here and in another manager on the same store, as in another process.

use std::time::Duration;

use integration_tests::{Gate, Gated, GatedStore, Kit, event, soon, until};
use token_core::clock::ManualClock;
use token_core::event::{Event, Events};
use token_core::store::MemoryStore;
use token_core::{ErrorKind, Health, TokenManager, TokenSet};
use token_testkit::{Fault, Fingerprint};

/// Two managers on one store, the second of which knows what the first has.
async fn pair(kit: &Kit) -> (TokenManager, TokenManager, Events) {
    let store = MemoryStore::new();
    let here = kit.manager().store(store.clone()).build().unwrap_or_else(|error| panic!("{error}"));
    here.ready().await.unwrap_or_else(|error| panic!("{error}"));
    let there = kit.manager().store(store).build().unwrap_or_else(|error| panic!("{error}"));
    let events = there.events();
    there.ready().await.unwrap_or_else(|error| panic!("{error}"));
    (here, there, events)
}

async fn adopted(events: &mut Events, epoch: u64) {
    event(events, |event| matches!(event, Event::Adopted { version } if version.epoch() == epoch))
        .await;
}

#[tokio::test]
async fn a_login_here_is_in_force_there_although_its_old_token_was_good() {
    let kit = Kit::start();
    let (here, there, mut events) = pair(&kit).await;
    let old = there.token().await.unwrap();
    let login = kit.another_login();
    let access = login.access_token().unwrap().expose_secret().to_owned();
    here.login(login).await.unwrap();
    assert_eq!(here.token().await.unwrap().expose_secret(), access);
    adopted(&mut events, 2).await;
    let token = there.token().await.unwrap();
    assert_eq!(token.expose_secret(), access);
    assert_ne!(token.expose_secret(), old.expose_secret());
    assert_eq!(kit.client(&there).get("").await.token(), Fingerprint::of(&access).to_string());
    assert_eq!(kit.token_requests(), 1);
}

/// Who waits for another's refresh hears of it as well, and not only who watches the store.
#[tokio::test]
async fn tokens_that_a_call_finds_in_the_store_are_an_event() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let here = kit.manager().store(store.clone()).build().unwrap();
    here.ready().await.unwrap();
    // It has no task that watches.
    let there = kit.manager().store(store).one_shot().build().unwrap();
    let mut events = there.events();
    for _ in 0..2 {
        here.refresh_now().await.unwrap();
        there.expire_locally();
        let new = there.token().await.unwrap().version();
        event(&mut events, |event| matches!(event, Event::Adopted { version } if *version == new))
            .await;
    }
    drop(there);
    assert!(events.next().await.is_none(), "each is told once");
    assert_eq!(kit.token_requests(), 3);
}

/// The task that watches the store finds what this process has just written there.
#[tokio::test]
async fn an_own_refresh_is_not_told_as_anothers() {
    let (kit, gate) = (Kit::start(), Gate::closed());
    // The seed and the intent are answered, the commit is not.
    let store = GatedStore::answers(&MemoryStore::new(), &gate, 2);
    let tokens = kit.manager().store(store).build().unwrap();
    let mut events = tokens.events();
    let ready = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.ready().await }
    });
    gate.arrivals(1).await;
    until(|| tokens.cached().is_some()).await;
    gate.open();
    ready.await.unwrap().unwrap();
    let told = event(&mut events, |event| !matches!(event, Event::SeedTaken { .. })).await;
    assert!(matches!(told, Event::Refreshed { .. }), "{told:?}");
}

#[tokio::test]
async fn a_login_here_revives_the_manager_there_that_had_given_up() {
    let kit = Kit::start();
    let (here, there, mut events) = pair(&kit).await;
    kit.server.script([Fault::oauth_error("invalid_grant")]);
    assert!(there.refresh_now().await.unwrap_err().needs_login());
    assert!(there.status().needs_login());

    here.login(kit.another_login()).await.unwrap();
    adopted(&mut events, 2).await;
    assert_eq!(kit.client(&there).get("").await.status, 200);
    there.refresh_now().await.unwrap();
}

/// What an operator's page shows of the manager there, before it has refreshed anything itself.
#[tokio::test]
async fn the_status_of_a_revived_grant_no_longer_asks_for_a_login() {
    let kit = Kit::start();
    let (here, there, mut events) = pair(&kit).await;
    kit.server.script([Fault::oauth_error("invalid_grant")]);
    assert!(there.refresh_now().await.unwrap_err().needs_login());
    here.login(kit.another_login()).await.unwrap();
    adopted(&mut events, 2).await;
    assert_eq!(kit.client(&there).get("").await.status, 200);
    let status = there.status();
    assert_eq!((status.needs_login(), status.health()), (false, Health::Valid), "{status:?}");
    assert!(status.last_error().is_none(), "{status:?}");
}

#[tokio::test]
async fn an_update_without_a_refresh_token_keeps_the_one_there_is() {
    let kit = Kit::start();
    let (here, there, mut events) = pair(&kit).await;
    let login = kit.server.sign_in(token_testkit::DEFAULT_CLIENT_ID);
    let update = TokenSet::new(login.access_token()).with_expires_in(Duration::from_secs(600));
    here.update(update).await.unwrap();
    adopted(&mut events, 2).await;
    for tokens in [&here, &there] {
        assert_eq!(tokens.token().await.unwrap().expose_secret(), login.access_token());
        assert!(tokens.status().expires_within(Duration::from_secs(600)));
    }
    // The kept one is presented, from either side.
    here.refresh_now().await.unwrap();
    there.refresh_now().await.unwrap();
    let history = kit.server.history();
    assert!(history.iter().all(|one| one.family == Some(kit.login.family())), "{history:?}");
    assert_eq!(kit.server.counters().reuse_detected, 0);
}

#[tokio::test]
async fn an_update_with_a_refresh_token_replaces_it() {
    let kit = Kit::start();
    let (here, there, mut events) = pair(&kit).await;
    let login = kit.server.sign_in(token_testkit::DEFAULT_CLIENT_ID);
    here.update(TokenSet::new(login.access_token()).with_refresh_token(login.refresh_token()))
        .await
        .unwrap();
    adopted(&mut events, 2).await;
    there.refresh_now().await.unwrap();
    assert_eq!(kit.server.history().last().unwrap().family, Some(login.family()));
}

#[tokio::test]
async fn a_logout_here_is_in_force_there_and_a_login_revives_both() {
    let kit = Kit::start();
    let (here, there, mut events) = pair(&kit).await;
    here.logout().await.unwrap();
    assert!(kit.client(&here).token_error().await.needs_login());
    until(|| there.cached().is_none()).await;
    for tokens in [&here, &there] {
        let error = kit.client(tokens).token_error().await;
        assert_eq!(error.kind(), ErrorKind::NeedsLogin);
        assert!(tokens.status().needs_login() && tokens.refresh_now().await.is_err());
    }
    let counters = kit.server.counters();
    assert_eq!((counters.token_requests, counters.api_requests), (1, 0), "nothing was sent");

    there.login(kit.another_login()).await.unwrap();
    assert_eq!(kit.client(&there).get("").await.status, 200);
    let _ = &mut events;
    until(|| here.cached().is_some()).await;
    assert_eq!(kit.client(&here).get("").await.status, 200);
}

/// A logout elsewhere is a change of the tokens like any other, and programs that listen want to know.
#[tokio::test]
async fn a_logout_here_is_an_event_there() {
    let kit = Kit::start();
    let (here, there, mut events) = pair(&kit).await;
    let next = async {
        loop {
            match events.next().await {
                Some(Event::Adopted { version }) if version.epoch() == 2 => return,
                Some(Event::NeedsLogin { .. }) => return,
                Some(_) => {}
                None => panic!("the manager is there"),
            }
        }
    };
    here.logout().await.unwrap();
    until(|| there.cached().is_none()).await;
    // It is already in force, so the event is due; the seconds are for a scheduler that is busy elsewhere.
    tokio::time::timeout(Duration::from_secs(10), next).await.expect("an event");
}

#[tokio::test]
async fn a_refresh_here_is_not_made_again_there() {
    let kit = Kit::start();
    let (here, there, _events) = pair(&kit).await;
    for _ in 0..10 {
        let token = here.refresh_now().await.unwrap();
        let rejected = there.token().await.unwrap();
        if rejected.version() < token.version() {
            // Whether it has heard of it or not.
            assert_eq!(there.renew(&rejected).await.unwrap().version(), token.version());
        }
        there.expire_locally();
        here.expire_locally();
        let (a, b) = tokio::join!(here.token(), there.token());
        assert_eq!(a.unwrap().version(), b.unwrap().version());
    }
    assert!(kit.server.presentations_per_generation().into_values().all(|times| times == 1));
    assert_eq!(kit.server.counters().reuse_detected, 0);
    assert_eq!(kit.server.counters().token_requests_in_flight_max, 1);
}

#[tokio::test]
async fn a_login_during_a_refresh_wins_over_its_late_answer() {
    let kit = Kit::start();
    let gate = Gate::closed();
    let endpoint = kit.endpoint_over(Gated::answers(Kit::http(), &gate));
    let tokens = TokenManager::builder(endpoint).seed(kit.seed()).build().unwrap();
    let mut events = tokens.events();
    let flight = tokio::spawn({
        let tokens = tokens.clone();
        async move { tokens.token().await }
    });
    gate.arrivals(1).await;
    let login = kit.another_login();
    let access = login.access_token().unwrap().expose_secret().to_owned();
    tokens.login(login).await.unwrap();
    assert_eq!(tokens.token().await.unwrap().expose_secret(), access);
    // Whoever waited for the old login's answer gets the new one's.
    gate.open();
    assert_eq!(soon(flight).await.unwrap().unwrap().expose_secret(), access);
    event(&mut events, |event| matches!(event, Event::AnswerDropped)).await;
    assert_eq!(tokens.token().await.unwrap().expose_secret(), access);
    tokens.refresh_now().await.unwrap();
    assert_eq!(kit.server.counters().reuse_detected, 0);
}

#[tokio::test]
async fn a_token_for_a_long_upload_lasts_as_long_as_asked() {
    let kit = Kit::start();
    let clock = ManualClock::new();
    let tokens = kit.manager().clock(clock.clone()).build().unwrap();
    let first = tokens.token().await.unwrap();
    // An hour's token with twenty minutes left: good for ten minutes, not for thirty.
    clock.advance(Duration::from_secs(40 * 60));
    assert_eq!(
        tokens.token_for(Duration::from_secs(600)).await.unwrap().version(),
        first.version()
    );
    let long = tokens.token_for(Duration::from_secs(1800)).await.unwrap();
    assert!(long.version() > first.version());
    // More than the server gives is no reason to ask again and again.
    for _ in 0..5 {
        assert_eq!(
            tokens.token_for(Duration::from_secs(86_400)).await.unwrap().version(),
            long.version()
        );
    }
    assert_eq!(kit.token_requests(), 2);
}

/// What is left of a token that somebody brought says nothing about how long the server's tokens last.
#[tokio::test]
async fn a_token_for_a_long_upload_is_not_denied_because_the_seed_was_nearly_over() {
    let kit = Kit::start();
    let seed = kit.valid_seed().with_expires_in(Duration::from_secs(900));
    let tokens = TokenManager::builder(kit.endpoint()).seed(seed).build().unwrap();
    let short = tokens.token().await.unwrap();
    let long = tokens.token_for(Duration::from_secs(1800)).await.unwrap();
    assert!(
        long.version() > short.version(),
        "the server gives an hour, and half of one was asked for"
    );
}

#[tokio::test]
async fn the_request_after_expire_locally_obtains_another_token() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    let mut last = tokens.token().await.unwrap();
    for _ in 0..10 {
        tokens.expire_locally();
        let next = tokens.token().await.unwrap();
        assert!(next.version() > last.version(), "{next:?} after {last:?}");
        last = next;
    }
    assert_eq!(kit.token_requests(), 11);
}

#[tokio::test]
async fn refresh_now_refreshes_also_as_the_first_call_over_a_seed_with_a_good_token() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let with_seed = |seed| {
        TokenManager::builder(kit.endpoint()).seed(seed).store(store.clone()).build().unwrap()
    };
    let tokens = with_seed(kit.valid_seed());
    let refreshed = tokens.refresh_now().await.unwrap();
    assert_ne!(refreshed.expose_secret(), kit.login.access_token());
    assert_eq!(kit.token_requests(), 1);
    // And where a new seed takes the place of what the store holds.
    with_seed(kit.another_login()).refresh_now().await.unwrap();
    assert_eq!((kit.token_requests(), kit.server.counters().reuse_detected), (2, 0));
}
