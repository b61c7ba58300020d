//! What a presented refresh token gets: the rules of rotation, reuse and grace.

use std::time::Duration;

use super::{Issued, RefreshToken, Spent, Tokens, index};
use crate::{
    Grace, Rotation,
    policy::{Policy, Renewal},
    refusal::Refusal,
};

impl Tokens {
    /// Exchanges a refresh token, or ends its family if it was exchanged before and no grace window
    /// is open for it. `client` is who presents it, where anybody is asked.
    pub(crate) fn refresh<'c>(
        &mut self,
        policy: &Policy,
        client: impl Into<Option<&'c str>>,
        presented: &str,
        now: Duration,
    ) -> Result<Issued, Refusal> {
        if policy.renewal == Renewal::Itself {
            self.mint.check_jwt(presented)?;
        }
        let Some((token, family)) = self.refresh.get_mut(presented).and_then(|token| {
            let family = self.families.get_mut(index(token.family))?;
            Some((token, family))
        }) else {
            return Err(Refusal::InvalidGrant("the refresh token is unknown"));
        };
        // Another client's mistake must not cost the owner its family.
        if family.holder.client.as_deref() != client.into() {
            return Err(Refusal::InvalidGrant("the refresh token is another client's"));
        }
        if family.revoked {
            return Err(Refusal::InvalidGrant("the refresh token is revoked"));
        }
        let in_grace = match &token.spent {
            Some(spent) if !within(policy.grace, spent, now) => {
                // RFC 9700 §4.14.2. Before expiry: an expired token that was spent is still a sign
                // of theft.
                family.revoked = true;
                return Err(Refusal::ReuseDetected);
            }
            spent => spent.is_some(),
        };
        if token.expires.is_some_and(|expires| now >= expires) {
            return Err(Refusal::InvalidGrant("the refresh token has expired"));
        }
        if let (Grace::SamePair(_), Some(spent)) = (policy.grace, &token.spent) {
            return Ok(Issued { in_grace: true, ..spent.answer.clone() });
        }

        let number = token.family;
        let predecessor = token.predecessor.clone();
        let issued = if policy.rotation == Rotation::Rotate || policy.renewal == Renewal::Itself {
            // A token that is renewed by itself has a successor even if it is not spent.
            family.newest += 1;
            let (generation, from) = (family.newest, Some(presented.to_owned()));
            self.issue(policy, number, generation, from, now)
        } else {
            let generation = token.generation;
            let repeated = (policy.rotation == Rotation::Repeat).then(|| presented.to_owned());
            if repeated.is_some() {
                token.expires =
                    policy.refresh_lifetime.map(|lifetime| now.saturating_add(lifetime));
            }
            self.issue_access(policy, number, generation, repeated, now)
        };
        if let Some(spent) =
            predecessor.and_then(|token| self.refresh.get_mut(&token)?.spent.as_mut())
        {
            spent.succeeded = true;
        }
        if policy.rotation == Rotation::Rotate
            && let Some(RefreshToken { spent: spent @ None, .. }) = self.refresh.get_mut(presented)
        {
            *spent = Some(Spent { at: now, answer: issued.clone(), succeeded: false });
        }
        if policy.revoke_on_refresh
            && let Some(family) = self.families.get_mut(index(number))
        {
            family.valid_from = family.issues;
        }
        Ok(Issued { in_grace, ..issued })
    }
}

