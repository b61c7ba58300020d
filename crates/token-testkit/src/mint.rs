//! Where the texts of tokens come from.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::{
    jwt::{self, Claims, Flaw},
    refusal::Refusal,
};

/// Makes tokens that nobody can guess without the seed.
///
/// Each is a hash of the seed and a counter: minting cannot fail, and the same seed mints the same
/// tokens, which keeps what stands on it pure.
pub(crate) struct Mint {
    seed: [u8; 32],
    minted: u64,
    /// What the times of JWTs count from, since 1970.
    epoch: Duration,
}

impl Mint {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, minted: 0, epoch: Duration::ZERO }
    }

    /// Sets when the server started.
    pub(crate) fn started_at(mut self, start: SystemTime) -> Self {
        self.epoch = start.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self
    }

    pub(crate) fn access_token(&mut self) -> String {
        format!("kit-at-{}", self.unique())
    }

    pub(crate) fn refresh_token(&mut self) -> String {
        format!("kit-rt-{}", self.unique())
    }

    pub(crate) fn code(&mut self) -> String {
        format!("kit-code-{}", self.unique())
    }

    /// A JWT, by a clock that is off by so many seconds. Times are since the server's start; one that ends at
    /// `Duration::MAX` never ends.
    pub(crate) fn jwt(
        &mut self,
        user: &str,
        kind: &str,
        now: Duration,
        expires: Duration,
        skew: i64,
    ) -> String {
        let time = |since_start: Duration| {
            self.epoch.saturating_add(since_start).as_secs().saturating_add_signed(skew)
        };
        let (iat, exp) = (time(now), (expires != Duration::MAX).then(|| time(expires)));
        let (sub, kind, jti) = (user.to_owned(), kind.to_owned(), self.unique());
        jwt::sign(&self.seed, &Claims { sub, kind, iat, exp, jti })
    }

    /// Whether this is a JWT of this mint, whatever its time.
    pub(crate) fn check_jwt(&self, token: &str) -> Result<(), Refusal> {
        match jwt::verify(&self.seed, token) {
            Ok(_) => Ok(()),
            Err(Flaw::Form) => {
                Err(Refusal::InvalidGrant("the token is not a JWT of this server's form"))
            }
            Err(Flaw::Algorithm) => {
                Err(Refusal::InvalidGrant("the token's algorithm is not HS256"))
            }
            Err(Flaw::Signature) => Err(Refusal::InvalidGrant("the token's signature is wrong")),
        }
    }

    fn unique(&mut self) -> String {
        self.minted += 1;
        let hash = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.minted.to_be_bytes())
            .finalize();
        URL_SAFE_NO_PAD.encode(hash)
    }
}
