use std::time::{Duration, SystemTime};

use http::Method;
use token_testkit::{AuthorizationServer, Fault};

use crate::support::{Caller, Received, start};

/// How far off this answer's date is.
fn skew(received: &Received) -> i64 {
    let date = httpdate::parse_http_date(received.header("date").expect("a date")).expect("a date");
    let seconds = |time: SystemTime| {
        i64::try_from(time.duration_since(SystemTime::UNIX_EPOCH).expect("a date").as_secs())
            .expect("a date")
    };
    seconds(date) - seconds(SystemTime::now())
}

fn is_about(skew: i64, expected: i64) -> bool {
    // The test may take long, and a date has no fractions.
    (expected - 60..=expected + 1).contains(&skew)
}

#[tokio::test]
async fn every_answer_is_dated_by_the_servers_own_clock() {
    const DECADE: i64 = 10 * 365 * 86_400;
    let server = AuthorizationServer::builder().date_skew(-DECADE).start().unwrap();
    for expected in [-DECADE, -90, 0, 90, DECADE] {
        server.set_date_skew(expected);
        for caller in [Caller::http1(), Caller::http2()] {
            server.script([Fault::none(), Fault::html(), Fault::huge(100)]);
            for _ in 0..3 {
                let received = caller.refresh(&server, "unknown").await.unwrap();
                assert!(is_about(skew(&received), expected), "{}", skew(&received));
            }
            let received = caller.api(&server, Method::GET, "", &[], b"").await;
            assert!(is_about(skew(&received), expected), "{}", skew(&received));
        }
    }
}

#[tokio::test]
async fn the_builders_skew_holds_from_the_start() {
    let server = AuthorizationServer::builder().date_skew(-7200).start().unwrap();
    let received = Caller::http1().refresh(&server, "unknown").await.unwrap();
    assert!(is_about(skew(&received), -7200));
}

#[tokio::test]
async fn a_retry_after_date_counts_from_the_skewed_date() {
    let server = start();
    server.set_date_skew(-86_400);
    server.script([
        Fault::status(503).retry_after_date(120),
        Fault::status(503).retry_after_date(-5),
    ]);
    for expected in [120, -5] {
        let received = Caller::http1().refresh(&server, "unknown").await.unwrap();
        let date = |name| httpdate::parse_http_date(received.header(name).unwrap()).unwrap();
        let moved = if expected > 0 {
            date("date") + Duration::from_secs(120)
        } else {
            date("date") - Duration::from_secs(5)
        };
        assert_eq!(date("retry-after"), moved);
        assert!(is_about(skew(&received), -86_400));
    }
}