/// Whether a grace window is open for a spent token. It opens when the token is first spent, and
/// use within it does not make it longer.
fn within(grace: Grace, spent: &Spent, now: Duration) -> bool {
    let open = |window| now < spent.at.saturating_add(window);
    match grace {
        Grace::None => false,
        Grace::SamePair(window) | Grace::NewPair(window) => open(window),
        Grace::PreviousOnly(window) => open(window) && !spent.succeeded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mint::Mint;

    const WINDOW: Duration = Duration::from_secs(30);
    const SPENT: Duration = Duration::from_secs(10);
    const LAST: Duration = Duration::from_nanos(39_999_999_999);
    const END: Duration = Duration::from_secs(40);

    /// A login whose refresh token was exchanged once, at `SPENT`, under this policy.
    struct Case {
        tokens: Tokens,
        policy: Policy,
        login: Issued,
        first: Issued,
    }

    impl Case {
        fn new(grace: Grace) -> Self {
            Self::with(Policy { grace, ..Policy::default() })
        }

        fn with(policy: Policy) -> Self {
            let mut tokens = Tokens::new(Mint::new([7; 32]));
            let login = tokens.sign_in(&policy, "a", Duration::ZERO);
            let first = tokens.refresh(&policy, "a", &refresh_of(&login), SPENT).unwrap();
            Self { tokens, policy, login, first }
        }

        fn refresh(&mut self, of: &Issued, now: Duration) -> Result<Issued, Refusal> {
            self.tokens.refresh(&self.policy, "a", &refresh_of(of), now)
        }

        fn login_again(&mut self, now: Duration) -> Result<Issued, Refusal> {
            let login = self.login.clone();
            self.refresh(&login, now)
        }

        fn first_again(&mut self, now: Duration) -> Result<Issued, Refusal> {
            let first = self.first.clone();
            self.refresh(&first, now)
        }

        fn is_alive(&self, issued: &Issued, now: Duration) -> bool {
            self.tokens.check_access(&issued.access, now).is_some()
        }
    }

    fn refresh_of(issued: &Issued) -> String {
        issued.refresh.clone().unwrap()
    }

    #[test]
    fn every_window_ends_at_its_end_and_then_reuse_ends_the_family() {
        for grace in [Grace::SamePair(WINDOW), Grace::NewPair(WINDOW), Grace::PreviousOnly(WINDOW)]
        {
            let mut case = Case::new(grace);
            assert!(!case.first.in_grace);
            let again = case.login_again(LAST).unwrap();
            assert!(again.in_grace && case.is_alive(&again, LAST), "{grace:?}");
            assert_eq!(case.login_again(END), Err(Refusal::ReuseDetected), "{grace:?}");
            assert!(!case.is_alive(&again, END) && !case.is_alive(&case.first, END));
            assert!(matches!(case.refresh(&again, END), Err(Refusal::InvalidGrant(_))));
        }
    }

    #[test]
    fn no_window_and_one_of_no_length_are_the_same() {
        for grace in [
            Grace::None,
            Grace::SamePair(Duration::ZERO),
            Grace::NewPair(Duration::ZERO),
            Grace::PreviousOnly(Duration::ZERO),
        ] {
            assert_eq!(
                Case::new(grace).login_again(SPENT),
                Err(Refusal::ReuseDetected),
                "{grace:?}"
            );
        }
    }

    #[test]
    fn the_longest_window_does_not_overflow() {
        let mut case = Case::new(Grace::NewPair(Duration::MAX));
        assert!(case.login_again(END).is_ok());
    }

    #[test]
    fn the_same_pair_is_the_very_same_even_after_its_refresh_token_was_used() {
        let mut case = Case::new(Grace::SamePair(WINDOW));
        let expected = Issued { in_grace: true, ..case.first.clone() };
        assert_eq!(case.login_again(SPENT), Ok(expected.clone()));
        let second = case.first_again(SPENT).unwrap();
        assert_eq!(second.generation, 2, "answering again issues nothing");
        assert_eq!(case.login_again(SPENT), Ok(expected));
        assert!(case.refresh(&second, SPENT).is_ok());
    }

    #[test]
    fn a_new_pair_is_a_branch_and_all_branches_live() {
        let mut case = Case::new(Grace::NewPair(WINDOW));
        let branch = case.login_again(SPENT).unwrap();
        assert_eq!(branch.generation, 2, "each refresh token has a number of its own");
        let third = case.first_again(SPENT).unwrap();
        assert!(case.login_again(LAST).is_ok(), "used successors close no window");
        let fourth = case.refresh(&branch, END).unwrap();
        for issued in [&case.first, &branch, &third, &fourth] {
            assert!(case.is_alive(issued, END));
        }
        assert!(case.refresh(&third, END).is_ok());
        assert_eq!(case.login_again(END), Err(Refusal::ReuseDetected));
        for issued in [&branch, &fourth] {
            assert!(!case.is_alive(issued, END), "reuse ends every branch");
        }
    }

    #[test]
    fn only_the_previous_token_passes_and_only_until_a_successor_is_used() {
        let mut case = Case::new(Grace::PreviousOnly(WINDOW));
        let second = case.login_again(SPENT).unwrap();
        assert_eq!(second.generation, 2);
        let third = case.refresh(&second, SPENT).unwrap();
        assert!(case.refresh(&second, LAST).is_ok(), "it is the one before the third");
        assert_eq!(case.login_again(SPENT), Err(Refusal::ReuseDetected));
        assert!(!case.is_alive(&third, SPENT));
    }

    #[test]
    fn a_successor_counts_as_used_even_if_it_was_not_rotated() {
        let mut case = Case::new(Grace::PreviousOnly(WINDOW));
        case.policy.rotation = Rotation::Omit;
        case.first_again(SPENT).unwrap();
        assert_eq!(case.login_again(SPENT), Err(Refusal::ReuseDetected));
    }

    #[test]
    fn an_unused_branch_of_the_previous_token_lives_on() {
        let mut case = Case::new(Grace::PreviousOnly(WINDOW));
        let second = case.login_again(SPENT).unwrap();
        assert!(case.refresh(&second, END).is_ok());
        assert!(case.first_again(END).is_ok());
    }

    #[test]
    fn grace_gives_nothing_to_an_expired_token_and_is_no_reuse_either() {
        for grace in [Grace::SamePair(WINDOW), Grace::NewPair(WINDOW)] {
            let refresh_lifetime = Some(Duration::from_secs(20));
            let mut case = Case::with(Policy { grace, refresh_lifetime, ..Policy::default() });
            let refused = case.login_again(Duration::from_secs(20));
            assert!(matches!(refused, Err(Refusal::InvalidGrant(_))));
            assert!(case.is_alive(&case.first, END));
        }
    }

    #[test]
    fn a_family_that_was_revoked_has_no_grace() {
        let mut case = Case::new(Grace::SamePair(WINDOW));
        case.tokens.revoke_family_of(&case.first.access);
        assert!(matches!(case.login_again(SPENT), Err(Refusal::InvalidGrant(_))));
    }

    #[test]
    fn another_client_has_no_grace_and_harms_nobody() {
        let mut case = Case::new(Grace::NewPair(WINDOW));
        let login = refresh_of(&case.login);
        assert!(case.tokens.refresh(&case.policy, "b", &login, SPENT).is_err());
        assert!(case.login_again(SPENT).is_ok());
    }

    #[test]
    fn the_window_that_counts_is_the_one_in_force_now() {
        let mut case = Case::new(Grace::None);
        case.policy.grace = Grace::NewPair(WINDOW);
        assert!(case.login_again(SPENT).is_ok(), "set after the token was spent");
        case.policy.grace = Grace::None;
        assert_eq!(case.login_again(SPENT), Err(Refusal::ReuseDetected));
    }
}
