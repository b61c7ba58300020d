//! Tokens that somebody supplies, and that nothing can be exchanged for.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::{Script, run, settle};
use crate::clock::{Clock, ManualClock};
use crate::error::ErrorKind;
use crate::event::{Event, Events};
use crate::manager::{Health, TokenManager, TokenManagerBuilder};
use crate::no_refresh::NoRefresh;
use crate::refresher::Spends;
use crate::store::MemoryStore;
use crate::token::TokenSet;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

fn by_hand(clock: &ManualClock) -> TokenManagerBuilder {
    TokenManager::builder(NoRefresh).clock(clock.clone())
}

fn for_days(days: u32) -> TokenSet {
    TokenSet::new("static").with_expires_in(days * DAY)
}

/// What was reported since the last look; the days left of each warning.
fn reported(events: &mut Events) -> (Vec<i64>, usize) {
    let (mut warnings, mut logins) = (Vec::new(), 0);
    while let std::task::Poll::Ready(Some(event)) = poll(events) {
        match event {
            Event::EndsSoon { days_left, .. } => warnings.push(days_left),
            Event::NeedsLogin { .. } => logins += 1,
            _ => {}
        }
    }
    (warnings, logins)
}

fn poll(events: &mut Events) -> std::task::Poll<Option<Event>> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    std::pin::pin!(events.next()).poll(&mut context)
}

#[test]
fn it_is_served_to_its_end_with_a_warning_a_day_and_one_alarm() {
    run(async {
        let clock = ManualClock::new();
        let tokens = by_hand(&clock).seed(for_days(90)).build().unwrap();
        let mut events = tokens.events();
        tokens.ready().await.unwrap();
        for _ in 0..(83 * 24 - 1) {
            clock.advance(HOUR);
            settle().await;
        }
        assert_eq!(reported(&mut events), (vec![], 0));
        assert_eq!(tokens.status().days_left(), Some(7));
        for _ in 0..(7 * 24) {
            clock.advance(HOUR);
            settle().await;
            assert_eq!(tokens.token().await.unwrap().expose_secret(), "static");
            assert_eq!(tokens.status().last_error().map(ToString::to_string), None);
        }
        assert_eq!(reported(&mut events), (vec![7, 6, 5, 4, 3, 2, 1], 0));
        assert_eq!(tokens.status().days_left(), Some(0));
        clock.advance(2 * HOUR);
        settle().await;
        // Nobody had to ask.
        assert_eq!(reported(&mut events), (vec![], 1));
        assert!(tokens.cached().is_none());
        assert_eq!(tokens.status().health(), Health::NeedsLogin);
        assert_eq!(tokens.status().days_left(), Some(-1));
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NeedsLogin);
        assert!(error.to_string().contains("has ended"), "{error}");
        assert!(error.to_string().contains("bring new tokens by `login` or `update`"), "{error}");
        clock.advance(DAY);
        assert_eq!(tokens.status().days_left(), Some(-2));
        tokens.update(for_days(90)).await.unwrap();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "static");
        assert_eq!(tokens.status().days_left(), Some(90));
        settle().await;
        assert_eq!(reported(&mut events), (vec![], 0));
    });
}

#[test]
fn a_refusal_is_told_and_nothing_is_asked_for() {
    run(async {
        let clock = ManualClock::new();
        let tokens = by_hand(&clock).seed(for_days(90)).build().unwrap();
        let token = tokens.token().await.unwrap();
        for _ in 0..100 {
            let error = tokens.renew(&token).await.unwrap_err();
            assert!(error.needs_login(), "{error}");
            assert!(error.to_string().contains("was refused"), "{error}");
        }
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "static", "it may be one API");
        tokens.login(TokenSet::new("new")).await.unwrap();
        assert_eq!(tokens.renew(&token).await.unwrap().expose_secret(), "new");
    });
}

#[test]
fn an_eternal_token_has_no_end_and_no_warning() {
    run(async {
        let clock = ManualClock::new();
        let tokens = by_hand(&clock).seed(TokenSet::new("eternal")).build().unwrap();
        let mut events = tokens.events();
        tokens.ready().await.unwrap();
        clock.advance(36_500 * DAY);
        settle().await;
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "eternal");
        let status = tokens.status();
        assert_eq!((status.days_left(), status.health()), (None, Health::Valid));
        assert_eq!(reported(&mut events), (vec![], 0));
    });
}

#[test]
fn a_process_that_starts_warns_once_more_and_counts_on_from_the_supply() {
    run(async {
        let (clock, store) = (ManualClock::new(), MemoryStore::new());
        let start = || by_hand(&clock).store(store.clone()).seed(for_days(20)).build().unwrap();
        let tokens = start();
        tokens.ready().await.unwrap();
        drop(tokens);
        // A fifth of 20 days before their end, though the seed says 20 days from each start.
        clock.advance(16 * DAY + HOUR);
        for days in [3, 3, 3] {
            let tokens = start();
            let mut events = tokens.events();
            tokens.ready().await.unwrap();
            settle().await;
            assert_eq!(reported(&mut events), (vec![days], 0));
            clock.advance(HOUR);
            settle().await;
            assert_eq!(reported(&mut events), (vec![], 0));
        }
    });
}

