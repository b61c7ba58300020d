//! Every token there is, and what it is worth now. Pure: time comes in as an argument.

use std::{collections::HashMap, time::Duration};

use crate::{
    Fingerprint,
    mint::Mint,
    policy::{Policy, Renewal},
};

mod code;
mod refresh;

use code::Code;
pub(crate) use code::{Authorized, Redeemed};

/// For whom a family is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Holder {
    /// Who alone may refresh. `None`: nobody is asked who they are.
    pub(crate) client: Option<String>,
    /// Who must be active for it to go on.
    pub(crate) user: Option<String>,
    pub(crate) location: Option<String>,
    /// Its refresh token is a service token.
    pub(crate) service: bool,
}

impl From<&str> for Holder {
    fn from(client: &str) -> Self {
        Self { client: Some(client.to_owned()), ..Self::default() }
    }
}

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
    pub(crate) location: Option<String>,
}

/// The families and their tokens. Times are since the server's start.
pub(crate) struct Tokens {
    mint: Mint,
    families: Vec<Family>,
    access: HashMap<String, AccessToken>,
    refresh: HashMap<String, RefreshToken>,
    codes: HashMap<String, Code>,
    /// Access tokens of an earlier era are refused: revoking them all costs one increment.
    era: u64,
}

struct Family {
    holder: Holder,
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
        Self {
            mint,
            families: Vec::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            codes: HashMap::new(),
            era: 0,
        }
    }

    /// Opens a family: somebody has logged in.
    pub(crate) fn sign_in(
        &mut self,
        policy: &Policy,
        holder: impl Into<Holder>,
        now: Duration,
    ) -> Issued {
        let family = self.open_family(policy, holder.into());
        self.issue(policy, family, 0, None, now)
    }

    /// Opens a family that has no refresh token: the client acts for itself (RFC 6749 §4.4.3).
    pub(crate) fn client_credentials(
        &mut self,
        policy: &Policy,
        client: &str,
        now: Duration,
    ) -> Issued {
        let family = self.open_family(policy, client.into());
        self.issue_access(policy, family, 0, None, now)
    }

    /// Opens a family of a service token: one that is good at the API, and gets access tokens, as long as it lives. `None`
    /// is for ever.
    pub(crate) fn service_token(
        &mut self,
        policy: &Policy,
        user: &str,
        lifetime: Option<Duration>,
        now: Duration,
    ) -> Issued {
        let policy = Policy {
            renewal: Renewal::Itself,
            access_lifetime: lifetime.unwrap_or(Duration::MAX),
            refresh_lifetime: lifetime,
            ..policy.clone()
        };
        let holder = Holder { user: Some(user.to_owned()), service: true, ..Holder::default() };
        self.sign_in(&policy, holder, now)
    }

    /// For whom the family of this refresh or access token is, whatever it is worth now.
    pub(crate) fn holder(&self, token: &str) -> Option<&Holder> {
        let family = self.families.get(index(self.family_of(token)?))?;
        Some(&family.holder)
    }

    /// Whether both are tokens of one family, whatever they are worth now.
    pub(crate) fn are_related(&self, token: &str, other: &str) -> bool {
        self.family_of(token).is_some_and(|family| self.family_of(other) == Some(family))
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
        self.family_of(token).is_some_and(|family| self.revoke(family))
    }

    fn family_of(&self, token: &str) -> Option<u64> {
        let refresh = self.refresh.get(token).map(|token| token.family);
        refresh.or_else(|| self.access.get(token).map(|token| token.family))
    }

    /// False if it had ended before.
    fn revoke(&mut self, family: u64) -> bool {
        let family = self.families.get_mut(index(family));
        family.is_some_and(|family| !std::mem::replace(&mut family.revoked, true))
    }

    fn open_family(&mut self, policy: &Policy, mut holder: Holder) -> u64 {
        let number = self.families.len() as u64;
        if policy.locations {
            holder.location.get_or_insert_with(|| format!("kit-location-{number}"));
        }
        self.families.push(Family { holder, revoked: false, newest: 0, issues: 0, valid_from: 0 });
        number
    }

    /// An access token, and what renews it.
    fn issue(
        &mut self,
        policy: &Policy,
        family: u64,
        generation: u64,
        predecessor: Option<String>,
        now: Duration,
    ) -> Issued {
        let refresh = match policy.renewal {
            Renewal::RefreshToken => Some(self.mint.refresh_token()),
            Renewal::Itself | Renewal::Login => None,
        };
        let mut issued = self.issue_access(policy, family, generation, refresh, now);
        if policy.renewal == Renewal::Itself {
            issued.refresh = Some(issued.access.clone());
            issued.refresh_lifetime = policy.refresh_lifetime;
        }
        if let Some(token) = issued.refresh.clone() {
            let expires = policy.refresh_lifetime.map(|lifetime| now.saturating_add(lifetime));
            self.refresh.insert(
                token,
                RefreshToken { family, generation, expires, predecessor, spent: None },
            );
        }
        issued
    }

    fn issue_access(
        &mut self,
        policy: &Policy,
        family: u64,
        generation: u64,
        refresh: Option<String>,
        now: Duration,
    ) -> Issued {
        let expires = now.saturating_add(policy.access_lifetime);
        // Every family that is issued for is in the list.
        let (issue, holder) = match self.families.get_mut(index(family)) {
            Some(family) => {
                family.issues += 1;
                (family.issues, family.holder.clone())
            }
            None => (0, Holder::default()),
        };
        let access = if policy.jwt {
            // What a service token gets is an access token like any other.
            let is_service = holder.service && policy.renewal == Renewal::Itself;
            let kind = if is_service { "service" } else { "access" };
            let user = holder.user.as_deref().unwrap_or_default();
            self.mint.jwt(user, kind, now, expires, policy.date_skew)
        } else {
            self.mint.access_token()
        };
        self.access.insert(
            access.clone(),
            AccessToken {
                family,
                issue,
                era: self.era,
                expires,
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
            location: holder.location,
        }
    }
}

/// A family's number is its place in the list.
fn index(family: u64) -> usize {
    usize::try_from(family).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
