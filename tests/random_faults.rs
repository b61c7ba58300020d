//! Faults at random, the same for the same seed: whatever comes, one token request at a time, no token used twice, and
//! the manager recovers by itself.

use std::time::Duration;

use integration_tests::{Kit, soon};
use token_core::clock::ManualClock;
use token_core::{ErrorKind, TokenManager};
use token_testkit::{Fault, RandomFaults};

const HOUR: Duration = Duration::from_secs(3600);
const CALLERS: usize = 20;
const ROUNDS: u32 = 100;

/// The catalogue without what only a login mends, or takes a deadline to notice.
fn survivable() -> impl Iterator<Item = Fault> {
    let fatal = [
        "carried-out",
        "reset-after",
        "hang",
        "kill-family",
        "invalid_grant",
        "wrong-password",
        "disabled-user",
    ];
    Fault::catalogue()
        .filter(move |(text, _)| !fatal.iter().any(|word| text.contains(word)))
        .map(|(_, fault)| fault)
}

/// Some callers at once; whether they got a token.
async fn round(tokens: &TokenManager) -> bool {
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let tokens = tokens.clone();
            tokio::spawn(async move { soon(tokens.token()).await })
        })
        .collect();
    let mut succeeded = 0;
    for caller in callers {
        match caller.await.expect("no panic") {
            Ok(_) => succeeded += 1,
            Err(error) => assert!(!error.needs_login(), "{error}"),
        }
    }
    succeeded > 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_weather_no_token_is_used_twice_and_the_grant_survives() {
    for seed in 0..20 {
        let (kit, clock) = (Kit::start(), ManualClock::new());
        let tokens = kit.manager().clock(clock.clone()).build().expect("a manager");
        kit.server.random(Some(RandomFaults::new(seed, 0.5, survivable())));
        let mut succeeded = 0;
        for _ in 0..ROUNDS {
            succeeded += u32::from(round(&tokens).await);
            // Past every end, hold-off and `Retry-After`.
            clock.advance(HOUR);
            // A wrong client is mended by hand.
            if tokens.token().await.is_err_and(|error| error.kind() == ErrorKind::Configuration) {
                // The next fault may be just behind.
                _ = tokens.refresh_now().await;
            }
        }
        assert!(succeeded > ROUNDS / 4, "seed {seed}: {succeeded} rounds had a token");
        kit.server.random(None);
        clock.advance(HOUR);
        _ = tokens.refresh_now().await;
        tokens.token().await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let counters = kit.server.counters();
        assert_eq!(
            (counters.reuse_detected, counters.token_requests_in_flight_max),
            (0, 1),
            "seed {seed}"
        );
    }
}
