//! Judges a document: every mistake is found here, with its line and its mend, and none later.

use std::ops::Range;

use http::header::AUTHORIZATION;
use jiff::tz::TimeZone;
use toml::Spanned;

use super::description::{AnswerRule, ApiRule, Current, Description, Refusal, Url};
use super::document::{
    AnswerTable, ApiTable, Document, ExpiresTable, ExpiryForm, GraceKind, OutcomeWord, RefusalTable,
};
use super::expiry::{ExpiryRule, Form};
use super::literal;
use super::pointer::Pointer;
use super::{duration, url};
use crate::config_error::ConfigError;
use crate::http::Scheme;
use crate::key::TokenKey;
use crate::protocol::GraceWindow;
use crate::refresher::Outcome;

mod condition;
mod request;

/// Reads and judges a profile.
pub(super) fn load(text: &str) -> Result<Description, ConfigError> {
    let loader = Loader { text };
    let document = toml::from_str(text).map_err(|error: toml::de::Error| {
        let span = error.span().unwrap_or_default();
        let message = match (error.message(), text.get(span.clone())) {
            // A key is no value, and is what is looked for.
            ("duplicate key", Some(key)) => {
                format!("duplicate key `{}`; leave one of them out", key.trim())
            }
            (message, _) => literal::without_values(message),
        };
        loader.error(span, message)
    })?;
    loader.description(document)
}

struct Loader<'a> {
    text: &'a str,
}

type Loaded<T> = Result<T, ConfigError>;

