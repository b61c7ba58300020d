use token_testkit::{AuthorizationServer, Fault, RandomFaults};

use crate::support::{Caller, start};

async fn statuses(server: &AuthorizationServer, n: usize) -> Vec<u16> {
    let caller = Caller::http1();
    let mut statuses = Vec::new();
    for _ in 0..n {
        statuses.push(caller.refresh(server, "unknown").await.expect("an answer").status.as_u16());
    }
    statuses
}

#[tokio::test]
async fn the_same_seed_fails_the_same_requests() {
    let random = || RandomFaults::new(11, 0.4, [Fault::status(502), Fault::status(503)]);
    let (one, other) = (start(), start());
    one.random(Some(random()));
    other.random(Some(random()));
    let seen = statuses(&one, 40).await;
    assert_eq!(seen, statuses(&other, 40).await);
    for status in [400, 502, 503] {
        assert!(seen.contains(&status), "{seen:?}");
    }
    one.random(Some(random()));
    assert_eq!(seen, statuses(&one, 40).await, "set anew, it starts anew");
}

#[tokio::test]
async fn they_come_after_the_script_and_in_place_of_what_is_always_so() {
    let server = start();
    server.always(Some(Fault::status(500)));
    server.random(Some(RandomFaults::new(1, 1.0, [Fault::status(502)])));
    server.script([Fault::status(503)]);
    assert_eq!(statuses(&server, 3).await, [503, 502, 502]);
    server.random(None);
    assert_eq!(statuses(&server, 1).await, [500]);
}
