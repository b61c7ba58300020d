//! Every token there is, and what it is worth now. Pure: time comes in as an argument.

use std::{collections::HashMap, time::Duration};

use crate::{Fingerprint, Rotation, mint::Mint, policy::Policy, refusal::Refusal};

/// What one grant or one refresh gave.
pub(crate) struct Issued {
    pub(crate) family: u64,
    /// The family's newest refresh token.
    pub(crate) generation: u64,
    pub(crate) access: String,
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh: Option<String>,
    pub(crate) refresh_lifetime: Option<Duration>,
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
    /// Generation of the one refresh token that may be presented.
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
}

impl Tokens {
    pub(crate) fn new(mint: Mint) -> Self {
        Self { mint, families: Vec::new(), access: HashMap::new(), refresh: HashMap::new(), era: 0 }
    }

    /// Opens a family with a refresh token: somebody has logged in.
    pub(crate) fn sign_in(&mut self, policy: &Policy, client: &str, now: Duration) -> Issued {
        let family = self.open_family(client);
        let refresh = self.issue_refresh(policy, family, 0, now);
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

    /// Exchanges a refresh token, or ends its family if it was exchanged before.
    pub(crate) fn refresh(
        &mut self,
        policy: &Policy,
        client: &str,
        presented: &str,
        now: Duration,
    ) -> Result<Issued, Refusal> {
        let Some((token, family)) = self.refresh.get_mut(presented).and_then(|token| {
            let family = self.families.get_mut(index(token.family))?;
            Some((token, family))
        }) else {
            return Err(Refusal::InvalidGrant("the refresh token is unknown"));
        };
        // Another client's mistake must not cost the owner its family.
        if family.client != client {
            return Err(Refusal::InvalidGrant("the refresh token is another client's"));
        }
        if family.revoked {
            return Err(Refusal::InvalidGrant("the refresh token is revoked"));
        }
        // RFC 9700 §4.14.2. Before expiry: an expired token that was spent is still a sign of theft.
        if token.generation < family.newest {
            family.revoked = true;
            return Err(Refusal::ReuseDetected);
        }
        if token.expires.is_some_and(|expires| now >= expires) {
            return Err(Refusal::InvalidGrant("the refresh token has expired"));
        }

        let number = token.family;
        let (generation, refresh) = match policy.rotation {
            Rotation::Rotate => {
                family.newest += 1;
                let generation = family.newest;
                (generation, Some(self.issue_refresh(policy, number, generation, now)))
            }
            Rotation::Repeat => {
                token.expires =
                    policy.refresh_lifetime.map(|lifetime| now.saturating_add(lifetime));
                (token.generation, Some(presented.to_owned()))
            }
            Rotation::Omit => (token.generation, None),
        };
        let issued = self.issue_access(policy, number, generation, refresh, now);
        if policy.revoke_on_refresh
            && let Some(family) = self.families.get_mut(index(number))
        {
            family.valid_from = family.issues;
        }
        Ok(issued)
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
        now: Duration,
    ) -> String {
        let token = self.mint.refresh_token();
        let expires = policy.refresh_lifetime.map(|lifetime| now.saturating_add(lifetime));
        self.refresh.insert(token.clone(), RefreshToken { family, generation, expires });
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
        }
    }
}

