//! Every token there is, and what it is worth now. Pure: time comes in as an argument.

use std::{collections::HashMap, time::Duration};

use crate::{Fingerprint, mint::Mint, policy::Policy};

mod refresh;

/// What one grant or one refresh gave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Issued {
    pub(crate) family: u64,
    /// The family's newest refresh token.
    pub(crate) generation: u64,
    pub(crate) access: String,
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh: Option<String>,
    pub(crate) refresh_lifetime: Option<Duration>,
    /// The presented token had been spent before: a grace window let it pass.
    pub(crate) in_grace: bool,
}

/// The families and their tokens. Times are since the server's start.
pub(crate) struct Tokens {
    mint: Mint,
    families: Vec<Family>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
    /// Access tokens of an earlier era are refused: revoking them all costs one increment.
    era: u64,
}

struct Family {
    client: String,
    revoked: bool,
    /// Generation of the refresh token that was issued last: each has a number of its own.
    newest: u64,
    /// How many access tokens were issued.
    issues: u64,
    /// Access tokens issued before this one are refused.
    valid_from: u64,
}

struct AccessToken {
    family: u64,
    issue: u64,
    era: u64,
    expires: Duration,
    fingerprint: Fingerprint,
}

struct RefreshToken {
    family: u64,
    generation: u64,
    expires: Option<Duration>,
    /// The token that was exchanged for this one.
    predecessor: Option<String>,
    spent: Option<Spent>,
}

/// A refresh token that was exchanged for another.
struct Spent {
    /// When it was first exchanged.
    at: Duration,
    /// What it was exchanged for first.
    answer: Issued,
    /// One of its successors has been used.
    succeeded: bool,
}

impl Tokens {
    pub(crate) fn new(mint: Mint) -> Self {
        Self { mint, families: Vec::new(), access: HashMap::new(), refresh: HashMap::new(), era: 0 }
    }

    /// Opens a family with a refresh token: somebody has logged in.
    pub(crate) fn sign_in(&mut self, policy: &Policy, client: &str, now: Duration) -> Issued {
        let family = self.open_family(client);
        let refresh = self.issue_refresh(policy, family, 0, None, now);
        self.issue_access(policy, family, 0, Some(refresh), now)
    }

    /// Opens a family that has no refresh token: the client acts for itself (RFC 6749 §4.4.3).
    pub(crate) fn client_credentials(
        &mut self,
        policy: &Policy,
        client: &str,
        now: Duration,
    ) -> Issued {
        let family = self.open_family(client);
        self.issue_access(policy, family, 0, None, now)
    }

    /// The fingerprint of an access token that is valid now.
    pub(crate) fn check_access(&self, token: &str, now: Duration) -> Option<Fingerprint> {
        let token = self.access.get(token)?;
        let family = self.families.get(index(token.family))?;
        let valid = !family.revoked
            && token.era == self.era
            && token.issue >= family.valid_from
            && now < token.expires;
        valid.then_some(token.fingerprint)
    }

    /// Family and generation of a refresh token, whatever it is worth now.
    pub(crate) fn lineage(&self, refresh_token: &str) -> Option<(u64, u64)> {
        self.refresh.get(refresh_token).map(|token| (token.family, token.generation))
    }

    /// Refuses every access token issued so far.
    pub(crate) fn revoke_access_tokens(&mut self) {
        self.era += 1;
    }

    /// Ends the family of a token of either kind. False if there is none or it had ended before.
    pub(crate) fn revoke_family_of(&mut self, token: &str) -> bool {
        let number = self
            .refresh
            .get(token)
            .map(|token| token.family)
            .or_else(|| self.access.get(token).map(|token| token.family));
        match number.and_then(|number| self.families.get_mut(index(number))) {
            Some(family) => !std::mem::replace(&mut family.revoked, true),
            None => false,
        }
    }

    fn open_family(&mut self, client: &str) -> u64 {
        self.families.push(Family {
            client: client.to_owned(),
            revoked: false,
            newest: 0,
            issues: 0,
            valid_from: 0,
        });
        self.families.len() as u64 - 1
    }

    fn issue_refresh(
        &mut self,
        policy: &Policy,
        family: u64,
        generation: u64,
        predecessor: Option<String>,
        now: Duration,
    ) -> String {
        let token = self.mint.refresh_token();
        let expires = policy.refresh_lifetime.map(|lifetime| now.saturating_add(lifetime));
        self.refresh.insert(
            token.clone(),
            RefreshToken { family, generation, expires, predecessor, spent: None },
        );
        token
    }

    fn issue_access(
        &mut self,
        policy: &Policy,
        family: u64,
        generation: u64,
        refresh: Option<String>,
        now: Duration,
    ) -> Issued {
        let issue = self.families.get_mut(index(family)).map_or(0, |family| {
            family.issues += 1;
            family.issues
        });
        let access = self.mint.access_token();
        self.access.insert(
            access.clone(),
            AccessToken {
                family,
                issue,
                era: self.era,
                expires: now.saturating_add(policy.access_lifetime),
                fingerprint: Fingerprint::of(&access),
            },
        );
        Issued {
            family,
            generation,
            access,
            access_lifetime: policy.access_lifetime,
            refresh_lifetime: refresh.as_ref().and(policy.refresh_lifetime),
            refresh,
            in_grace: false,
        }
    }
}

/// A family's number is its place in the list.
fn index(family: u64) -> usize {
    usize::try_from(family).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
