//! What is the same for all of them, from the first token to a restart.

use std::sync::atomic::{AtomicU64, Ordering};

use integration_tests::until;
use token_core::clock::ManualClock;
use token_testkit::ApiFault;
use tokio::task::JoinSet;

use crate::adapter::Adapter;
use crate::api::{self, User};

/// Runs with every API through every adapter.
async fn everywhere(journey: impl AsyncFn(&User)) {
    for api in api::ALL {
        for adapter in Adapter::ALL {
            journey(&User::new(api, adapter)).await;
        }
    }
}

#[tokio::test]
async fn the_first_request_gets_a_token() {
    everywhere(async |user| {
        let tokens = user.starting().build().unwrap();
        user.call(&user.client(&tokens)).await;
        assert_eq!(user.token_requests(), 1, "{user}");
    })
    .await;
}

#[tokio::test]
async fn a_token_is_replaced_before_its_end_while_it_still_serves() {
    everywhere(async |user| {
        let clock = ManualClock::new();
        let tokens = user.starting().clock(clock.clone()).build().unwrap();
        let client = user.client(&tokens);
        user.call(&client).await;
        let (not_yet, due) = user.api.due;
        clock.advance(not_yet);
        user.call(&client).await;
        assert_eq!(user.token_requests(), 1, "{user}: too early");
        clock.advance(due - not_yet);
        user.call(&client).await;
        until(|| user.token_requests() == 2).await;
        tokens.refresh_now().await.unwrap();
        let counters = user.server.counters();
        assert_eq!((counters.api_requests, counters.api_unauthorized), (3, 0), "{user}");
    })
    .await;
}

#[tokio::test]
async fn a_refused_request_is_sent_again_with_a_new_token() {
    everywhere(async |user| {
        let tokens = user.starting().build().unwrap();
        let client = user.client(&tokens);
        user.call(&client).await;
        user.server.revoke_access_tokens();
        user.call(&client).await;
        let seen = (user.token_requests(), user.server.counters().api_requests);
        assert_eq!(seen, (2, 3), "{user}: one renewal, one replay");
    })
    .await;
}

#[tokio::test]
async fn a_redirect_to_the_login_page_is_a_refusal_where_the_api_has_one() {
    for adapter in Adapter::ALL {
        let user = User::new(api::POS_CONNECTOR, adapter);
        let tokens = user.starting().build().unwrap();
        let client = user.client(&tokens);
        user.call(&client).await;
        user.server.api_script([ApiFault::redirect(302, "/login")]);
        user.call(&client).await;
        assert_eq!(user.token_requests(), 2, "{user}");
    }
}

#[tokio::test]
async fn a_thousand_callers_make_one_refresh() {
    everywhere(async |user| {
        let tokens = user.starting().build().unwrap();
        let client = user.client(&tokens);
        for expected in [1, 2] {
            let failed = AtomicU64::new(0);
            let mut callers = JoinSet::new();
            for _ in 0..1000 {
                let (client, request) = (client.clone(), user.request("body"));
                callers.spawn(async move { client.send(request).await.map(|a| a.status()) });
            }
            while let Some(answer) = callers.join_next().await {
                let good = answer.unwrap().is_ok_and(|status| status.is_success());
                failed.fetch_add(u64::from(!good), Ordering::Relaxed);
            }
            let seen = (user.token_requests(), failed.into_inner());
            assert_eq!(seen, (expected, 0), "{user}");
            user.server.revoke_access_tokens();
        }
        assert_eq!(user.server.counters().reuse_detected, 0, "{user}");
    })
    .await;
}

#[tokio::test]
async fn a_restart_finds_the_tokens_again() {
    everywhere(async |user| {
        let first = user.starting().build().unwrap();
        user.call(&user.client(&first)).await;
        drop(first);
        // With no tokens of its own: what it has it has from the file.
        let tokens = user.manager().build().unwrap();
        let client = user.client(&tokens);
        user.call(&client).await;
        assert_eq!(user.token_requests(), 1, "{user}: no new login");
        let last = tokens.status().last_refreshed_at();
        assert!(last.is_some(), "{user}: the time of the last refresh is kept");
        // And so is what the next refresh presents.
        user.server.revoke_access_tokens();
        user.call(&client).await;
        assert_eq!(user.token_requests(), 2, "{user}");
    })
    .await;
}
