//! A person who logs in again gets past a record that nobody can read, and what was in it is kept.

use std::fs;
use std::os::unix::fs::MetadataExt;

use integration_tests::event;
use token_core::TokenSet;
use token_core::event::Event;
use token_core::store::StoreErrorKind;

use crate::site::{Site, tells};
use crate::troubles::{Damage, newer_record, restamped};

#[tokio::test]
async fn a_login_gets_past_what_cannot_be_read_and_all_services_follow_it() {
    let damages: [(&str, Damage); 4] = [
        ("a file cut short", |text| text[..text.len() / 2].to_owned()),
        ("an empty file", |_| String::new()),
        ("another grant's", |text| text.replacen("billing-api", "payroll-api", 1)),
        ("a damaged record in a whole file", |text| restamped(&text.replacen("epoch", "era", 1))),
    ];
    for (what, damage) in damages {
        // By a service that has read the record before it was damaged, and by one that starts now.
        for knows in [true, false] {
            let site = Site::new();
            let running = site.start();
            running.ready().await.unwrap();
            // Its epoch is more than the first of a new record would be.
            running.update(TokenSet::new("by hand")).await.unwrap();
            let mut events = running.events();
            let unreadable = damage(&fs::read_to_string(site.record()).unwrap());
            fs::write(site.record(), &unreadable).unwrap();
            let one = if knows { running.clone() } else { site.start() };
            let mut ones = one.events();
            // Only a login needs nothing of what was there.
            let error = one.update(TokenSet::new("by hand")).await.unwrap_err();
            tells(&error, StoreErrorKind::Corrupt, &["log in again"]);
            tells(&one.logout().await.unwrap_err(), StoreErrorKind::Corrupt, &["log in again"]);
            assert_eq!(fs::read_to_string(site.record()).unwrap(), unreadable, "{what}");
            let login = site.kit.another_login();
            let access = login.access_token().unwrap().expose_secret().to_owned();
            one.login(login).await.unwrap();

            let aside = event(&mut ones, |event| matches!(event, Event::RecordSetAside { .. }));
            let Event::RecordSetAside { place } = aside.await else { unreachable!() };
            assert_eq!(place, site.file(".unreadable-1").display().to_string(), "{what}");
            assert_eq!(fs::read_to_string(&place).unwrap(), unreadable, "{what}");
            assert_eq!(fs::metadata(&place).unwrap().mode() & 0o7777, 0o600, "{what}");

            if !knows {
                event(&mut events, |event| matches!(event, Event::Adopted { .. })).await;
            }
            for tokens in [&one, &running, &site.start()] {
                assert_eq!(tokens.token().await.unwrap().expose_secret(), access, "{what}");
            }
            running.refresh_now().await.unwrap();
            let counters = site.kit.server.counters();
            assert_eq!((counters.token_requests, counters.reuse_detected), (2, 0), "{what}");
        }
    }
}

/// Which seeds were used is lost with the record, and none of them is used again.
#[tokio::test]
async fn a_login_past_what_cannot_be_read_leaves_no_use_for_old_seeds() {
    let site = Site::new();
    site.start().ready().await.unwrap();
    let second = site.kit.another_login();
    let with_second = || site.service().seed(second.clone()).build().unwrap();
    with_second().refresh_now().await.unwrap();
    fs::write(site.record(), "").unwrap();
    let login = site.kit.another_login();
    let access = login.access_token().unwrap().expose_secret().to_owned();
    site.start().login(login).await.unwrap();
    for tokens in [site.start(), with_second(), site.start()] {
        assert_eq!(tokens.token().await.unwrap().expose_secret(), access);
    }
    let counters = site.kit.server.counters();
    assert_eq!((counters.token_requests, counters.reuse_detected), (2, 0));
}

/// It can be read, only not by this program.
#[tokio::test]
async fn a_login_by_an_older_program_leaves_what_a_newer_one_wrote() {
    let damages: [Damage; 2] = [
        |text| text.replacen("\"format\": 1", "\"format\": 2", 1),
        |text| restamped(&newer_record(text)),
    ];
    for newer in damages {
        let site = Site::new();
        let tokens = site.start();
        tokens.ready().await.unwrap();
        let newer = newer(&fs::read_to_string(site.record()).unwrap());
        fs::write(site.record(), &newer).unwrap();
        let error = tokens.login(site.kit.another_login()).await.unwrap_err();
        tells(&error, StoreErrorKind::Corrupt, &["has format 2", "update"]);
        assert_eq!(fs::read_to_string(site.record()).unwrap(), newer);
        assert!(site.files(".unreadable").is_empty());
    }
}

/// Who has read the record goes on from what it has read: the stamp says that nobody wrote since.
#[tokio::test]
async fn a_record_that_was_damaged_by_no_write_is_made_whole_by_the_next() {
    let site = Site::new();
    let tokens = site.start();
    let first = tokens.token().await.unwrap();
    let text = fs::read_to_string(site.record()).unwrap();
    fs::write(site.record(), text.replacen("epoch", "era", 1)).unwrap();
    tokens.refresh_now().await.unwrap();
    let next = site.start().token().await.unwrap();
    assert!(next.version() > first.version());
    assert_eq!(site.kit.server.counters().reuse_detected, 0);
}

#[tokio::test]
async fn a_login_that_the_store_did_not_take_says_why_and_can_be_repeated() {
    let site = Site::new();
    let tokens = site.start();
    tokens.ready().await.unwrap();
    fs::rename(&site.directory, site.beside("moved")).unwrap();
    let error = tokens.login(site.kit.another_login()).await.unwrap_err();
    tells(
        &error,
        StoreErrorKind::Refused,
        &["the store did not confirm the change", "put it back"],
    );
    fs::rename(site.beside("moved"), &site.directory).unwrap();
    tokens.login(site.kit.another_login()).await.unwrap();
    tokens.refresh_now().await.unwrap();
}
