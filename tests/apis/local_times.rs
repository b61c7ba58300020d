//! Local times, which a clock that is changed shows twice or never: what the profile makes of them is the server's own end.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use token_testkit::AuthorizationServer;

use crate::adapter::Adapter;
use crate::api::{self, User};

const ZONE: &str = "Europe/Berlin";
const HOUR: i64 = 3_600;

/// What the answer's `Date` leaves out, and the time of a request.
const SLACK: i64 = 2;

#[tokio::test]
async fn an_end_across_a_change_of_daylight_saving_is_the_servers() {
    let zone = TimeZone::get(ZONE).expect("a zone");
    let changes: Vec<_> = zone.following(Timestamp::now()).take(2).collect();
    assert_eq!(changes.len(), 2, "the clock is changed twice a year");
    let mut shown_twice = 0;
    for adapter in Adapter::ALL {
        let mut user =
            User::of(api::POS_CONNECTOR, adapter, AuthorizationServer::builder().time_zone(ZONE));
        user.profile = user.profile.clone().with_zone(ZONE).expect("a zone");
        let tokens = user.manager().build().expect("a manager");
        for change in &changes {
            let at = change.timestamp();
            let before =
                zone.to_offset(Timestamp::from_second(at.as_second() - 1).expect("a time"));
            let set_back = change.offset().seconds() < before.seconds();
            for minutes in [-90, -30, 30, 90] {
                let end = at.as_second() + minutes * 60;
                let asked = Timestamp::now().as_second();
                let lifetime = u64::try_from(end - asked).expect("it is to come");
                user.server.set_access_lifetime(Duration::from_secs(lifetime));
                tokens.refresh_now().await.expect("a login");
                let told = tokens.status().expires_at().expect("an end");
                let told = told.duration_since(SystemTime::UNIX_EPOCH).expect("a time").as_secs();
                let late = i64::try_from(told).expect("a time") - end;
                // The hour before the clock is set back, and the hour after, show the same times.
                let twice = set_back && minutes.abs() < 60;
                shown_twice += usize::from(twice);
                let early = if twice { HOUR } else { 0 };
                assert!(
                    (-early - SLACK..=SLACK).contains(&late),
                    "{user}: {minutes} min from {at}: {late} s late"
                );
            }
        }
    }
    assert_eq!(shown_twice, 4, "one of the two changes sets the clock back");
}