#[test]
fn the_warning_comes_when_it_is_wanted() {
    run(async {
        for (before, warned) in [(2 * DAY, vec![2, 1]), (Duration::ZERO, vec![])] {
            let clock = ManualClock::new();
            let tokens = by_hand(&clock).seed(for_days(90)).warn_before(before).build().unwrap();
            let mut events = tokens.events();
            tokens.ready().await.unwrap();
            for _ in 0..(89 * 24 + 23) {
                clock.advance(HOUR);
                settle().await;
            }
            assert_eq!(reported(&mut events), (warned, 0));
        }
    });
}

#[test]
fn a_reusable_refresh_token_that_ends_is_warned_of_and_a_one_time_one_is_not() {
    for (spends, warned) in [(Spends::Reusable, vec![5]), (Spends::RefreshToken, vec![])] {
        run(async {
            let (script, clock) = (Script::new(spends), ManualClock::new());
            script.set_lifetime(None);
            let seed = TokenSet::new("a").with_refresh_token("r").with_refresh_expires_in(30 * DAY);
            let tokens = TokenManager::builder(script).clock(clock.clone()).seed(seed);
            let tokens = tokens.build().unwrap();
            let mut events = tokens.events();
            tokens.ready().await.unwrap();
            settle().await;
            assert_eq!(reported(&mut events), (vec![], 0));
            clock.advance(24 * DAY + HOUR);
            settle().await;
            assert_eq!(reported(&mut events), (warned.clone(), 0));
        });
    }
}

#[test]
fn a_jwt_says_its_own_end_where_nobody_else_does() {
    run(async {
        let clock = ManualClock::new();
        let end = clock.now().wall() + 30 * DAY;
        let payload = BASE64_URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{}}}"#, end.as_secs()));
        let jwt = format!("e30.{payload}.c2ln");
        let tokens = by_hand(&clock).seed(TokenSet::new(jwt.as_str())).build().unwrap();
        tokens.ready().await.unwrap();
        assert_eq!(tokens.status().days_left(), Some(30));
        tokens.login(TokenSet::new(jwt.as_str()).with_expires_in(DAY)).await.unwrap();
        assert_eq!(tokens.status().days_left(), Some(1), "what the caller says counts");
        tokens.update(TokenSet::new(jwt)).await.unwrap();
        assert_eq!(tokens.status().days_left(), Some(30));
    });
}

#[test]
fn a_jwt_that_was_issued_long_before_it_was_brought_is_warned_of_a_week_before_its_end() {
    run(async {
        let clock = ManualClock::new();
        let now = clock.now().wall();
        let (issued, end) = (now - 87 * DAY, now + 3 * DAY);
        let times = format!(r#"{{"iat":{},"exp":{}}}"#, issued.as_secs(), end.as_secs());
        let jwt = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(times));
        let tokens = by_hand(&clock).seed(TokenSet::new(jwt)).build().unwrap();
        let mut events = tokens.events();
        tokens.ready().await.unwrap();
        settle().await;
        assert_eq!(reported(&mut events), (vec![3], 0), "after a restart it is late already");
        for _ in 0..(3 * 24 - 1) {
            clock.advance(HOUR);
            settle().await;
        }
        assert_eq!(reported(&mut events), (vec![2, 1], 0));
    });
}

#[test]
fn an_access_token_brought_alone_keeps_the_refresh_token_and_both_bring_another() {
    run(async {
        let (script, clock) = (Script::new(Spends::RefreshToken), ManualClock::new());
        let tokens = super::builder(&script, &clock).build().unwrap();
        tokens.update(TokenSet::new("a1")).await.unwrap();
        assert_eq!(tokens.token().await.unwrap().expose_secret(), "a1");
        tokens.refresh_now().await.unwrap();
        tokens.update(TokenSet::new("a2").with_refresh_token("rt-hand")).await.unwrap();
        tokens.refresh_now().await.unwrap();
        assert_eq!(script.presented(), ["rt-0", "rt-hand"]);
        tokens.login(TokenSet::new("a3")).await.unwrap();
        let error = tokens.refresh_now().await.unwrap_err();
        assert!(error.needs_login() && script.calls() == 2, "a login keeps nothing: {error}");
    });
}

#[test]
fn a_program_of_one_call_is_served_to_the_end_too() {
    run(async {
        let clock = ManualClock::new();
        let tokens = by_hand(&clock).seed(for_days(1)).one_shot().build().unwrap();
        tokens.token().await.unwrap();
        clock.advance(DAY - Duration::from_secs(60));
        let mut events = tokens.events();
        tokens.token().await.unwrap();
        assert_eq!(reported(&mut events), (vec![], 0));
        clock.advance(Duration::from_secs(60));
        assert!(tokens.token().await.unwrap_err().needs_login());
    });
}
