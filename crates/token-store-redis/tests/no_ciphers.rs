//! A process of its own, in which nobody has chosen a provider of ciphers.

#![cfg(feature = "tls")]

use token_store_redis::RedisStore;

#[tokio::test]
async fn tls_without_a_provider_is_an_error_and_no_panic() {
    let error = RedisStore::open("rediss://127.0.0.1:6379").await.expect_err("nothing to use");
    let text = error.to_string();
    assert!(text.contains("install one before the token store is opened"), "{text}");
}
