//! The user that the README makes: its rights are enough, and each of them is needed.

#![expect(clippy::unwrap_used, reason = "the helpers of these tests are tests")]

mod support;

use token_core::store::{Durability, Expect, StoreError, StoreErrorKind, TokenStore};
use token_store_redis::RedisStore;

use support::{Server, fresh, grant};

/// The words of the README's line, after `ACL SETUSER tokens`.
fn rules() -> Vec<&'static str> {
    let mut lines = include_str!("../README.md").lines();
    let line = lines.find_map(|line| line.strip_prefix("ACL SETUSER tokens ")).unwrap();
    line.split(' ').collect()
}

fn make_user(server: &Server, rules: &[&str]) -> String {
    let _: i64 = server.ask(&["ACL", "DELUSER", "tokens"]);
    let () = server.ask(&[&["ACL", "SETUSER", "tokens"], rules].concat());
    format!("redis://tokens:secret@127.0.0.1:{}", server.port())
}

/// Everything that a store does.
async fn tour(url: &str) -> Result<(), StoreError> {
    let grant = grant("billing-api");
    let store = RedisStore::open(url).await?;
    let current = store.load(&grant).await?;
    let expect = current.map_or(Expect::Absent, |(record, _)| Expect::Is(record.stamp()));
    let new = fresh();
    store.compare_and_swap(&grant, expect, &new, Durability::Durable).await?;
    store.changed(&grant, None, std::time::Duration::from_secs(60)).await?;
    store.set_aside(&grant, Some(new.stamp()), &fresh()).await?;
    store.list(None).await?;
    Ok(())
}

#[tokio::test]
async fn the_rights_of_the_readme_are_enough() {
    let server = Server::start();
    tour(&make_user(&server, &rules())).await.unwrap();
    let denied: Vec<redis::Value> = server.ask(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn a_key_that_cannot_be_asked_for_its_grant_is_not_called_damaged() {
    let server = Server::start();
    let url = make_user(&server, &rules());
    tour(&url).await.unwrap();
    let store = RedisStore::open(url).await.unwrap();
    let () = server.ask(&["ACL", "SETUSER", "tokens", "-hmget"]);
    let error = store.list(None).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Refused, "{error}");
    assert!(error.to_string().contains("denies a right"), "{error}");
}

/// Without these a change is seen at the next look.
const FOR_MESSAGES: [&str; 3] = ["+publish", "+subscribe", "+unsubscribe"];

#[tokio::test]
async fn each_right_is_needed_and_a_missing_one_is_told() {
    let server = Server::start();
    let needed = rules().into_iter().filter(|rule| rule.starts_with('+'));
    for needed in needed.filter(|rule| !FOR_MESSAGES.contains(rule)) {
        let fewer: Vec<&str> = rules().into_iter().filter(|rule| *rule != needed).collect();
        let error = tour(&make_user(&server, &fewer)).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Refused, "{needed}: {error}");
        let text = error.to_string();
        let told = ["denies a right", "the README of token-store-redis", "`ACL SETUSER`"];
        assert!(told.iter().all(|part| text.contains(part)), "{needed}: {text}");
    }
}

/// A login over a record that cannot be read takes several commands.
#[tokio::test]
async fn a_right_that_is_missing_half_way_loses_no_record() {
    let server = Server::start();
    tour(&make_user(&server, &rules())).await.unwrap();
    let grant = grant("billing-api");
    let before = RedisStore::open(server.url()).await.unwrap().load(&grant).await.unwrap();
    let stamp = before.as_ref().map(|(record, _)| record.stamp());
    for missing in ["+copy", "+hset"] {
        let fewer: Vec<&str> = rules().into_iter().filter(|rule| *rule != missing).collect();
        let store = RedisStore::open(make_user(&server, &fewer)).await.unwrap();
        let error = store.set_aside(&grant, stamp, &fresh()).await.unwrap_err();
        assert!(error.to_string().contains("denies a right"), "{error}");
        assert_eq!(store.load(&grant).await.unwrap(), before);
    }
}

#[tokio::test]
async fn a_user_of_other_keys_is_told_at_once() {
    let server = Server::start();
    let others: Vec<&str> = rules()
        .into_iter()
        .map(|rule| if rule.starts_with('~') { "~others:*" } else { rule })
        .collect();
    let error = RedisStore::open(make_user(&server, &others)).await.unwrap_err();
    assert!(error.to_string().contains("denies a right"), "{error}");
}

#[tokio::test]
async fn a_user_without_messages_still_does_everything() {
    let server = Server::start();
    let silent: Vec<&str> =
        rules().into_iter().filter(|rule| !FOR_MESSAGES.contains(rule)).collect();
    tour(&make_user(&server, &silent)).await.unwrap();
}