/// A family's number is its place in the list.
fn index(family: u64) -> usize {
    usize::try_from(family).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const NOW: Duration = Duration::from_secs(10);

    fn policy() -> Policy {
        Policy { access_lifetime: HOUR, ..Policy::default() }
    }

    fn tokens() -> Tokens {
        Tokens::new(Mint::new([7; 32]))
    }

    fn refresh_of(issued: &Issued) -> String {
        issued.refresh.clone().unwrap()
    }

    #[test]
    fn each_refresh_is_one_generation_up_and_earlier_access_tokens_live_on() {
        let mut tokens = tokens();
        let login = tokens.sign_in(&policy(), "a", NOW);
        assert_eq!(login.generation, 0);
        let first = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();
        let second = tokens.refresh(&policy(), "a", &refresh_of(&first), NOW).ok().unwrap();
        assert_eq!((first.generation, second.generation), (1, 2));
        assert_eq!(tokens.lineage(&refresh_of(&second)), Some((login.family, 2)));
        for issued in [&login, &first, &second] {
            assert_eq!(
                tokens.check_access(&issued.access, NOW),
                Some(Fingerprint::of(&issued.access))
            );
        }
    }

    #[test]
    fn reuse_ends_the_family_and_no_other() {
        let mut tokens = tokens();
        let other = tokens.sign_in(&policy(), "a", NOW);
        let login = tokens.sign_in(&policy(), "a", NOW);
        let first = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();

        let reuse = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).err();
        assert_eq!(reuse, Some(Refusal::ReuseDetected));
        for issued in [&login, &first] {
            assert_eq!(tokens.check_access(&issued.access, NOW), None);
            let refused = tokens.refresh(&policy(), "a", &refresh_of(issued), NOW).err();
            assert!(matches!(refused, Some(Refusal::InvalidGrant(_))));
        }
        assert!(tokens.check_access(&other.access, NOW).is_some());
        assert!(tokens.refresh(&policy(), "a", &refresh_of(&other), NOW).is_ok());
    }

    #[test]
    fn another_client_is_refused_and_harms_nobody() {
        let mut tokens = tokens();
        let login = tokens.sign_in(&policy(), "a", NOW);
        tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();
        let refused = tokens.refresh(&policy(), "b", &refresh_of(&login), NOW).err();
        assert!(matches!(refused, Some(Refusal::InvalidGrant(_))));
        assert!(tokens.check_access(&login.access, NOW).is_some());
    }

    #[test]
    fn tokens_end_at_their_expiry_not_after_it() {
        let mut tokens = tokens();
        let policy = Policy { refresh_lifetime: Some(HOUR * 2), ..policy() };
        let login = tokens.sign_in(&policy, "a", NOW);
        let tick = Duration::from_nanos(1);
        assert!(tokens.check_access(&login.access, NOW + HOUR - tick).is_some());
        assert!(tokens.check_access(&login.access, NOW + HOUR).is_none());
        let refused = tokens.refresh(&policy, "a", &refresh_of(&login), NOW + HOUR * 2).err();
        assert!(matches!(refused, Some(Refusal::InvalidGrant(_))));
        assert!(
            tokens.refresh(&policy, "a", &refresh_of(&login), NOW + HOUR * 2 - tick).is_ok(),
            "a refusal spends nothing"
        );
    }

    #[test]
    fn the_longest_lifetime_does_not_overflow() {
        let mut tokens = tokens();
        let policy = Policy {
            access_lifetime: Duration::MAX,
            refresh_lifetime: Some(Duration::MAX),
            ..policy()
        };
        let login = tokens.sign_in(&policy, "a", NOW);
        assert!(tokens.check_access(&login.access, NOW).is_some());
        assert!(tokens.refresh(&policy, "a", &refresh_of(&login), NOW).is_ok());
    }

    #[test]
    fn a_server_that_repeats_or_omits_refreshes_for_ever() {
        for rotation in [Rotation::Repeat, Rotation::Omit] {
            let mut tokens = tokens();
            let policy = Policy { rotation, ..policy() };
            let login = tokens.sign_in(&policy, "a", NOW);
            for _ in 0..100 {
                let issued = tokens.refresh(&policy, "a", &refresh_of(&login), NOW).ok().unwrap();
                assert_eq!(issued.generation, 0);
                let expected = (rotation == Rotation::Repeat).then(|| refresh_of(&login));
                assert_eq!(issued.refresh, expected);
            }
        }
    }

    #[test]
    fn a_refresh_can_revoke_what_was_issued_before() {
        let mut tokens = tokens();
        let policy = Policy { revoke_on_refresh: true, ..policy() };
        let login = tokens.sign_in(&policy, "a", NOW);
        let first = tokens.refresh(&policy, "a", &refresh_of(&login), NOW).ok().unwrap();
        assert!(tokens.check_access(&login.access, NOW).is_none());
        assert!(tokens.check_access(&first.access, NOW).is_some());
    }

    #[test]
    fn all_access_tokens_can_be_revoked_at_once() {
        let mut tokens = tokens();
        let login = tokens.sign_in(&policy(), "a", NOW);
        let own = tokens.client_credentials(&policy(), "a", NOW);
        tokens.revoke_access_tokens();
        assert!(tokens.check_access(&login.access, NOW).is_none());
        assert!(tokens.check_access(&own.access, NOW).is_none());
        let first = tokens.refresh(&policy(), "a", &refresh_of(&login), NOW).ok().unwrap();
        assert!(tokens.check_access(&first.access, NOW).is_some());
    }

    #[test]
    fn a_family_is_revoked_by_any_of_its_tokens_once() {
        let mut tokens = tokens();
        let login = tokens.sign_in(&policy(), "a", NOW);
        let own = tokens.client_credentials(&policy(), "a", NOW);
        assert!(!tokens.revoke_family_of("unknown"));
        assert!(tokens.revoke_family_of(&refresh_of(&login)));
        assert!(!tokens.revoke_family_of(&login.access));
        assert!(tokens.revoke_family_of(&own.access));
        assert!(tokens.check_access(&own.access, NOW).is_none());
    }
}
