//! Faults as words: `status=503 retry-after=7 delay-before=2s`.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use bytes::Bytes;
use http::HeaderValue;

use super::{
    Action, Body, Changes, Drip, Fault, Field, RefreshField, RetryAfter, Scripted, final_status,
};
use crate::{
    ParseError, duration_text,
    refusal::Refusal,
    words::{self, Worded, Words},
};

const WORDS: &[(&str, Option<&str>)] = &[
    ("none", None),
    ("delay-before", Some(duration_text::EXPECTED)),
    ("delay-after", Some(duration_text::EXPECTED)),
    ("reset-before", None),
    ("reset-after", None),
    ("hang", None),
    ("kill-family", None),
    ("carried-out", None),
    ("status", Some("a number from 200 to 999")),
    ("retry-after", Some("seconds, or any text that a header can carry")),
    (
        "retry-after-date",
        Some("a number of seconds from the answer's date on, or before it with a minus sign"),
    ),
    ("error", Some("an error code such as `invalid_grant`")),
    ("wrong-password", None),
    ("disabled-user", None),
    ("body", Some("any text")),
    ("content-type", Some("a media type, or any text that a header can carry")),
    ("html", None),
    ("empty", None),
    ("garbage", None),
    ("truncated", None),
    ("cut-json", None),
    ("redirect", Some("a URL or path that a header can carry")),
    ("huge", Some("a number of bytes")),
    ("form", None),
    ("expires-in", Some("raw JSON")),
    ("no-expires-in", None),
    ("token-type", Some("any text")),
    ("no-token-type", None),
    ("refresh-token", Some("`repeated`, `null` or `empty`")),
    ("no-refresh-token", None),
    ("scope", Some("any text")),
    ("drip", Some("a number of bytes from 1 on, `/` and a duration, as in `drip=16/100ms`")),
];

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Words::default();
        if !self.delay_before.is_zero() {
            words.value("delay-before", duration_text::write(self.delay_before));
        }
        match &self.action {
            Action::Rules(changes) => words.changes(changes),
            Action::Reset if self.carried_out => words.bare("reset-after"),
            Action::Reset => words.bare("reset-before"),
            Action::Hang => words.bare("hang"),
            Action::Answer(answer) => words.answer(answer),
        }
        if self.form {
            words.bare("form");
        }
        if self.carried_out && self.action != Action::Reset {
            words.bare("carried-out");
        }
        match &self.retry_after {
            Some(RetryAfter::Text(text)) => words.value("retry-after", text),
            Some(RetryAfter::Date(seconds)) => words.value("retry-after-date", seconds.to_string()),
            None => {}
        }
        if let Some(Drip { bytes, every }) = self.drip {
            words.value("drip", format!("{bytes}/{}", duration_text::write(every)));
        }
        if !self.delay_after.is_zero() {
            words.value("delay-after", duration_text::write(self.delay_after));
        }
        words.fmt(f)
    }
}

impl Words {
    fn field(&mut self, key: &str, field: Option<&Field>) {
        match field {
            Some(Field::Is(value)) => self.value(key, value),
            Some(Field::Absent) => self.bare(&format!("no-{key}")),
            None => {}
        }
    }

    fn changes(&mut self, changes: &Changes) {
        if changes.kill_family {
            self.bare("kill-family");
        }
        self.field("expires-in", changes.expires_in.as_ref());
        self.field("token-type", changes.token_type.as_ref());
        match changes.refresh_token {
            Some(RefreshField::Absent) => self.bare("no-refresh-token"),
            Some(RefreshField::Repeated) => self.value("refresh-token", "repeated"),
            Some(RefreshField::Null) => self.value("refresh-token", "null"),
            Some(RefreshField::Empty) => self.value("refresh-token", "empty"),
            None => {}
        }
        if let Some(scope) = &changes.scope {
            self.value("scope", scope);
        }
    }

