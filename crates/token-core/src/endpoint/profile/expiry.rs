use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::super::{answer, jwt};
use super::pointer::Pointer;
use crate::token::Expiry;

/// How an answer says when its access token ends.
#[derive(Clone, Debug)]
pub(super) struct ExpiryRule {
    pub(super) form: Form,
    /// The lifetime of a token whose answer does not say it.
    pub(super) default: Option<Duration>,
}

#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Seconds from the answer on, as a number or a string.
    Seconds(Pointer),
    /// Seconds since the Unix epoch.
    Epoch(Pointer),
    /// Milliseconds since the Unix epoch.
    EpochMilliseconds(Pointer),
    /// ISO 8601, with an offset, or in this zone where it has none.
    Iso8601(Pointer, Option<TimeZone>),
    /// The `exp` of the access token itself.
    Jwt,
}

impl ExpiryRule {
    /// Reads the end of an access token from its answer. `answered` is the server's own clock, if it told it.
    ///
    /// An end that has passed by the server's own clock says nothing, as an `expires_in` of 0 does.
    pub(super) fn read(
        &self,
        body: &str,
        access_token: &str,
        answered: Option<SystemTime>,
    ) -> Option<Expiry> {
        self.said(body, access_token, answered).or(self.default.map(Expiry::In))
    }

    /// The end that the answer itself tells.
    pub(super) fn said(
        &self,
        body: &str,
        access_token: &str,
        answered: Option<SystemTime>,
    ) -> Option<Expiry> {
        match &self.form {
            Form::Seconds(at) => at.find(body).as_ref().and_then(answer::lifetime).map(Expiry::In),
            Form::Epoch(at) => {
                at.find(body).as_ref().and_then(seconds).and_then(|end| ending(end, answered))
            }
            Form::EpochMilliseconds(at) => at
                .find(body)
                .as_ref()
                .and_then(seconds)
                .and_then(|end| ending(end / 1000, answered)),
            Form::Iso8601(at, zone) => at
                .find_text(body)
                .and_then(|text| iso8601(&text, zone.as_ref()))
                .and_then(|end| ending(end, answered)),
            Form::Jwt => match answered {
                Some(_) => jwt::lifetime(access_token, answered).map(Expiry::In),
                None => jwt::end(access_token).map(Expiry::At),
            },
        }
    }
}

/// An absolute end, counted from the server's own clock where that is known: ours may show another time.
fn ending(end: Duration, answered: Option<SystemTime>) -> Option<Expiry> {
    let Some(answered) = answered else { return Some(Expiry::At(end)) };
    let answered = answered.duration_since(UNIX_EPOCH).ok()?;
    end.checked_sub(answered).filter(|left| !left.is_zero()).map(Expiry::In)
}

/// A point in time since the Unix epoch, as a number or a string. The same forms as those of a lifetime.
fn seconds(value: &Value) -> Option<Duration> {
    answer::lifetime(value)
}

/// A local time that a clock set back shows twice is the first of the two, and one that a clock set forward never shows
/// is read as if it had been set already: too early costs a refresh, too late a refusal.
pub(super) fn iso8601(text: &str, zone: Option<&TimeZone>) -> Option<Duration> {
    let end = match text.parse::<Timestamp>() {
        Ok(end) => end,
        Err(_) => zone?.to_ambiguous_timestamp(text.parse::<DateTime>().ok()?).earlier().ok()?,
    };
    Duration::try_from(end.as_duration()).ok().filter(|end| !end.is_zero())
}

#[cfg(test)]
mod tests {
    use super::super::unknown_end::Flaw;
    use super::*;

