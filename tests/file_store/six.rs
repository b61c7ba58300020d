//! Six processes: what one of them does by hand, the others follow within one poll, those that had given up too.

use std::time::{Duration, Instant};

use token_testkit::{DEFAULT_CLIENT_ID, Fault, Fingerprint, Login};

use crate::process::Process;
use crate::site::Site;

/// A poll is a second at most; the rest is for a machine that is busy with other things.
const BOUND: Duration = Duration::from_secs(15);

/// What is done by hand while one of the six has given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Login,
    Update,
    Logout,
}

#[tokio::test]
async fn a_login_by_one_of_six_is_followed_by_the_others() {
    six(Deed::Login).await;
}

#[tokio::test]
async fn an_update_by_one_of_six_is_followed_by_the_others() {
    six(Deed::Update).await;
}

#[tokio::test]
async fn a_logout_by_one_of_six_is_followed_by_the_others() {
    six(Deed::Logout).await;
}

async fn six(deed: Deed) {
    let site = Site::new();
    let server = &site.kit.server;
    let mut six: Vec<Process> = (0..6).map(|_| Process::start(&site)).collect();
    let first = six[0].ask("token").await;
    for one in &mut six {
        assert_eq!(one.ask("token").await, first, "all start with the same token");
    }
    assert_eq!(site.kit.token_requests(), 1);

    // The first gives up: its refresh token is refused.
    server.script([Fault::oauth_error("invalid_grant")]);
    assert!(six[0].ask("refresh").await.starts_with("NeedsLogin"));
    assert!(six[0].ask("refresh").await.starts_with("NeedsLogin"));
    assert_eq!(site.kit.token_requests(), 2, "it has given up");

    if deed == Deed::Login {
        // The pauses between looks at a record at rest grow to a second within five.
        tokio::time::sleep(Duration::from_secs(6)).await;
    }
    let brought = server.sign_in(DEFAULT_CLIENT_ID);
    let access = brought.access_token();
    let order = match deed {
        Deed::Login => login(&brought),
        Deed::Update => format!("update {access}"),
        Deed::Logout => "logout".to_owned(),
    };
    follow(&mut six, 1, &order, 2, &format!("{deed:?}")).await;
    let held = token(access);
    for (n, one) in six.iter_mut().enumerate() {
        let got = one.ask("token").await;
        match deed {
            Deed::Login | Deed::Update => assert_eq!(got, held, "the one at {n}"),
            Deed::Logout => assert!(got.starts_with("NeedsLogin"), "the one at {n}: {got}"),
        }
    }
    if deed != Deed::Login {
        // An access token without a refresh token revives nobody for longer than it lasts.
        assert!(six[3].ask("refresh").await.starts_with("NeedsLogin"));
    }

    let again = server.sign_in(DEFAULT_CLIENT_ID);
    follow(&mut six, 2, &login(&again), 3, "login again").await;
    for one in &mut six {
        assert_eq!(one.ask("token").await, token(again.access_token()));
    }
    // The one that had given up refreshes for all.
    let refreshed = six[0].ask("refresh").await;
    assert!(refreshed.starts_with("token") && refreshed != token(again.access_token()));
    for one in &mut six[1..] {
        one.event("adopted 3.1;").await;
        assert_eq!(one.ask("token").await, refreshed);
    }
    let counters = server.counters();
    assert_eq!((counters.token_requests, counters.reuse_detected), (3, 0));
    assert!(six.iter_mut().all(Process::is_running), "none was started anew");
}

/// One does what is ordered; waits until all others have taken over the epoch, and says how long that took.
async fn follow(six: &mut [Process], who: usize, order: &str, epoch: u64, what: &str) {
    assert_eq!(six[who].ask(order).await, "done");
    let done = Instant::now();
    let mut slowest = Duration::ZERO;
    for (n, one) in six.iter_mut().enumerate().filter(|(n, _)| *n != who) {
        let (at, _) = one.event(&format!("adopted {epoch}.0;")).await;
        let took = at.saturating_duration_since(done);
        assert!(took < BOUND, "{what}: the one at {n} took {took:?}");
        slowest = slowest.max(took);
    }
    println!("{what}: the five others have followed after {slowest:?}");
}

fn login(login: &Login) -> String {
    format!("login {} {}", login.access_token(), login.refresh_token())
}

fn token(access: &str) -> String {
    format!("token {}", Fingerprint::of(access))
}
