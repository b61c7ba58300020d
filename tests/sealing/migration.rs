//! A store that has records in the clear.

use crate::site::{Site, ring};

#[tokio::test]
async fn records_in_the_clear_are_taken_over_and_the_next_write_seals_them() {
    let site = Site::new();
    let before = site.manager("acme", site.files()).token().await.unwrap();
    assert!(site.everything().contains("kit-rt-"));
    let tokens = site.manager("acme", site.sealed(ring("k", 7)).reading_clear_records());
    assert_eq!(tokens.token().await.unwrap().version(), before.version());
    assert_eq!(site.kit.token_requests(), 1);
    tokens.refresh_now().await.unwrap();
    assert!(!site.everything().contains("kit-rt-"));
    // From here on without it.
    let tokens = site.manager("acme", site.sealed(ring("k", 7)));
    tokens.refresh_now().await.unwrap();
    let counters = site.kit.server.counters();
    assert_eq!((counters.token_requests, counters.reuse_detected), (3, 0));
}

#[tokio::test]
async fn records_in_the_clear_that_nobody_refreshes_are_sealed_on_demand() {
    let site = Site::new();
    for tenant in ["acme", "apex"] {
        let tokens = site.manager(tenant, site.files());
        tokens.login(site.kit.another_login()).await.unwrap();
    }
    let report = site.sealed(ring("k", 7)).reading_clear_records().reseal_all().await.unwrap();
    assert_eq!(report.resealed(), 2);
    assert!(report.is_complete() && !site.everything().contains("kit-rt-"));
    for tenant in ["acme", "apex"] {
        site.manager(tenant, site.sealed(ring("k", 7))).refresh_now().await.unwrap();
    }
    assert_eq!(site.kit.server.counters().reuse_detected, 0);
}