    fn answer(&mut self, answer: &Scripted) {
        match &answer.body {
            Body::Nothing => {}
            Body::Bytes(bytes) => self.value("body", bytes),
            Body::OAuthError(error) => self.value("error", error),
            Body::Refusal(Refusal::UserDisabled) => self.bare("disabled-user"),
            // No other refusal is scripted.
            Body::Refusal(_) => self.bare("wrong-password"),
            Body::Html => self.bare("html"),
            Body::Empty => self.bare("empty"),
            Body::Garbage => self.bare("garbage"),
            Body::Truncated => self.bare("truncated"),
            Body::CutJson => self.bare("cut-json"),
            Body::Redirect(location) => self.value("redirect", location),
            Body::Huge(bytes) => self.value("huge", bytes.to_string()),
        }
        if let Some(status) = answer.status {
            self.value("status", status.as_str());
        }
        if let Some(content_type) = &answer.content_type {
            self.value("content-type", content_type);
        }
    }
}

impl FromStr for Fault {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        words::read(text)
    }
}

impl Worded for Fault {
    const NAME: &str = "a fault";
    const WORDS: &[(&str, Option<&str>)] = WORDS;

    fn bare(key: &str) -> Option<Self> {
        Some(match key {
            "none" => Self::none(),
            "reset-before" => Self::reset_before(),
            "reset-after" => Self::reset_after(),
            "hang" => Self::hang(),
            "kill-family" => Self::kill_family(),
            "carried-out" => Self::none().carried_out(),
            "wrong-password" => Self::wrong_password(),
            "disabled-user" => Self::disabled_user(),
            "html" => Self::html(),
            "empty" => Self::empty(),
            "garbage" => Self::garbage(),
            "truncated" => Self::truncated(),
            "cut-json" => Self::cut_json(),
            "form" => Self::form(),
            "no-expires-in" => Self::without_expires_in(),
            "no-token-type" => Self::without_token_type(),
            "no-refresh-token" => Self::without_refresh_token(),
            _ => return None,
        })
    }

    fn with_value(key: &str, value: &[u8]) -> Option<Self> {
        // The two that carry any bytes.
        match key {
            "body" => return Some(Self::sends(Body::Bytes(Bytes::copy_from_slice(value)))),
            "retry-after" => {
                let text = RetryAfter::Text(HeaderValue::from_bytes(value).ok()?);
                return Some(Self { retry_after: Some(text), ..Self::default() });
            }
            _ => {}
        }
        let header = || HeaderValue::from_bytes(value).ok();
        let text = std::str::from_utf8(value).ok()?;
        Some(match key {
            "delay-before" => Self::delay_before(duration_text::read(text)?),
            "delay-after" => Self::delay_after(duration_text::read(text)?),
            "status" => Self::status(final_status(text.parse().ok()?)?.as_u16()),
            "retry-after-date" => Self::none().retry_after_date(text.parse().ok()?),
            "error" => Self::oauth_error(text),
            "content-type" => {
                Self::scripted(Scripted { content_type: Some(header()?), ..Scripted::default() })
            }
            "redirect" => Self::sends(Body::Redirect(header()?)),
            "huge" => Self::huge(text.parse().ok()?),
            "expires-in" => Self::expires_in(text),
            "token-type" => Self::token_type(text),
            "refresh-token" => match text {
                "repeated" => Self::repeated_refresh_token(),
                "null" => Self::null_refresh_token(),
                "empty" => Self::empty_refresh_token(),
                _ => return None,
            },
            "scope" => Self::scope(text),
            "drip" => {
                let (bytes, every) = text.split_once('/')?;
                let bytes = bytes.parse::<NonZeroUsize>().ok()?;
                Self::none().dripped(bytes.get(), duration_text::read(every)?)
            }
            _ => return None,
        })
    }

    /// Two contradict each other exactly if their order matters.
    fn joined(self, other: Self) -> Option<Self> {
        let joined = self.clone().and(other.clone());
        (joined == other.and(self)).then_some(joined)
    }
}

#[cfg(test)]
mod tests;
