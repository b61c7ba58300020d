//! What an answer means, by a profile: what the profile says, and RFC 6749 for all that it does not say. Pure.

use std::time::SystemTime;

use bytes::Bytes;
use http::{Response, StatusCode};

use super::super::answer::{PAGE, is_page};
use super::super::refusal::{refused, refused_login};
use super::super::retry_after::{answered_at, retry_after};
use super::condition::Expected;
use super::description::{AnswerRule, Ask, Description, Refusal};
use super::pointer::{self, Pointer};
use super::unknown_end::Told;
use crate::refresher::{Outcome, RefreshError};
use crate::secret::AccessToken;
use crate::token::TokenSet;

impl Description {
    /// Reads the answer to this request.
    pub(super) fn read(
        &self,
        ask: Ask,
        answer: &Response<Bytes>,
        now: SystemTime,
    ) -> Result<TokenSet, RefreshError> {
        let text = String::from_utf8_lossy(answer.body());
        let text = text.as_ref();
        let status = answer.status();
        if let Some(refusal) = self.refusals.iter().find(|refusal| refusal.fits(ask, answer, text))
        {
            return Err(refusal.error(ask, answer, text, now));
        }
        let code = Pointer::to_field("error").find_text(text);
        let succeeded = match &self.success {
            Some(success) => success.holds(status, answer.headers(), text),
            None => code.is_none(),
        };
        // A status that a profile names as a success is one, whatever it is.
        let named = self.success.as_ref().is_some_and(|success| !success.status.is_empty());
        if succeeded && (named || status.is_success()) {
            // What breaks off may break off before the refresh token.
            let tokens = pointer::is_whole(text)
                .then(|| self.answer.tokens(text, answered_at(answer.headers())));
            return tokens
                .flatten()
                .ok_or_else(|| self.unreadable(answer, text, || self.without_token()));
        }
        if status.is_success() && code.is_none() {
            return Err(self.failed_success(answer, text));
        }
        let error = refused(answer, code.as_deref(), self.stake(ask), now);
        let login = (ask == Ask::Login).then(|| refused_login(status, code.as_deref())).flatten();
        Err(login.unwrap_or(error))
    }

    /// Logs why an answer that brought these tokens does not tell when they end, unless that was [told](Told) before.
    pub(super) fn tell_unknown_end(
        &self,
        answer: &Response<Bytes>,
        tokens: &TokenSet,
        told: &Told,
    ) {
        let text = String::from_utf8_lossy(answer.body());
        let access_token = tokens.access_token().map_or("", AccessToken::expose_secret);
        let rule = &self.answer.expires;
        let flaw = rule.flaw(&text, access_token, answered_at(answer.headers()));
        told.tell(&self.name, rule, flaw);
    }

    /// A 2xx that is not what the profile calls a success.
    fn failed_success(&self, answer: &Response<Bytes>, text: &str) -> RefreshError {
        let test = self.success.as_ref().and_then(|success| success.json.as_ref());
        let failed = test.filter(|test| !test.holds(text));
        let wanted = match failed {
            Some(test) => {
                let at = test.at.as_str();
                let is_there = matches!(test.expected, Expected::OneOf(_) | Expected::NoneOf(_))
                    && test.at.find(text).is_some();
                if is_there && pointer::is_whole(text) {
                    let shown =
                        test.shown(text).map(|code| format!(" ({at} {code})")).unwrap_or_default();
                    return RefreshError::rejected(format!(
                        "the token endpoint refused the request in an answer of its own kind: `success` names other values \
                         for `{at}`{shown}"
                    ))
                    .with_status(answer.status());
                }
                format!("a value at `{at}`, and there is none")
            }
            None => "another status, header or redirect".to_owned(),
        };
        self.unreadable(answer, text, || {
            format!(
                "the token endpoint's answer is not what the profile calls a success: `success` asks for {wanted}"
            )
        })
    }

    /// An answer that neither refuses nor brings tokens: nobody knows what the server did. `why` is told of one that is whole.
    fn unreadable(
        &self,
        answer: &Response<Bytes>,
        text: &str,
        why: impl FnOnce() -> String,
    ) -> RefreshError {
        let message = if is_page(answer) {
            PAGE.to_owned()
        } else if let Some(flaw) = pointer::flaw(text) {
            format!("the token endpoint's answer {flaw}")
        } else {
            why()
        };
        RefreshError::ambiguous(message).with_status(answer.status())
    }

    fn without_token(&self) -> String {
        format!(
            "the token endpoint answered without an access token that can be read at `{}`",
            self.answer.access_token.as_str()
        )
    }
}

impl AnswerRule {
    fn tokens(&self, text: &str, answered: Option<SystemTime>) -> Option<TokenSet> {
        let access_token = self.access_token.find_text(text)?;
        let expires = self.expires.read(text, &access_token, answered);
        let mut tokens = TokenSet::new(access_token);
        tokens.expires = expires;
        if let Some(refresh_token) = self.refresh_token.find_text(text) {
            tokens = tokens.with_refresh_token(refresh_token);
        }
        if let Some(token_type) = self.token_type.find_text(text) {
            tokens = tokens.with_token_type(token_type);
        }
        if let Some(scope) = self.scope.find_text(text) {
            tokens = tokens.with_scope(scope);
        }
        for (name, at) in &self.extra {
            if let Some(value) = at.find(text) {
                tokens = tokens.with_extra(name, value);
            }
        }
        Some(tokens)
    }
}

impl Refusal {
    /// A condition that names no status says nothing of a server that fails, or that asks for fewer requests.
    fn fits(&self, ask: Ask, answer: &Response<Bytes>, text: &str) -> bool {
        let status = answer.status();
        let silent = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        self.of.is_none_or(|of| of == ask)
            && (!silent || !self.when.status.is_empty())
            && self.when.holds(status, answer.headers(), text)
    }

    fn error(
        &self,
        ask: Ask,
        answer: &Response<Bytes>,
        text: &str,
        now: SystemTime,
    ) -> RefreshError {
        let outcome = match self.outcome {
            // There is no grant yet that could be invalid.
            Outcome::InvalidGrant if ask == Ask::Login => Outcome::Configuration,
            outcome => outcome,
        };
        let mut message = self.message.clone().unwrap_or_else(|| {
            match outcome {
                Outcome::InvalidGrant => "the token endpoint refused the refresh token",
                Outcome::Configuration => "the token endpoint refused the credentials",
                Outcome::Ambiguous => "the token endpoint failed",
                Outcome::Rejected | Outcome::NotSent => "the token endpoint refused the request",
            }
            .to_owned()
        });
        if let Some(test) = &self.when.json
            && let Some(code) = test.shown(text)
        {
            message.push_str(&format!(" ({} {code})", test.at.as_str()));
        }
        let mut error = RefreshError::new(outcome, message).with_status(answer.status());
        if let Some(wait) = retry_after(answer.headers(), now) {
            error = error.with_retry_after(wait);
        }
        error
    }
}
