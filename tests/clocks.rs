//! Clocks that jump, stand still, lag, or differ from the server's: no token is sent after its end, and no clock makes
//! a storm of refreshes.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use integration_tests::{Kit, until};
use token_core::TokenManager;
use token_core::clock::{Clock, ManualClock, Moment};
use token_testkit::Fault;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A manager with a token that is good for an hour.
async fn with_token(kit: &Kit, clock: impl Clock) -> TokenManager {
    let tokens = kit.manager().clock(clock).build().expect("a manager");
    tokens.ready().await.expect("a token");
    tokens
}

fn wall(clock: &ManualClock) -> SystemTime {
    UNIX_EPOCH + clock.now().wall()
}

/// A hundred requests, which all succeed; the token requests that they caused.
async fn token_requests_of_traffic(kit: &Kit, tokens: &TokenManager) -> u64 {
    let (client, before) = (kit.client(tokens), kit.token_requests());
    for _ in 0..100 {
        assert_eq!(client.get("").await.status, 200);
    }
    assert_eq!(kit.server.counters().reuse_detected, 0);
    kit.token_requests() - before
}

#[tokio::test]
async fn a_wall_clock_set_forward_by_a_year_costs_one_refresh() {
    let (kit, clock) = (Kit::start(), ManualClock::new());
    let tokens = with_token(&kit, clock.clone()).await;
    clock.set_wall(wall(&clock) + YEAR);
    assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 1);
    // The new token counts from the new time: there is no second one.
    assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 0);
}

#[tokio::test]
async fn a_wall_clock_set_back_by_a_year_costs_nothing_and_keeps_no_token_alive() {
    let (kit, clock) = (Kit::start(), ManualClock::new());
    let tokens = with_token(&kit, clock.clone()).await;
    clock.set_wall(wall(&clock) - YEAR);
    assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 0);
    // Its hour has passed on the other clock.
    clock.advance(HOUR);
    assert!(tokens.cached().is_none());
    assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 1);
    assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 0);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_to_and_fro_costs_at_most_one_refresh_per_jump() {
    let (kit, clock) = (Kit::start(), ManualClock::new());
    let tokens = with_token(&kit, clock.clone()).await;
    for jump in 0..10 {
        let now = wall(&clock);
        clock.set_wall(if jump % 2 == 0 { now + YEAR } else { now - YEAR });
        assert!(token_requests_of_traffic(&kit, &tokens).await <= 1, "jump {jump}");
    }
}

/// The backoff after a failure is no longer for a clock that was set back in it.
#[tokio::test]
async fn a_wall_clock_set_back_does_not_lengthen_a_backoff() {
    let (kit, clock) = (Kit::start(), ManualClock::new());
    kit.server.script([Fault::status(429).retry_after(5)]);
    let tokens = kit.manager().clock(clock.clone()).build().expect("a manager");
    assert!(tokens.token().await.is_err());
    clock.set_wall(wall(&clock) - YEAR);
    clock.advance(Duration::from_secs(6));
    tokens.token().await.expect("a token");
}

/// A computer that sleeps: both of its clocks go on, its timers stand still.
#[derive(Clone, Debug)]
struct Laptop {
    shown: ManualClock,
    timers: ManualClock,
}

impl Laptop {
    fn new() -> Self {
        Self { shown: ManualClock::new(), timers: ManualClock::new() }
    }

    fn suspend(&self, time: Duration) {
        self.shown.advance(time);
    }

    fn run(&self, time: Duration) {
        self.shown.advance(time);
        self.timers.advance(time);
    }
}

impl Clock for Laptop {
    fn now(&self) -> Moment {
        self.shown.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.timers.sleep(duration)
    }
}

#[tokio::test]
async fn after_a_suspend_no_request_is_sent_with_a_token_that_ended_meanwhile() {
    let (kit, laptop) = (Kit::start(), Laptop::new());
    let tokens = with_token(&kit, laptop.clone()).await;
    laptop.suspend(2 * HOUR);
    assert!(tokens.cached().is_none());
    assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 1);
    assert_eq!(kit.server.counters().api_unauthorized, 0);
}

#[tokio::test]
async fn after_a_suspend_the_token_is_refreshed_within_a_minute_without_traffic() {
    let (kit, laptop) = (Kit::start(), Laptop::new());
    let _tokens = with_token(&kit, laptop.clone()).await;
    // The driver has laid itself to sleep until the next refresh is due, or for a minute.
    until(|| kit.token_requests() == 1).await;
    laptop.suspend(2 * HOUR);
    until(|| {
        laptop.run(MINUTE);
        kit.token_requests() == 2
    })
    .await;
}