impl Loader<'_> {
    fn description(&self, document: Document) -> Loaded<Description> {
        let name_span = document.name.span();
        let name = document.name.into_inner();
        if TokenKey::new(&name).is_err() {
            return Err(self.error(
                name_span,
                "a profile's name has the characters A-Z a-z 0-9 . _ - only, at most 256",
            ));
        }
        let even_http = document.even_http;
        let base_url = document
            .base_url
            .map(|base| {
                url::check_base(base.get_ref(), even_http)
                    .map_err(|mend| self.error(base.span(), mend))?;
                Ok(base.into_inner())
            })
            .transpose()?;
        let login = document.login.map(|table| self.login(table, even_http)).transpose()?;
        let refresh = document.refresh.map(|table| self.refresh(table, even_http)).transpose()?;
        if login.is_none() && refresh.is_none() {
            return Err(self.error(
                name_span,
                "the profile asks for nothing; add `[refresh]`, `[login]`, or both",
            ));
        }
        let once = refresh.as_ref().is_some_and(|refresh| refresh.presents(Current::RefreshToken));
        let reusable = match document.refresh_token.reusable {
            Some(reusable) if !once => {
                return Err(self.error(
                    reusable.span(),
                    "`[refresh]` presents no refresh token; leave `reusable` out",
                ));
            }
            reusable => reusable.is_some_and(Spanned::into_inner),
        };
        let grace_window = match document.refresh_token.grace_window {
            Some(grace) if !once || reusable => {
                return Err(self.error(
                    grace.span(),
                    "a grace window is for a refresh token that may be used once, and there is none; leave it out",
                ));
            }
            Some(grace) => {
                let grace = grace.into_inner();
                let length = self.checked(&grace.length, duration::parse)?;
                Some(match grace.kind {
                    GraceKind::SamePair => GraceWindow::same_pair(length),
                    GraceKind::NewPair => GraceWindow::new_pair(length),
                    GraceKind::PreviousOnly => GraceWindow::previous_only(length),
                })
            }
            None => None,
        };
        let schedule = document.schedule;
        let time = |text: Option<Spanned<String>>| {
            text.map(|text| self.checked(&text, duration::parse)).transpose()
        };
        Ok(Description {
            name,
            base_url,
            even_http,
            login,
            refresh,
            reusable,
            grace_window,
            answer: self.answer(document.answer)?,
            success: document.success.map(|table| self.condition(table)).transpose()?,
            refusals: document
                .refusal
                .into_iter()
                .map(|table| self.refusal(table))
                .collect::<Loaded<_>>()?,
            refresh_before: time(schedule.refresh_before)?,
            every: time(schedule.every)?,
            api: self.api(document.api, even_http)?,
        })
    }

    fn answer(&self, table: AnswerTable) -> Loaded<AnswerRule> {
        let pointer = |text: Option<Spanned<String>>, standard: &str| match text {
            Some(text) => self.checked(&text, Pointer::parse),
            None => Ok(Pointer::to_field(standard)),
        };
        Ok(AnswerRule {
            access_token: pointer(table.access_token, "access_token")?,
            refresh_token: pointer(table.refresh_token, "refresh_token")?,
            token_type: pointer(table.token_type, "token_type")?,
            scope: pointer(table.scope, "scope")?,
            expires: self.expires(table.expires)?,
            extra: table
                .extra
                .into_iter()
                .map(|(name, at)| Ok((name, self.checked(&at, Pointer::parse)?)))
                .collect::<Loaded<_>>()?,
        })
    }

    fn expires(&self, table: ExpiresTable) -> Loaded<ExpiryRule> {
        let default = table.default.map(|text| self.checked(&text, duration::parse)).transpose()?;
        let form = table.form.as_ref().map_or(ExpiryForm::Seconds, |form| *form.get_ref());
        let form_span = table.form.as_ref().map(Spanned::span).unwrap_or_default();
        if let Some(zone) = table.zone.as_ref().filter(|_| form != ExpiryForm::Iso8601) {
            return Err(
                self.error(zone.span(), "a zone is for times of the form `iso8601`; leave it out")
            );
        }
        if let Some(at) = table.at.as_ref().filter(|_| form == ExpiryForm::Jwt) {
            return Err(self.error(
                at.span(),
                "the end of a `jwt` is in the access token itself; leave `at` out",
            ));
        }
        let zone = table.zone.map(|name| self.checked(&name, zone)).transpose()?;
        let at = match table.at {
            Some(at) => self.checked(&at, Pointer::parse)?,
            None if matches!(form, ExpiryForm::Seconds | ExpiryForm::Jwt) => {
                Pointer::to_field("expires_in")
            }
            None => return Err(self.error(form_span, "add `at`, the JSON pointer to the time")),
        };
        let form = match form {
            ExpiryForm::Seconds => Form::Seconds(at),
            ExpiryForm::Epoch => Form::Epoch(at),
            ExpiryForm::EpochMilliseconds => Form::EpochMilliseconds(at),
            ExpiryForm::Iso8601 => Form::Iso8601(at, zone),
            ExpiryForm::Jwt => Form::Jwt,
        };
        Ok(ExpiryRule { form, default })
    }

    fn refusal(&self, table: RefusalTable) -> Loaded<Refusal> {
        if let Some(message) = &table.message
            && (message.get_ref().is_empty() || message.get_ref().chars().any(char::is_control))
        {
            return Err(self.error(message.span(), "a message is one line of text, for a log"));
        }
        Ok(Refusal {
            of: table.of,
            when: self.condition(table.when)?,
            outcome: match table.outcome {
                OutcomeWord::Rejected => Outcome::Rejected,
                OutcomeWord::InvalidGrant => Outcome::InvalidGrant,
                OutcomeWord::Configuration => Outcome::Configuration,
                OutcomeWord::Ambiguous => Outcome::Ambiguous,
            },
            message: table.message.map(Spanned::into_inner),
        })
    }

    fn api(&self, table: ApiTable, even_http: bool) -> Loaded<ApiRule> {
        let header = match &table.header {
            Some(name) => self.own_header_name(name.get_ref(), &name.span())?,
            None => AUTHORIZATION,
        };
        let scheme = match &table.scheme {
            None => Scheme::BEARER,
            Some(name) if name.get_ref().is_empty() => Scheme::RAW,
            Some(name) if name.get_ref() == "Bearer" => Scheme::BEARER,
            Some(name) => Scheme::named(name.get_ref().clone())
                .map_err(|error| self.error(name.span(), error.to_string()))?,
        };
        Ok(ApiRule {
            header,
            scheme,
            probe: table.probe.map(|probe| self.url(probe, even_http)).transpose()?,
            refused: table
                .refused
                .into_iter()
                .map(|table| self.condition(table))
                .collect::<Loaded<_>>()?,
        })
    }

    fn url(&self, text: Spanned<String>, even_http: bool) -> Loaded<Url> {
        url::parse(text.get_ref(), even_http).map_err(|mend| self.error(text.span(), mend))
    }

    fn checked<T>(
        &self,
        text: &Spanned<String>,
        check: impl Fn(&str) -> Result<T, String>,
    ) -> Loaded<T> {
        check(text.get_ref()).map_err(|mend| self.error(text.span(), mend))
    }

    fn error(&self, span: Range<usize>, mend: impl std::fmt::Display) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        ConfigError::new(format!("the profile is wrong in line {line}: {mend}"))
    }
}

/// The zone of this name, for [`Profile::with_zone`](super::Profile::with_zone) too; the error is the mend.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        format!("there is no time zone {name:?}; use a name of the IANA's list, such as \"Europe/Berlin\" or \"UTC\"")
    })
}
