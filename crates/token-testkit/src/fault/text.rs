//! Faults as words: `status=503 retry-after=7 delay-before=2s`.

use std::{fmt, num::NonZeroUsize, str::FromStr};

use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use super::{
    Action, Body, Changes, Drip, Fault, Field, RefreshField, RetryAfter, Scripted, final_status,
};
use crate::{ParseError, duration_text};

/// What a value writes as `%XX`: what would end a word or a fault, and the sign itself. Bytes
/// outside ASCII always are.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b';');

/// Every word, and what follows its `=`, if anything.
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
        let mut words = Words(Vec::new());
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
        if words.0.is_empty() {
            words.bare("none");
        }
        f.write_str(&words.0.join(" "))
    }
}

struct Words(Vec<String>);

impl Words {
    fn bare(&mut self, word: &str) {
        self.0.push(word.to_owned());
    }

    fn value(&mut self, key: &str, value: impl AsRef<[u8]>) {
        self.0.push(format!("{key}={}", percent_encode(value.as_ref(), ESCAPED)));
    }

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
        let mut fault = None;
        for word in text.split_ascii_whitespace() {
            let new = parse_word(word)?;
            let joined = match fault {
                None => new,
                Some(known) => join(known, new, word)?,
            };
            fault = Some(joined);
        }
        fault.ok_or_else(|| ParseError::new("a fault has at least one word, such as `none`"))
    }
}

/// Two words contradict each other exactly if their order matters.
fn join(known: Fault, new: Fault, word: &str) -> Result<Fault, ParseError> {
    let joined = known.clone().and(new.clone());
    if joined == new.and(known.clone()) {
        Ok(joined)
    } else {
        Err(ParseError::new(format!("`{word}` contradicts `{known}`")))
    }
}

fn parse_word(word: &str) -> Result<Fault, ParseError> {
    let (key, value) = match word.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (word, None),
    };
    let Some((_, expected)) = WORDS.iter().find(|(known, _)| *known == key) else {
        let known: Vec<_> = WORDS.iter().map(|(known, _)| *known).collect();
        return Err(ParseError::new(format!(
            "`{key}` is no word of a fault; known are {}",
            known.join(", ")
        )));
    };
    let fault = match (value, expected) {
        (None, None) => bare(key),
        (Some(value), Some(_)) => with_value(key, &percent_decode_str(value).collect::<Vec<u8>>()),
        (Some(_), None) => return Err(ParseError::new(format!("`{key}` takes no value"))),
        (None, Some(expected)) => {
            return Err(ParseError::new(format!("`{key}` needs a value, `{key}=` and {expected}")));
        }
    };
    fault.ok_or_else(|| {
        let expected = expected.unwrap_or_default();
        ParseError::new(format!("`{word}` is wrong: after `{key}=` comes {expected}"))
    })
}

fn bare(key: &str) -> Option<Fault> {
    Some(match key {
        "none" => Fault::none(),
        "reset-before" => Fault::reset_before(),
        "reset-after" => Fault::reset_after(),
        "hang" => Fault::hang(),
        "kill-family" => Fault::kill_family(),
        "carried-out" => Fault::none().carried_out(),
        "html" => Fault::html(),
        "empty" => Fault::empty(),
        "garbage" => Fault::garbage(),
        "truncated" => Fault::truncated(),
        "cut-json" => Fault::cut_json(),
        "form" => Fault::form(),
        "no-expires-in" => Fault::without_expires_in(),
        "no-token-type" => Fault::without_token_type(),
        "no-refresh-token" => Fault::without_refresh_token(),
        _ => return None,
    })
}

fn with_value(key: &str, value: &[u8]) -> Option<Fault> {
    // The two that carry any bytes.
    match key {
        "body" => return Some(Fault::sends(Body::Bytes(Bytes::copy_from_slice(value)))),
        "retry-after" => {
            let text = RetryAfter::Text(HeaderValue::from_bytes(value).ok()?);
            return Some(Fault { retry_after: Some(text), ..Fault::default() });
        }
        _ => {}
    }
    let header = || HeaderValue::from_bytes(value).ok();
    let text = std::str::from_utf8(value).ok()?;
    Some(match key {
        "delay-before" => Fault::delay_before(duration_text::read(text)?),
        "delay-after" => Fault::delay_after(duration_text::read(text)?),
        "status" => Fault::status(final_status(text.parse().ok()?)?.as_u16()),
        "retry-after-date" => Fault::none().retry_after_date(text.parse().ok()?),
        "error" => Fault::oauth_error(text),
        "content-type" => {
            Fault::scripted(Scripted { content_type: Some(header()?), ..Scripted::default() })
        }
        "redirect" => Fault::sends(Body::Redirect(header()?)),
        "huge" => Fault::huge(text.parse().ok()?),
        "expires-in" => Fault::expires_in(text),
        "token-type" => Fault::token_type(text),
        "refresh-token" => match text {
            "repeated" => Fault::repeated_refresh_token(),
            "null" => Fault::null_refresh_token(),
            "empty" => Fault::empty_refresh_token(),
            _ => return None,
        },
        "scope" => Fault::scope(text),
        "drip" => {
            let (bytes, every) = text.split_once('/')?;
            let bytes = bytes.parse::<NonZeroUsize>().ok()?;
            Fault::none().dripped(bytes.get(), duration_text::read(every)?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
