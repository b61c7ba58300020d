//! Older and newer programs in one directory: what the format promises them.

use std::fs;
use std::time::Duration;

use integration_tests::until;
use token_core::store::StoreErrorKind::Corrupt;

use crate::site::{Site, failure, tells};
use crate::troubles::{newer_record, restamped};

#[tokio::test]
async fn an_older_program_leaves_a_newer_record_alone_and_follows_when_it_can_read_again() {
    let site = Site::new();
    let older = site.start_timed();
    let held = older.token().await.unwrap();
    let mut events = older.events();
    let present = fs::read_to_string(site.record()).unwrap();
    let future = restamped(&newer_record(&present));
    fs::write(site.record(), &future).unwrap();

    site.until_stale();
    let mut pause = None;
    for _ in 0..3 {
        site.clock.advance(pause.unwrap_or_default());
        let error = failure(&mut events).await;
        let says =
            "the stored record has format 2, this version reads up to 1: update this program";
        tells(&error, Corrupt, &[says]);
        assert_eq!(older.token().await.unwrap().version(), held.version(), "it is served on");
        pause = error.retry_after();
    }
    assert_eq!(fs::read_to_string(site.record()).unwrap(), future, "the bytes are untouched");
    assert_eq!(site.kit.token_requests(), 1);

    // The newer program was taken back, and its predecessor goes on.
    fs::write(site.record(), present).unwrap();
    let other = site.start_timed();
    other.refresh_now().await.unwrap();
    site.clock.advance(Duration::from_secs(60));
    until(|| older.cached().is_some_and(|token| token.version() > held.version())).await;
    assert!(older.status().last_error().is_none());
    assert_eq!(site.kit.server.counters().reuse_detected, 0);
}

/// The format's rule: what is added without a new number can be left out again.
#[tokio::test]
async fn a_field_that_is_not_known_does_no_harm_and_is_gone_after_the_next_write() {
    let site = Site::new();
    let tokens = site.start_timed();
    let token = tokens.token().await.unwrap();
    let text = restamped(&fs::read_to_string(site.record()).unwrap());
    let text = text.replacen("\"key\":", "\"later\": 1, \"key\":", 1).replacen(
        "\"epoch\":",
        "\"later\": 1, \"epoch\":",
        1,
    );
    assert_eq!(text.matches("later").count(), 2);
    fs::write(site.record(), text).unwrap();
    let newcomer = site.start_timed();
    assert_eq!(newcomer.token().await.unwrap().version(), token.version());
    newcomer.refresh_now().await.unwrap();
    assert!(!fs::read_to_string(site.record()).unwrap().contains("later"));
}
