//! Why an answer does not tell when its access token ends. Such a token is used until it is refused, and never refreshed
//! ahead, which nobody notices: so the log says it, once.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use jiff::civil::DateTime;
use serde_json::Value;

use super::super::{answer, jwt};
use super::expiry::{ExpiryRule, Form};
use super::pointer::Pointer;

/// What is the matter with the end that an answer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Absent,
    Unreadable,
    NoZone,
    Passed,
    NoJwt,
}

impl Flaw {
    /// What is there instead of an end, and what to do about it.
    fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Absent => (
                "nothing is there",
                "set `at` to where the end is, or `default` to the token's lifetime",
            ),
            Self::Unreadable => (
                "what is there is no end in the form that the profile names",
                "set `form` and `at` by what the server answers, or `default` to the token's lifetime",
            ),
            Self::NoZone => (
                "a local time is there, and the profile names no zone",
                "set `zone`, or call `Profile::with_zone`",
            ),
            Self::Passed => (
                "an end is there that has passed by the server's own clock",
                "set `form` and `zone` by what the server means, or `default` to the token's lifetime",
            ),
            Self::NoJwt => (
                "the access token is no JWT with an `exp`",
                "set `form` by what the server answers, or `default` to the token's lifetime",
            ),
        }
    }
}

impl ExpiryRule {
    /// Why the end could not be [read](Self::read); `None` where it could, where the profile has a `default` for an answer
    /// without one, and where the server says by a `null` that there is none.
    pub(super) fn flaw(
        &self,
        body: &str,
        access_token: &str,
        answered: Option<SystemTime>,
    ) -> Option<Flaw> {
        if self.said(body, access_token, answered).is_some() {
            return None;
        }
        let Some(at) = self.form.at() else {
            let flaw = jwt::end(access_token).map_or(Flaw::NoJwt, |_| Flaw::Passed);
            return (self.default.is_none() || flaw == Flaw::Passed).then_some(flaw);
        };
        let found = match at.find_or_null(body) {
            Some(Value::Null) => return None,
            Some(Value::String(text)) if text.is_empty() => None,
            found => found,
        };
        let Some(found) = found else { return self.default.is_none().then_some(Flaw::Absent) };
        Some(match (&self.form, &found) {
            (Form::Iso8601(_, None), Value::String(text)) if text.parse::<DateTime>().is_ok() => {
                Flaw::NoZone
            }
            (Form::Iso8601(_, zone), Value::String(text))
                if super::expiry::iso8601(text, zone.as_ref()).is_some() =>
            {
                Flaw::Passed
            }
            (Form::Epoch(_) | Form::EpochMilliseconds(_), found)
                if answer::lifetime(found).is_some() =>
            {
                Flaw::Passed
            }
            _ => Flaw::Unreadable,
        })
    }
}

impl Form {
    /// Where the end is, unless it is the access token's own.
    fn at(&self) -> Option<&Pointer> {
        match self {
            Self::Seconds(at)
            | Self::Epoch(at)
            | Self::EpochMilliseconds(at)
            | Self::Iso8601(at, _) => Some(at),
            Self::Jwt => None,
        }
    }
}

/// What was said last of a server's answers. It is said anew when it changes, and not with each refresh.
#[derive(Debug)]
pub(super) struct Told(Mutex<Option<Flaw>>);

impl Told {
    pub(super) const fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    pub(super) fn tell(&self, profile: &str, rule: &ExpiryRule, flaw: Option<Flaw>) {
        let before =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), flaw);
        let Some(flaw) = flaw.filter(|flaw| before != Some(*flaw)) else { return };
        let (found, mend) = flaw.told();
        let at = rule.form.at().map(Pointer::as_str);
        let served = match rule.default {
            Some(_) => "the profile's `default` counts",
            None => "it is used until it is refused",
        };
        tracing::warn!(
            target: "token_core::profile",
            profile,
            at,
            found,
            served,
            mend,
            "the answer does not tell when the access token ends"
        );
    }
}