    fn read(form: Form, value: &str, answered: Option<u64>) -> Option<Expiry> {
        let rule = ExpiryRule { form, default: None };
        let answered = answered.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        rule.read(&format!(r#"{{"at":{value}}}"#), "opaque", answered)
    }

    fn at() -> Pointer {
        Pointer::to_field("at")
    }

    fn local(zone: &str, time: &str) -> String {
        let form = Form::Iso8601(at(), Some(TimeZone::get(zone).unwrap()));
        match read(form, &format!("\"{time}\""), None) {
            Some(Expiry::At(end)) => {
                Timestamp::from_second(end.as_secs().try_into().unwrap()).unwrap().to_string()
            }
            other => panic!("{time}: {other:?}"),
        }
    }

    #[test]
    fn seconds_are_a_number_or_a_string() {
        let week = Some(Expiry::In(Duration::from_secs(604_800)));
        assert_eq!(read(Form::Seconds(at()), "\"604800\"", None), week);
        assert_eq!(read(Form::Seconds(at()), "604800", Some(1_000)), week);
        for nothing in ["0", "-1", "\"\"", "\"soon\"", "null", "[]", "1e999"] {
            assert_eq!(read(Form::Seconds(at()), nothing, None), None, "{nothing}");
        }
    }

    #[test]
    fn an_epoch_counts_from_the_servers_clock_where_it_is_known() {
        let hour = Some(Expiry::In(Duration::from_secs(3_600)));
        assert_eq!(read(Form::Epoch(at()), "4600", Some(1_000)), hour);
        assert_eq!(read(Form::Epoch(at()), "\"4600\"", Some(1_000)), hour);
        assert_eq!(read(Form::EpochMilliseconds(at()), "4600000", Some(1_000)), hour);
        assert_eq!(
            read(Form::Epoch(at()), "4600", None),
            Some(Expiry::At(Duration::from_secs(4_600)))
        );
        // It has ended already, by the server's own word.
        assert_eq!(read(Form::Epoch(at()), "4600", Some(4_600)), None);
        assert_eq!(
            read(Form::Epoch(at()), "1e300", Some(1)),
            Some(Expiry::In(Duration::MAX - Duration::from_secs(1)))
        );
    }

    #[test]
    fn local_times_are_read_in_their_zone() {
        assert_eq!(local("Europe/Berlin", "2025-07-12T15:52:00.000000"), "2025-07-12T13:52:00Z");
        assert_eq!(local("Europe/Berlin", "2025-01-12 15:52:00"), "2025-01-12T14:52:00Z");
        assert_eq!(local("America/New_York", "2025-07-12T15:52"), "2025-07-12T19:52:00Z");
        // One that brings an offset needs no zone.
        assert_eq!(local("Europe/Berlin", "2025-07-12T15:52:00Z"), "2025-07-12T15:52:00Z");
        assert_eq!(local("Europe/Berlin", "2025-07-12T15:52:00-03:00"), "2025-07-12T18:52:00Z");
    }

    #[test]
    fn across_a_change_of_daylight_saving_the_earlier_reading_counts() {
        // In March the clock goes from 02:00 to 03:00: the hour between is never shown.
        assert_eq!(local("Europe/Berlin", "2025-03-30T01:59:59"), "2025-03-30T00:59:59Z");
        assert_eq!(local("Europe/Berlin", "2025-03-30T02:30:00"), "2025-03-30T00:30:00Z");
        assert_eq!(local("Europe/Berlin", "2025-03-30T03:00:00"), "2025-03-30T01:00:00Z");
        // In October it goes from 03:00 back to 02:00: the hour between is shown twice.
        assert_eq!(local("Europe/Berlin", "2025-10-26T01:59:59"), "2025-10-25T23:59:59Z");
        assert_eq!(local("Europe/Berlin", "2025-10-26T02:30:00"), "2025-10-26T00:30:00Z");
        assert_eq!(local("Europe/Berlin", "2025-10-26T03:00:00"), "2025-10-26T02:00:00Z");
    }

    #[test]
    fn a_time_that_cannot_be_read_says_nothing() {
        for (zone, time) in [
            (None, "2025-07-12T15:52:00"),
            (Some("UTC"), "12.07.2025 15:52"),
            (Some("UTC"), "2025-02-30T00:00:00"),
            (Some("UTC"), "1969-12-31T23:59:59"),
            (Some("UTC"), ""),
        ] {
            let form = Form::Iso8601(at(), zone.map(|zone| TimeZone::get(zone).unwrap()));
            assert_eq!(read(form, &format!("\"{time}\""), None), None, "{time}");
        }
    }

    #[test]
    fn a_jwt_says_it_itself() {
        // {"iat":1000,"exp":1060}
        let token = "e30.eyJpYXQiOjEwMDAsImV4cCI6MTA2MH0.x";
        let read = |token, answered: Option<u64>| {
            let answered = answered.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
            let rule = ExpiryRule { form: Form::Jwt, default: Some(Duration::from_secs(900)) };
            rule.read("", token, answered)
        };
        assert_eq!(read(token, Some(1_010)), Some(Expiry::In(Duration::from_secs(50))));
        assert_eq!(read(token, None), Some(Expiry::At(Duration::from_secs(1_060))));
        assert_eq!(read("opaque", Some(1_010)), Some(Expiry::In(Duration::from_secs(900))));
    }

    #[test]
    fn an_end_that_cannot_be_read_has_a_reason_and_none_that_is_not_meant_to_be_there() {
        let (utc, hour) = (TimeZone::get("UTC").ok(), Some(Duration::from_secs(3_600)));
        let flaw = |form: &Form, value: &str, default| {
            let rule = ExpiryRule { form: form.clone(), default };
            let answered = Some(UNIX_EPOCH + Duration::from_secs(2_000_000_000));
            rule.flaw(&format!(r#"{{"x":1{value}}}"#), "opaque", answered)
        };
        let (seconds, epoch) = (Form::Seconds(at()), Form::Epoch(at()));
        let (local, zoned) = (Form::Iso8601(at(), None), Form::Iso8601(at(), utc));
        for (form, value, expected) in [
            (&seconds, r#","at":60"#, None),
            (&seconds, "", Some(Flaw::Absent)),
            (&seconds, r#","at":"""#, Some(Flaw::Absent)),
            (&seconds, r#","at":null"#, None),
            (&seconds, r#","at":"soon""#, Some(Flaw::Unreadable)),
            (&seconds, r#","at":0"#, Some(Flaw::Unreadable)),
            (&epoch, r#","at":2000000060"#, None),
            (&epoch, r#","at":1000000000"#, Some(Flaw::Passed)),
            (&epoch, r#","at":"2050-01-01""#, Some(Flaw::Unreadable)),
            (&local, r#","at":"2050-01-01T00:00:00""#, Some(Flaw::NoZone)),
            (&local, r#","at":"2050-01-01T00:00:00Z""#, None),
            (&zoned, r#","at":"2050-01-01T00:00:00""#, None),
            (&zoned, r#","at":"2001-01-01T00:00:00""#, Some(Flaw::Passed)),
            (&zoned, r#","at":"tomorrow""#, Some(Flaw::Unreadable)),
            (&Form::Jwt, "", Some(Flaw::NoJwt)),
        ] {
            assert_eq!(flaw(form, value, None), expected, "{form:?} {value}");
        }
        // A default is for answers that do not say it, and for no others.
        assert_eq!(flaw(&seconds, "", hour), None);
        assert_eq!(flaw(&Form::Jwt, "", hour), None);
        assert_eq!(flaw(&zoned, r#","at":"tomorrow""#, hour), Some(Flaw::Unreadable));
    }

    #[test]
    fn the_default_is_for_answers_that_do_not_say_it() {
        let rule =
            ExpiryRule { form: Form::Seconds(at()), default: Some(Duration::from_secs(900)) };
        assert_eq!(rule.read("{}", "x", None), Some(Expiry::In(Duration::from_secs(900))));
        assert_eq!(rule.read(r#"{"at":60}"#, "x", None), Some(Expiry::In(Duration::from_secs(60))));
    }
}
