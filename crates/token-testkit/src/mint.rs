//! Where the texts of tokens come from.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Makes tokens that nobody can guess without the seed.
///
/// Each is a hash of the seed and a counter: minting cannot fail, and the same seed mints the same
/// tokens, which keeps what stands on it pure.
pub(crate) struct Mint {
    seed: [u8; 32],
    minted: u64,
}

impl Mint {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self { seed, minted: 0 }
    }

    pub(crate) fn access_token(&mut self) -> String {
        self.mint("kit-at-")
    }

    pub(crate) fn refresh_token(&mut self) -> String {
        self.mint("kit-rt-")
    }

    fn mint(&mut self, prefix: &str) -> String {
        self.minted += 1;
        let hash = Sha256::new()
            .chain_update(self.seed)
            .chain_update(self.minted.to_be_bytes())
            .finalize();
        let mut token = prefix.to_owned();
        URL_SAFE_NO_PAD.encode_string(hash, &mut token);
        token
    }
}
