//! What is left alone, because others can open it.

use integration_tests::Kit;
use token_core::endpoint::TokenEndpoint;
use token_core::store::StoreErrorKind::{Insecure, Refused, Sealed};
use token_core::store::sealed::{KeyError, SealedStore, SealingKey, SealingKeys};
use token_core::store::{StoreErrorKind, TokenStore};
use token_core::{ErrorKind, TokenKey, TokenManager};

use crate::site::{Site, key, ring, tells};

/// Neither a refresh nor a change by hand gets past it, with a seed or without, and it stays as it is.
async fn is_left_alone(site: &Site, store: impl TokenStore, kind: StoreErrorKind, says: &[&str]) {
    let (before, requests) = (site.text("acme"), site.kit.token_requests());
    let tokens = site.manager("acme", store);
    let login = site.kit.another_login();
    for result in [
        tokens.token().await.map(|_| ()),
        tokens.refresh_now().await.map(|_| ()),
        tokens.login(login.clone()).await,
        tokens.update(login).await,
        tokens.logout().await,
    ] {
        tells(&result.unwrap_err(), kind, says);
    }
    assert_eq!(site.text("acme"), before);
    assert_eq!(site.kit.token_requests(), requests);
    assert!(site.paths(".unreadable").is_empty());
}

#[tokio::test]
async fn a_record_whose_key_is_missing_is_left_to_those_who_have_it() {
    let site = Site::new();
    let owner = site.manager("acme", site.sealed(ring("2026-05", 7)));
    owner.token().await.unwrap();
    let store = site.sealed(ring("2026-11", 8));
    let says = ["the key `2026-05`", "give it that key"];
    is_left_alone(&site, store, Sealed, &says).await;
    owner.refresh_now().await.unwrap();
}

#[tokio::test]
async fn a_record_under_another_key_of_the_same_id_is_left_to_those_who_have_it() {
    let site = Site::new();
    let owner = site.manager("acme", site.sealed(ring("k", 7)));
    owner.token().await.unwrap();
    is_left_alone(&site, site.sealed(ring("k", 8)), Sealed, &["another key", "`k`"]).await;
    owner.refresh_now().await.unwrap();
}

#[tokio::test]
async fn a_process_without_seals_leaves_a_sealed_record_alone_and_says_what_it_lacks() {
    let site = Site::new();
    let owner = site.manager("acme", site.sealed(ring("k", 7)));
    owner.token().await.unwrap();
    is_left_alone(&site, site.files(), Sealed, &["is sealed", "`SealedStore`"]).await;
    // Nor does it take a damaged one for its own.
    let path = site.record("acme");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"nonce\"", "\"ounce\"", 1)).unwrap();
    is_left_alone(&site, site.files(), Sealed, &["is sealed", "`SealedStore`"]).await;
}

#[tokio::test]
async fn a_record_in_the_clear_is_not_taken_for_a_sealed_one() {
    let site = Site::new();
    let owner = site.manager("acme", site.files());
    owner.token().await.unwrap();
    let says = ["is not sealed", "`reading_clear_records`"];
    is_left_alone(&site, site.sealed(ring("k", 7)), Insecure, &says).await;
    owner.refresh_now().await.unwrap();
}

/// A key service that does not answer.
struct Down;

impl SealingKeys for Down {
    async fn primary(&self) -> Result<SealingKey, KeyError> {
        Err(KeyError::new("the key service does not answer: see that it runs"))
    }

    async fn find(&self, _: &str) -> Result<Option<SealingKey>, KeyError> {
        self.primary().await.map(Some)
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_told_and_nothing_is_presented() {
    let site = Site::new();
    let says = ["see that it runs"];
    let store = || SealedStore::new(site.files(), Down);
    // Nor is a first record made.
    tells(&site.manager("acme", store()).token().await.unwrap_err(), Refused, &says);
    assert_eq!(site.kit.token_requests(), 0);
    site.manager("acme", site.sealed(ring("k", 7))).token().await.unwrap();
    is_left_alone(&site, store(), Refused, &says).await;
}

/// It would need nothing of the record, and would end the session of those who can open it.
#[tokio::test]
async fn no_login_by_itself_is_made_over_a_record_whose_key_is_missing() {
    let site = Site::new();
    let start = |keys| -> TokenManager {
        let auth = Kit::auth();
        let url = site.kit.server.token_url();
        let endpoint = TokenEndpoint::client_credentials(Kit::http(), url, auth);
        let key = TokenKey::new("billing-api").unwrap().with_tenant("acme").unwrap();
        TokenManager::builder(endpoint)
            .key(key)
            .store(site.sealed(keys))
            .one_shot()
            .build()
            .unwrap()
    };
    start(ring("old", 7)).token().await.unwrap();
    let requests = site.kit.token_requests();
    let error = start(ring("new", 8)).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store);
    tells(&error, Sealed, &["the key `old`"]);
    assert_eq!(site.kit.token_requests(), requests);
    let both = ring("new", 8).with_reader(key("old", 7)).unwrap();
    start(both).token().await.unwrap();
    assert_eq!(site.kit.token_requests(), requests);
}
