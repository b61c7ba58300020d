//! What the protocol found, in words: errors for callers, events for listeners.

use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::protocol::{Failure, LoginReason, Note};
use crate::record::DeadReason;
use crate::refresher::{Outcome, RefreshError};
use crate::secret::AccessToken;
use crate::token::{Token, TokenSet};
use crate::version::Version;

use super::inner::{Inner, State};

impl Inner {
    pub(super) fn error(&self, failure: &Failure) -> Error {
        let key = &self.key;
        match failure {
            Failure::NeedsLogin { reason, cause } => {
                self.told(ErrorKind::NeedsLogin, login_message(*reason), cause.as_ref())
            }
            Failure::Refresh(error) => {
                let (kind, advice) = match error.outcome() {
                    Outcome::Configuration => (
                        ErrorKind::Configuration,
                        "it is not asked again by itself; correct what it refuses, then start anew or call `refresh_now`",
                    ),
                    Outcome::InvalidGrant => (
                        ErrorKind::NeedsLogin,
                        "the store could not say whether it was the newest; see that the store works, or log in again",
                    ),
                    Outcome::NotSent | Outcome::Rejected => {
                        (ErrorKind::Unavailable, "it is tried again by itself")
                    }
                    Outcome::Ambiguous => {
                        (ErrorKind::OutcomeUnknown, "it is tried again by itself")
                    }
                };
                let message = format!("{error}; {advice}");
                Error::refresh(key, kind, message, error.clone())
            }
            Failure::OutcomeUnknown { cause, .. } => {
                let message = "a refresh token was sent and what came of it is not known; it is sent again once \
                               nothing can be lost by that, and a login ends the wait";
                self.told(ErrorKind::OutcomeUnknown, message, cause.as_ref())
            }
            Failure::Store(error) => Error::store(
                key,
                format!("{error}; without the store a one-time refresh token is not sent"),
                error.clone(),
            ),
            Failure::NotDurable => Error::new(
                key,
                ErrorKind::Store,
                "the store did not confirm that the intent lasts, so nothing was sent; see that its replicas work; it is \
                 tried again by itself",
            ),
            Failure::Late { took } => Error::new(
                key,
                ErrorKind::Store,
                format!(
                    "the store took {took:.1?} to note the intent, too long to act on it, so nothing was sent; see what \
                     slows the store down (a lock that is held, a disk, a network); it is tried again by itself"
                ),
            ),
            Failure::Interrupted => self.interrupted(),
            Failure::ShutDown => self.shut_down(),
        }
    }

    /// With the endpoint's own words, which may say more of what to do.
    fn told(&self, kind: ErrorKind, message: &'static str, cause: Option<&RefreshError>) -> Error {
        match cause {
            Some(cause) => {
                Error::refresh(&self.key, kind, format!("{message} ({cause})"), cause.clone())
            }
            None => Error::new(&self.key, kind, message),
        }
    }

    /// What listeners hear of a failure.
    pub(super) fn failure_reports(&self, state: &mut State, error: &Error) -> Vec<Event> {
        let mut reports =
            vec![Event::RefreshFailed { error: error.clone(), failures: state.backoff.failures() }];
        let epoch = state.replica.known().map_or(0, |known| known.record.version.epoch());
        if error.needs_login() && state.alarmed != Some(epoch) {
            state.alarmed = Some(epoch);
            reports.push(Event::NeedsLogin { error: error.clone() });
        }
        reports
    }

    /// Why the store has not taken the newest tokens.
    pub(super) fn not_stored(&self) -> Error {
        let what = "the store has not taken the newest tokens, which are served from memory: see that it works, and do not \
                    stop this process before";
        match self.state().store_error.clone() {
            Some(error) => Error::store(&self.key, format!("{what} ({error})"), error),
            None => Error::new(&self.key, ErrorKind::Store, what),
        }
    }

    /// Reports what the protocol noted on its way.
    pub(super) fn report_notes(&self) {
        let notes = self.state().replica.take_notes();
        for note in notes {
            self.events.send(match note {
                Note::SeedTaken(version) => Event::SeedTaken { version },
                Note::Adopted(version) => Event::Adopted { version },
                Note::HolderOverdue => Event::HolderOverdue,
                Note::TakenOver { .. } => Event::TakenOver,
                Note::Settling(at_most) => Event::Settling { at_most },
                Note::RecordRepaired => Event::RecordRepaired,
                Note::CommitDelayed => Event::CommitDelayed { error: self.not_stored() },
                Note::Sibling | Note::Superseded => Event::AnswerDropped,
            });
        }
    }

    /// The token as requests carry it, if they can.
    pub(super) fn usable(
        &self,
        access: &AccessToken,
        tokens: &TokenSet,
        version: Version,
    ) -> Result<Token, Error> {
        let configuration =
            |message: String| Error::new(&self.key, ErrorKind::Configuration, message);
        if let Some(other) = tokens.token_type().filter(|other| !is_bearer(other)) {
            // RFC 6749 §7.1: a client must not use a token whose type it does not understand.
            let shown: String =
                other.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
            return Err(configuration(format!(
                "the authorization server issues tokens of type `{shown}`; only `Bearer` is understood"
            )));
        }
        Token::with_end(access, version, tokens.ends()).map_err(|error| {
            configuration(format!(
                "{error}; check what the token endpoint answers as the access token"
            ))
        })
    }
}

/// RFC 6749 §5.1: compared without case. RFC 8693 §2.2.1 has `N_A` where the type says nothing.
fn is_bearer(token_type: &str) -> bool {
    token_type.eq_ignore_ascii_case("bearer") || token_type.eq_ignore_ascii_case("N_A")
}

fn login_message(reason: LoginReason) -> &'static str {
    match reason {
        LoginReason::NoGrant => {
            "there are no tokens and no seed; log in and call `login`, or configure a seed"
        }
        LoginReason::NoRefreshToken => {
            "the access token was refused, or a newer one was asked for, and there is no refresh token to get one with; bring \
             new tokens by `login` or `update`"
        }
        LoginReason::Ended => {
            "the access token has ended, and there is no refresh token to get the next one with; bring new tokens by \
             `login` or `update`"
        }
        LoginReason::Dead(DeadReason::Refused) => {
            "the authorization server refused the newest refresh token (invalid_grant): it was revoked, it expired or \
             somebody else used it, or a refresh of it whose answer never came did; log in and call `login`, or configure a new seed"
        }
        LoginReason::Dead(DeadReason::OutcomeUnknown) => {
            "a refresh token was sent, what came of it is not known, and the rule for that is to log in again; log in \
             and call `login`, or configure a new seed"
        }
        LoginReason::Dead(DeadReason::LoggedOut) => "somebody logged out; log in and call `login`",
    }
}
