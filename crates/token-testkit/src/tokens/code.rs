//! Authorization codes: issued by the authorization endpoint, exchanged once (RFC 6749 §4.1, RFC 7636).

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{Holder, Issued, Tokens};
use crate::{policy::Policy, refusal::Refusal};

/// RFC 6749 §4.1.2: ten minutes at most.
const LIFETIME: Duration = Duration::from_secs(600);

pub(super) struct Code {
    authorized: Authorized,
    expires: Duration,
    /// What it was exchanged for.
    family: Option<u64>,
}

/// What somebody has agreed to.
pub(crate) struct Authorized {
    pub(crate) holder: Holder,
    pub(crate) redirect_uri: String,
    /// The PKCE challenge, of the method S256.
    pub(crate) challenge: String,
}

/// What is presented to exchange a code.
pub(crate) struct Redeemed<'a> {
    pub(crate) client: &'a str,
    pub(crate) code: &'a str,
    pub(crate) redirect_uri: &'a str,
    pub(crate) verifier: &'a str,
}

impl Tokens {
    /// A code for what was agreed to.
    pub(crate) fn authorize(&mut self, authorized: Authorized, now: Duration) -> String {
        let code = self.mint.code();
        let expires = now.saturating_add(LIFETIME);
        self.codes.insert(code.clone(), Code { authorized, expires, family: None });
        code
    }

    /// Exchanges a code for the tokens of a new family. A code that was exchanged before ends that family (RFC 6749 §4.1.2).
    pub(crate) fn redeem(
        &mut self,
        policy: &Policy,
        presented: &Redeemed<'_>,
        now: Duration,
    ) -> Result<Issued, Refusal> {
        let Some(code) = self.codes.get(presented.code) else {
            return Err(Refusal::InvalidGrant("the code is unknown"));
        };
        let Authorized { holder, redirect_uri, challenge } = &code.authorized;
        if holder.client.as_deref() != Some(presented.client) {
            return Err(Refusal::InvalidGrant("the code is another client's"));
        }
        if let Some(family) = code.family {
            let ended = self.revoke(family);
            let again = Refusal::InvalidGrant("the code was used before");
            return Err(if ended { Refusal::ReuseDetected } else { again });
        }
        if now >= code.expires {
            return Err(Refusal::InvalidGrant("the code has expired"));
        }
        if redirect_uri != presented.redirect_uri {
            return Err(Refusal::InvalidGrant("the redirect_uri is another"));
        }
        // RFC 7636 §4.6.
        if URL_SAFE_NO_PAD.encode(Sha256::digest(presented.verifier)) != *challenge {
            return Err(Refusal::InvalidGrant("the code_verifier does not fit the code_challenge"));
        }
        let holder = holder.clone();
        let issued = self.sign_in(policy, holder, now);
        if let Some(code) = self.codes.get_mut(presented.code) {
            code.family = Some(issued.family);
        }
        Ok(issued)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mint::Mint;

    /// RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn authorized(tokens: &mut Tokens) -> String {
        let (redirect_uri, challenge) = ("http://127.0.0.1/cb".to_owned(), CHALLENGE.to_owned());
        tokens.authorize(Authorized { holder: "a".into(), redirect_uri, challenge }, Duration::ZERO)
    }

    fn presented(code: &str) -> Redeemed<'_> {
        Redeemed { client: "a", code, redirect_uri: "http://127.0.0.1/cb", verifier: VERIFIER }
    }

    #[test]
    fn a_code_is_worth_one_login_and_a_second_use_ends_it() {
        let (mut tokens, policy) = (Tokens::new(Mint::new([7; 32])), Policy::default());
        let code = authorized(&mut tokens);
        let login = tokens.redeem(&policy, &presented(&code), Duration::ZERO).unwrap();
        assert!(tokens.check_access(&login.access, Duration::ZERO).is_some());
        let again = tokens.redeem(&policy, &presented(&code), Duration::ZERO);
        assert_eq!(again, Err(Refusal::ReuseDetected));
        let again = tokens.redeem(&policy, &presented(&code), Duration::ZERO);
        assert!(matches!(again, Err(Refusal::InvalidGrant(_))));
        assert!(tokens.check_access(&login.access, Duration::ZERO).is_none());
    }

    #[test]
    fn a_code_needs_its_client_address_verifier_and_time() {
        let (mut tokens, policy) = (Tokens::new(Mint::new([7; 32])), Policy::default());
        let code = authorized(&mut tokens);
        let last = LIFETIME - Duration::from_nanos(1);
        for wrong in [
            Redeemed { client: "b", ..presented(&code) },
            Redeemed { code: "kit-code-x", ..presented(&code) },
            Redeemed { redirect_uri: "http://127.0.0.1/", ..presented(&code) },
            Redeemed { verifier: CHALLENGE, ..presented(&code) },
        ] {
            assert!(tokens.redeem(&policy, &wrong, last).is_err());
        }
        assert!(tokens.redeem(&policy, &presented(&code), LIFETIME).is_err());
        assert!(tokens.redeem(&policy, &presented(&code), last).is_ok(), "none of them used it up");
    }
}
