//! Seeds: they start a grant, and never undo what was rotated since.

use integration_tests::{Kit, event, until};
use token_core::event::Event;
use token_core::store::{MemoryStore, TokenStore};
use token_core::{TokenKey, TokenSet};
use token_testkit::DEFAULT_CLIENT_ID;

#[tokio::test]
async fn a_restart_with_the_same_seed_never_overwrites_the_record() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let mut last = None;
    for restart in 0..5 {
        let tokens = kit.manager().store(store.clone()).build().unwrap();
        let token = tokens.token().await.unwrap();
        if restart > 0 {
            assert_eq!(Some(token.version()), last, "the record wins");
        }
        assert_eq!(token.version().epoch(), 1);
        last = Some(tokens.refresh_now().await.unwrap().version());
    }
    assert_eq!(kit.server.counters().reuse_detected, 0);
    assert_eq!(kit.token_requests(), 6, "the first token and one refresh in each life");
    assert!(kit.server.presentations_per_generation().into_values().all(|times| times == 1));
}

#[tokio::test]
async fn a_restart_without_a_seed_goes_on_with_the_record() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let tokens = kit.manager().store(store.clone()).build().unwrap();
    tokens.ready().await.unwrap();
    drop(tokens);
    let tokens = token_core::TokenManager::builder(kit.endpoint()).store(store).build().unwrap();
    tokens.ready().await.unwrap();
    tokens.refresh_now().await.unwrap();
    assert_eq!(kit.token_requests(), 2);
}

#[tokio::test]
async fn a_seed_with_a_valid_access_token_is_used_as_it_is() {
    let kit = Kit::start();
    let tokens =
        token_core::TokenManager::builder(kit.endpoint()).seed(kit.valid_seed()).build().unwrap();
    assert_eq!(kit.client(&tokens).get("").await.status, 200);
    assert_eq!(kit.token_requests(), 0);
}

#[tokio::test]
async fn a_different_seed_after_a_dead_grant_starts_a_new_epoch() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let tokens = kit.manager().store(store.clone()).build().unwrap();
    tokens.ready().await.unwrap();
    kit.server.script([token_testkit::Fault::oauth_error("invalid_grant")]);
    assert!(tokens.refresh_now().await.unwrap_err().needs_login());
    drop(tokens);

    let login = kit.server.sign_in(DEFAULT_CLIENT_ID);
    let seed = TokenSet::from_refresh_token(login.refresh_token());
    let tokens =
        token_core::TokenManager::builder(kit.endpoint()).store(store).seed(seed).build().unwrap();
    let mut events = tokens.events();
    tokens.refresh_now().await.unwrap();
    assert_eq!(tokens.token().await.unwrap().version().epoch(), 2);
    assert_eq!(kit.client(&tokens).get("").await.status, 200);
    // It says so, by the version that it gave the seed.
    let taken = event(&mut events, |event| matches!(event, Event::SeedTaken { .. })).await;
    assert!(matches!(taken, Event::SeedTaken { version } if version.epoch() == 2), "{taken:?}");
}

/// Somebody logged in again, perhaps as somebody else: the access token of the old login is not theirs.
#[tokio::test]
async fn a_different_seed_is_taken_even_while_the_old_login_has_a_valid_access_token() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let tokens = kit.manager().store(store.clone()).build().unwrap();
    let old = tokens.token().await.unwrap();
    drop(tokens);

    let login = kit.server.sign_in(DEFAULT_CLIENT_ID);
    let seed = TokenSet::from_refresh_token(login.refresh_token());
    let tokens =
        token_core::TokenManager::builder(kit.endpoint()).store(store).seed(seed).build().unwrap();
    // The manager has looked at the store before the first request comes.
    until(|| tokens.status().version().is_some()).await;
    let token = tokens.token().await.unwrap();
    assert_eq!(token.version().epoch(), 2);
    assert_ne!(token.expose_secret(), old.expose_secret());
}

#[tokio::test]
async fn an_old_and_a_new_seed_side_by_side_do_not_play_ping_pong() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let new_login = kit.server.sign_in(DEFAULT_CLIENT_ID);
    let new_seed = TokenSet::from_refresh_token(new_login.refresh_token());
    let old = kit.manager().store(store.clone()).build().unwrap();
    old.refresh_now().await.unwrap();
    let new = token_core::TokenManager::builder(kit.endpoint())
        .store(store)
        .seed(new_seed)
        .build()
        .unwrap();
    assert_eq!(new.refresh_now().await.unwrap().version().epoch(), 2);
    for _ in 0..10 {
        assert_eq!(old.refresh_now().await.unwrap().version().epoch(), 2);
        assert_eq!(new.refresh_now().await.unwrap().version().epoch(), 2);
    }
    assert_eq!(kit.server.counters().reuse_detected, 0);
    let families: Vec<_> = kit.server.history().iter().map(|one| one.family).collect();
    let changes = families.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 1, "{families:?}");
    assert!(kit.server.presentations_per_generation().into_values().all(|times| times == 1));
}

#[tokio::test]
async fn a_login_survives_the_restart_with_the_seed_from_before_it() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let tokens = kit.manager().store(store.clone()).build().unwrap();
    tokens.login(kit.another_login()).await.unwrap();
    let version = tokens.refresh_now().await.unwrap().version();
    drop(tokens);
    // The configuration still has the seed of the first start, which was never used.
    let tokens = kit.manager().store(store).build().unwrap();
    assert_eq!(tokens.token().await.unwrap().version(), version);
    let next = tokens.refresh_now().await.unwrap().version();
    assert_eq!((next.epoch(), next.generation()), (version.epoch(), version.generation() + 1));
}

#[tokio::test]
async fn grants_in_one_store_do_not_touch_each_other() {
    let kit = Kit::start();
    let store = MemoryStore::new();
    let manager = |tenant: &str| {
        let login = kit.server.sign_in(DEFAULT_CLIENT_ID);
        token_core::TokenManager::builder(kit.endpoint())
            .store(store.clone())
            .key(TokenKey::new("api").unwrap().with_tenant(tenant).unwrap())
            .seed(TokenSet::from_refresh_token(login.refresh_token()))
            .build()
            .unwrap()
    };
    let all: Vec<_> = ["acme", "Acme", "a/b", "a%2Fb", "ä"].into_iter().map(manager).collect();
    for tokens in &all {
        tokens.ready().await.unwrap();
    }
    let mut seen: Vec<_> =
        all.iter().map(|tokens| tokens.cached().unwrap().expose_secret().to_owned()).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all.len());
    all[0].logout().await.unwrap();
    assert!(all[0].token().await.unwrap_err().needs_login());
    assert!(all[1..].iter().all(|tokens| tokens.cached().is_some()));
    assert_eq!(store.list(None).await.unwrap().keys().len(), all.len());
}
