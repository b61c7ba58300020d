//! Passwords that are changed while services run.

use token_core::ErrorKind;

use crate::site::{Site, follows, refresh, token, until};
use crate::support::Server;

const RIGHTS: &str = "on >old resetkeys ~token-refresh:* resetchannels &token-refresh:* -@all +eval +hmget +hset +exists +copy \
                      +publish +wait +info +scan +subscribe +unsubscribe";

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_changed_without_an_interruption() {
    let (server, site) = (Server::start(), Site::new());
    let user = |rules: &str| {
        let words: Vec<&str> =
            ["ACL", "SETUSER", "tokens"].into_iter().chain(rules.split(' ')).collect();
        let () = server.ask(&words);
    };
    let url = |password: &str| format!("redis://tokens:{password}@127.0.0.1:{}", server.port());
    user(RIGHTS);
    let before = site.service(&url("old")).await;
    token(&before).await;

    // Both are good: services are started anew with the new one, in any order.
    user(">new");
    let after = site.service(&url("new")).await;
    follows(&after, &refresh(&before).await).await;

    // Whoever is logged in stays so.
    user("<old");
    let newest = refresh(&before).await;
    follows(&after, &newest).await;

    // Who comes anew with the old one is refused, says why, and serves what it has.
    let _: u64 = server.ask(&["CLIENT", "KILL", "USER", "tokens"]);
    let error = until(async || before.refresh_now().await.err()).await;
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    let told = async || {
        let error = before.refresh_now().await.unwrap_err().to_string();
        error.contains("refuses the user or the password").then_some(())
    };
    until(told).await;
    assert_eq!(token(&before).await, newest);
    refresh(&after).await;

    // Given back, it goes on by itself.
    user(">old");
    let newest = refresh(&before).await;
    follows(&after, &newest).await;
    assert_eq!(site.reused(), 0);
}
