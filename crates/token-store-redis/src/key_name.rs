//! From a grant to the name of its key.

use sha2::{Digest, Sha256};
use token_core::store::{Stamp, StoreKey};

/// What every key of one store begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Namespace(String);

impl Namespace {
    pub(crate) const DEFAULT: &str = "token-refresh";

    /// The text, unless it has a character that would mean something in a pattern, an access rule or a cluster's slots.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
        (!text.is_empty() && text.len() <= 200 && text.bytes().all(plain))
            .then(|| Self(text.to_owned()))
    }

    /// The key of this grant: what people recognize of it, without tenants, and a hash of all of it.
    ///
    /// What is in braces selects a cluster's slot, so that the key, its channel and what is set aside are on one node.
    pub(crate) fn key(&self, grant: &StoreKey) -> String {
        let name: String = grant
            .as_str()
            .split('/')
            .next()
            .unwrap_or_default()
            .chars()
            .take(LONGEST_NAME)
            .collect();
        let digest = Sha256::digest(grant.as_str());
        // 128 bits: nobody finds two grants with one key.
        let hash = digest.iter().take(16).fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
        format!("{}:{{{name}-{hash:032x}}}", self.0)
    }

    /// Where a record is kept that a login replaced unread. Each login has a stamp of its own.
    pub(crate) fn aside(key: &str, by: Stamp) -> String {
        format!("{key}:unreadable-{by}")
    }

    /// The key of no grant: none has an empty name.
    pub(crate) fn nobodys(&self) -> String {
        format!("{}:{{}}", self.0)
    }

    /// What all keys of records match, and some others.
    pub(crate) fn pattern(&self) -> String {
        format!("{}:{{*}}", self.0)
    }

    /// Whether a key that matches the [pattern](Self::pattern) is one of a record.
    pub(crate) fn is_record(&self, key: &str) -> bool {
        key.strip_prefix(self.0.as_str())
            .and_then(|rest| rest.strip_prefix(":{")?.strip_suffix('}'))
            .is_some_and(|tag| !tag.contains(['{', '}']))
    }
}

const LONGEST_NAME: usize = 40;

#[cfg(test)]
mod tests {
    use token_core::TokenKey;

    use super::*;

    fn grant(name: &str, tenant: &str) -> StoreKey {
        StoreKey::from(&TokenKey::new(name).unwrap().with_tenant(tenant).unwrap())
    }

    #[test]
    fn a_key_shows_the_grants_name_and_hides_the_tenant() {
        let namespace = Namespace::new(Namespace::DEFAULT).unwrap();
        let key = namespace.key(&grant("billing-api", "acme"));
        assert!(key.starts_with("token-refresh:{billing-api-") && key.ends_with('}'), "{key}");
        assert!(!key.contains("acme"), "{key}");
        assert_ne!(key, namespace.key(&grant("billing-api", "other")));
        assert_ne!(key, namespace.key(&grant("BILLING-API", "acme")));
    }

    #[test]
    fn records_are_told_from_what_was_set_aside_and_from_others() {
        let namespace = Namespace::new("a").unwrap();
        let key = namespace.key(&grant("billing-api", "acme"));
        assert!(namespace.is_record(&key));
        let aside = Namespace::aside(&key, Stamp::from_bytes([7; 16]));
        for other in [aside.as_str(), "a:{}:{}", "b:{x}", "a:x", "ab:{x}"] {
            assert!(!namespace.is_record(other), "{other}");
        }
    }

    #[test]
    fn a_namespace_means_nothing_in_patterns_and_slots() {
        for text in ["", "a*", "a?", "a[b]", "{a}", "a b", "a\\", "\u{e9}", &"x".repeat(201)] {
            assert_eq!(Namespace::new(text), None, "{text}");
        }
        assert!(Namespace::new("prod:billing.v2_x-1").is_some());
    }
}
