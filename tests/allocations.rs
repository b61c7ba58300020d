//! Attaching a valid token allocates nothing. In a binary of its own: its allocator counts.

use http::HeaderMap;
use integration_tests::Kit;
use token_core::http::{Origins, Policy};

#[tokio::test]
async fn attaching_a_valid_token_allocates_nothing() {
    let kit = Kit::start();
    let tokens = kit.manager().build().unwrap();
    tokens.ready().await.unwrap();
    let policy = Policy::new(Origins::only(kit.server.origin()).unwrap());
    let mut headers = HeaderMap::with_capacity(4);
    let mut attach = || policy.attach(&mut headers, &tokens.cached().unwrap());
    // The first call of a thread after a refresh copies the token.
    attach();
    let counted = allocation_counter::measure(|| (0..1_000).for_each(|_| attach()));
    assert_eq!(counted.count_total, 0);
}
