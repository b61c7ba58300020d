//! Faults of the API as words: `status=401 challenge=Bearer after-bytes=10`.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use http::{HeaderValue, header};

use super::{Action, Answer, ApiFault, When};
use crate::{
    ParseError,
    fault::final_status,
    words::{self, Worded, Words},
};

/// Each as [`ApiFault`]'s `Display` writes it.
const CATALOGUE: &[&str] = &[
    "none",
    "refused",
    "refused at-once",
    "status=401",
    "challenge=Bearer%20error=\"invalid_token\"",
    "challenge=Basic%20realm=\"api\",%20Bearer%20error=\"invalid_token\"",
    "challenge=Basic%20realm=\"api\" challenge=Bearer%20error=\"invalid_token\"",
    "challenge=Bearer%20error=\"invalid_token\" body={\"error\":\"expired\"}",
    "challenge=Bearer%20error=\"invalid_token\" at-once",
    "challenge=Bearer%20error=\"invalid_token\" after-bytes=0",
    "status=403 challenge=Bearer%20error=\"insufficient_scope\",%20scope=\"admin\"",
    "status=429 header=retry-after:1",
    "status=302 redirect=/api/elsewhere",
    "redirect=/api/elsewhere",
    "grpc-status=16",
    "close",
    "close at-once",
];

impl ApiFault {
    /// Every kind of fault with its text, for tests that go through them all.
    ///
    /// It grows with versions. Redirects lead back to the API.
    ///
    /// ```
    /// use token_testkit::ApiFault;
    ///
    /// for (text, fault) in ApiFault::catalogue() {
    ///     assert_eq!(fault.to_string(), text);
    /// }
    /// ```
    pub fn catalogue() -> impl Iterator<Item = (&'static str, Self)> {
        // A test shows that each is a fault.
        CATALOGUE.iter().filter_map(|text| Some((*text, text.parse().ok()?)))
    }
}

impl fmt::Display for ApiFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Words::default();
        match &self.action {
            Action::Process => {}
            Action::Refused => words.bare("refused"),
            Action::Close => words.bare("close"),
            Action::Answer(answer) => words.api_answer(answer),
        }
        match self.when {
            When::AfterBody => {}
            When::AfterBytes(bytes) => words.value("after-bytes", bytes.to_string()),
            When::AtOnce => words.bare("at-once"),
        }
        words.fmt(f)
    }
}

impl Words {
    fn api_answer(&mut self, answer: &Answer) {
        if let Some(status) = answer.status {
            self.value("status", status.as_str());
        }
        for (name, value) in &answer.headers {
            match *name {
                header::WWW_AUTHENTICATE => self.value("challenge", value),
                header::LOCATION => self.value("redirect", value),
                _ => {
                    let name = name.as_str().as_bytes();
                    self.value("header", [name, b":", value.as_bytes()].concat());
                }
            }
        }
        if let Some(code) = answer.grpc_status {
            self.value("grpc-status", code.to_string());
        }
        if let Some(body) = &answer.body {
            self.value("body", body);
        }
    }
}

impl FromStr for ApiFault {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        words::read(text)
    }
}

impl Worded for ApiFault {
    const NAME: &str = "an API fault";
    const WORDS: &[(&str, Option<&str>)] = &[
        ("none", None),
        ("refused", None),
        ("status", Some("a number from 200 to 999")),
        ("challenge", Some("a challenge such as `Bearer%20error=\"invalid_token\"`")),
        ("redirect", Some("a URL or path that a header can carry")),
        (
            "header",
            Some(
                "a name, `:` and a value, as in `header=retry-after:7`; \
                 `content-length` and `transfer-encoding` are the server's",
            ),
        ),
        ("grpc-status", Some("a number from 0 to 255")),
        ("body", Some("any text")),
        ("close", None),
        ("at-once", None),
        ("after-bytes", Some("a number of bytes")),
    ];

    fn bare(key: &str) -> Option<Self> {
        match key {
            "none" => Some(Self::none()),
            "refused" => Some(Self::refused()),
            "close" => Some(Self::close()),
            "at-once" => Some(Self::none().at_once()),
            _ => None,
        }
    }

    fn with_value(key: &str, value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value);
        let mut answer = Answer::default();
        match key {
            "after-bytes" => return Some(Self::none().after_bytes(text.ok()?.parse().ok()?)),
            "status" => answer.status = Some(final_status(text.ok()?.parse().ok()?)?),
            "grpc-status" => answer.grpc_status = Some(text.ok()?.parse().ok()?),
            "body" => answer.body = Some(Bytes::copy_from_slice(value)),
            _ => {
                let (name, value) = match key {
                    "challenge" => (header::WWW_AUTHENTICATE.as_str().as_bytes(), value),
                    "redirect" => (header::LOCATION.as_str().as_bytes(), value),
                    "header" => {
                        let colon = value.iter().position(|byte| *byte == b':')?;
                        (&value[..colon], &value[colon + 1..])
                    }
                    _ => return None,
                };
                answer.add_header(name, HeaderValue::from_bytes(value).ok()?)?;
            }
        }
        Some(Self::answer(answer))
    }

    fn joined(self, other: Self) -> Option<Self> {
        let action = match (self.action, other.action) {
            (Action::Answer(own), Action::Answer(other)) => Action::Answer(own.joined(other)?),
            (own, other) => either(own, other)?,
        };
        Some(Self { action, when: either(self.when, other.when)? })
    }
}

impl Answer {
    /// Both; headers of one name stand beside each other.
    fn joined(mut self, other: Self) -> Option<Self> {
        for (name, value) in &other.headers {
            self.add_header(name.as_str().as_bytes(), value.clone())?;
        }
        Some(Self {
            status: either(self.status, other.status)?,
            headers: self.headers,
            grpc_status: either(self.grpc_status, other.grpc_status)?,
            body: either(self.body, other.body)?,
        })
    }
}

/// The one that says something; `None` if both do, and not the same.
fn either<T: Default + PartialEq>(own: T, other: T) -> Option<T> {
    let nothing = T::default();
    if other == nothing || other == own { Some(own) } else { (own == nothing).then_some(other) }
}

#[cfg(test)]
mod tests;
