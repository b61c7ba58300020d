//! The authorization server: one live refresh token for each login, and a login that ends when a spent one is presented
//! outside a grace window. The rules are those of `token-testkit`.

use std::time::Duration;

use super::clock::Time;
use crate::token::TokenSet;

/// What becomes of a refresh token that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    Rotate,
    Repeat,
    Omit,
}

/// What a spent refresh token gets while its window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grace {
    SamePair,
    NewPair,
    PreviousOnly,
}

#[derive(Debug)]
pub(super) struct Server {
    rotation: Rotation,
    grace: Option<(Grace, Time)>,
    lifetime: Time,
    pub(super) refresh: Vec<RefreshToken>,
    pub(super) access: Vec<AccessToken>,
    /// Whether each login was revoked.
    pub(super) revoked: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct RefreshToken {
    pub(super) login: usize,
    predecessor: Option<usize>,
    spent: Option<Spent>,
    pub(super) presented: Vec<Presented>,
    /// Whether the store ever had it.
    pub(super) stored: bool,
}

#[derive(Debug)]
struct Spent {
    at: Time,
    answer: usize,
    /// Whether a successor was used.
    succeeded: bool,
}

/// One sending of a refresh token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented {
    pub(super) process: usize,
    pub(super) incarnation: u32,
    pub(super) at: Time,
    /// It is known that the server did nothing.
    pub(super) harmless: bool,
    /// It has arrived, or never will.
    pub(super) over: bool,
}

#[derive(Debug)]
pub(super) struct AccessToken {
    pub(super) refresh: usize,
    pub(super) login: usize,
    pub(super) ends: Time,
    /// When it was asked for: those who hold it count from here.
    pub(super) asked: Time,
    /// The protected resource has refused it.
    pub(super) refused: bool,
}

pub(super) enum Served {
    /// This access token, with its refresh token.
    Answer {
        access: usize,
        in_grace: bool,
    },
    Reuse,
    Revoked,
}

impl Server {
    pub(super) fn new(rotation: Rotation, grace: Option<(Grace, Time)>, lifetime: Time) -> Self {
        Self {
            rotation,
            grace,
            lifetime,
            refresh: Vec::new(),
            access: Vec::new(),
            revoked: Vec::new(),
        }
    }

    /// Somebody has logged in: the first access token.
    pub(super) fn log_in(&mut self, now: Time) -> usize {
        self.revoked.push(false);
        let refresh = self.issue_refresh(self.revoked.len() - 1, None);
        self.issue(refresh, now, now)
    }

    /// Another access token beside the same refresh token, as somebody may bring by hand.
    pub(super) fn issue(&mut self, refresh: usize, asked: Time, now: Time) -> usize {
        let login = self.refresh[refresh].login;
        let ends = now + self.lifetime;
        self.access.push(AccessToken { refresh, login, ends, asked, refused: false });
        self.access.len() - 1
    }

    fn issue_refresh(&mut self, login: usize, predecessor: Option<usize>) -> usize {
        self.refresh.push(RefreshToken {
            login,
            predecessor,
            spent: None,
            presented: Vec::new(),
            stored: false,
        });
        self.refresh.len() - 1
    }

    /// What a refresh token gets that was sent at `asked`.
    pub(super) fn serve(&mut self, presented: usize, asked: Time, now: Time) -> Served {
        let login = self.refresh[presented].login;
        if self.revoked[login] {
            return Served::Revoked;
        }
        let in_grace = self.is_spent(presented);
        if in_grace && !self.accepts_again(presented, now) {
            self.revoked[login] = true;
            return Served::Reuse;
        }
        if let (Some((Grace::SamePair, _)), Some(spent)) =
            (self.grace, &self.refresh[presented].spent)
        {
            return Served::Answer { access: spent.answer, in_grace };
        }
        let next = match self.rotation {
            Rotation::Rotate => self.issue_refresh(login, Some(presented)),
            Rotation::Repeat | Rotation::Omit => presented,
        };
        let answer = self.issue(next, asked, now);
        let predecessor = self.refresh[presented].predecessor;
        if let Some(spent) = predecessor.and_then(|token| self.refresh[token].spent.as_mut()) {
            spent.succeeded = true;
        }
        if next != presented && !in_grace {
            self.refresh[presented].spent = Some(Spent { at: now, answer, succeeded: false });
        }
        Served::Answer { access: answer, in_grace }
    }

    /// The tokens as the server answers them, or a login brings them.
    pub(super) fn tokens(&self, access: usize, answer: bool) -> TokenSet {
        let tokens =
            TokenSet::new(access.to_string()).with_expires_in(Duration::from_micros(self.lifetime));
        if answer && self.rotation == Rotation::Omit {
            return tokens;
        }
        tokens.with_refresh_token(self.access[access].refresh.to_string())
    }

    pub(super) fn is_spent(&self, refresh: usize) -> bool {
        self.refresh[refresh].spent.is_some()
    }

    /// Whether it can still be exchanged, by whoever has it.
    pub(super) fn is_live(&self, refresh: usize) -> bool {
        !self.is_spent(refresh) && !self.revoked[self.refresh[refresh].login]
    }

    /// Whether a spent refresh token would be accepted.
    pub(super) fn accepts_again(&self, refresh: usize, now: Time) -> bool {
        let (Some((grace, window)), Some(spent)) = (self.grace, &self.refresh[refresh].spent)
        else {
            return false;
        };
        now < spent.at + window && (grace != Grace::PreviousOnly || !spent.succeeded)
    }

    /// Whether the protected resource takes this access token.
    pub(super) fn accepts(&self, access: usize, now: Time) -> bool {
        let token = &self.access[access];
        now < token.ends && !token.refused && !self.revoked[token.login]
    }

    pub(super) fn revoke_access(&mut self) {
        for token in &mut self.access {
            token.refused = true;
        }
    }
}

/// The number of a refresh token.
pub(super) fn refresh_of(tokens: &TokenSet) -> Option<usize> {
    tokens.refresh_token()?.expose_secret().parse().ok()
}

/// The number of an access token.
pub(super) fn access_of(tokens: &TokenSet) -> Option<usize> {
    tokens.access_token()?.expose_secret().parse().ok()
}
