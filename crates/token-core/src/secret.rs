//! Secrets that cannot be printed, and the fingerprints that stand for them.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// It has no `Display`, its `Debug` shows a fingerprint that is keyed for the life of this process, and its
        /// bytes are wiped when it is dropped.
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            /// Takes the secret's text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
            }

            /// The secret's text: the only door to it.
            pub fn expose_secret(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(#{:016x})", stringify!($name), keyed(self.expose_secret()))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::new(text)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }
    };
}

secret! {
    /// An access token (RFC 6749 §1.4): what a request carries to the protected resource.
    AccessToken
}
secret! {
    /// A refresh token (RFC 6749 §1.5): what the token endpoint takes for the next access token.
    RefreshToken
}
secret! {
    /// A password or a client's secret.
    Secret
}

/// Stands for the seed that a record came from, so that a restart can tell an old seed from a new one.
///
/// A truncated SHA-256 of what the seed contains. It is kept in the record, so it cannot be keyed by the process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SeedFingerprint(pub(crate) [u8; 16]);

impl SeedFingerprint {
    pub(crate) fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"token-core seed v1");
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        Self(short)
    }
}

impl fmt::Debug for SeedFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeedFingerprint({:032x})", u128::from_be_bytes(self.0))
    }
}

fn keyed(text: &str) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new).hash_one(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_neither_the_secret_nor_a_part_of_it() {
        let shown = format!("{:?}", RefreshToken::new("canary-1234567890"));
        assert!(shown.starts_with("RefreshToken(#"), "{shown}");
        assert!(!shown.contains("canary") && !shown.contains("7890"), "{shown}");
    }

    #[test]
    fn debug_tells_two_secrets_apart() {
        let shown = |text: &str| format!("{:?}", AccessToken::new(text));
        assert_eq!(shown("a"), shown("a"));
        assert_ne!(shown("a"), shown("b"));
    }

    #[test]
    fn a_seed_fingerprint_keeps_its_parts_apart() {
        assert_ne!(SeedFingerprint::of(&["ab", "c"]), SeedFingerprint::of(&["a", "bc"]));
    }
}