/// A coarse clock as it is, only coarser: it is behind by up to its tick.
#[derive(Clone, Debug)]
struct Coarse {
    clock: ManualClock,
    tick: Duration,
    last: Arc<Mutex<Moment>>,
}

impl Clock for Coarse {
    fn now(&self) -> Moment {
        self.clock.now()
    }

    fn coarse(&self) -> Moment {
        let (now, mut last) = (self.clock.now(), self.last.lock().expect("no panic"));
        if now.monotonic().saturating_sub(last.monotonic()) >= self.tick {
            *last = now;
        }
        *last
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.sleep(duration)
    }
}

#[tokio::test]
async fn a_coarse_clock_serves_no_token_past_its_end() {
    let (kit, clock) = (Kit::start(), ManualClock::new());
    let tick = Duration::from_secs(1);
    let coarse = Coarse { clock: clock.clone(), tick, last: Arc::new(Mutex::new(clock.now())) };
    let tokens = with_token(&kit, coarse).await;
    let obtained = clock.now().monotonic();
    let mut served_until = Duration::ZERO;
    // The refreshes ahead of time fail: the token serves to its end.
    kit.server.always(Some(Fault::status(429)));
    while clock.now().monotonic() < obtained + HOUR + MINUTE {
        clock.advance(Duration::from_millis(700));
        if tokens.cached().is_some() {
            served_until = clock.now().monotonic() - obtained;
        }
    }
    // Ten seconds early, and at most one tick later than that.
    assert!(served_until >= HOUR - Duration::from_secs(11), "{served_until:?}");
    assert!(served_until < HOUR - Duration::from_secs(8), "{served_until:?}");
}

/// The server's clock is a year off, either way, or an hour.
#[tokio::test]
async fn a_server_whose_clock_is_off_changes_no_lifetime_and_no_wait() {
    for skew in [-31_536_000, -3600, 3600, 31_536_000] {
        let (kit, clock) = (Kit::start(), ManualClock::new());
        kit.server.set_date_skew(skew);
        // Seven seconds by the server's own clock.
        kit.server.script([Fault::status(429).retry_after_date(7)]);
        let tokens = kit.manager().clock(clock.clone()).build().expect("a manager");
        let wait = tokens.token().await.expect_err("no token").retry_after().expect("a wait");
        assert!(
            wait <= Duration::from_secs(7) && wait > Duration::from_secs(5),
            "{skew}: {wait:?}"
        );
        clock.advance(Duration::from_secs(7));
        tokens.token().await.expect("a token");
        // An hour, as the server said, by our clock.
        clock.advance(HOUR - MINUTE / 2);
        assert!(tokens.cached().is_some(), "{skew}");
        clock.advance(MINUTE / 2);
        assert!(tokens.cached().is_none(), "{skew}");
        assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 1, "{skew}");
    }
}

/// Zero, nothing and nonsense mean "until it is refused"; a number is a number, however large, and in whatever form.
#[tokio::test]
async fn no_expires_in_loops_or_lies() {
    let hour = Some(HOUR);
    for (fault, lifetime) in [
        (Fault::without_expires_in(), None),
        (Fault::expires_in("null"), None),
        (Fault::expires_in("\"\""), None),
        (Fault::expires_in("0"), None),
        (Fault::expires_in("-1"), None),
        (Fault::expires_in("1e400"), None),
        (Fault::expires_in("\"3600\""), hour),
        (Fault::expires_in("3600.5"), hour),
        (Fault::expires_in("2147483648"), Some(Duration::from_secs(1 << 31))),
        (Fault::expires_in("9223372036854775808"), Some(Duration::from_secs(1 << 63))),
    ] {
        let (kit, clock) = (Kit::start(), ManualClock::new());
        kit.server.set_access_lifetime(Duration::MAX);
        kit.server.script([fault.clone()]);
        let tokens = with_token(&kit, clock.clone()).await;
        assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 0, "{fault}");
        match lifetime {
            Some(lifetime) if lifetime < YEAR => {
                clock.advance(lifetime - MINUTE / 2);
                assert!(tokens.cached().is_some(), "{fault}");
                clock.advance(MINUTE);
                assert!(tokens.cached().is_none(), "{fault}");
            }
            // Good for longer than anybody waits, or until it is refused.
            _ => {
                clock.advance(YEAR);
                assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 0, "{fault}");
                kit.server.revoke_access_tokens();
            }
        }
        assert_eq!(token_requests_of_traffic(&kit, &tokens).await, 1, "{fault}");
    }
}
