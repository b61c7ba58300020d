//! From a key to the names of its files.

use sha2::{Digest, Sha256};
use token_core::store::StoreKey;

const RECORD: &str = ".json";
const LONGEST_PREFIX: usize = 40;

/// The common part of the names of one grant's files: what of the key a person recognizes, and a hash of all of it.
///
/// Only `a-z 0-9 _ -` are in it, so that it is one name on a file system that folds case, and none that Windows reserves;
/// the hash tells keys apart. 128 bits of SHA-256: nobody finds two keys with one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName(String);

impl FileName {
    pub(crate) fn of(key: &StoreKey) -> Self {
        let readable: String = key
            .as_str()
            .chars()
            .take(LONGEST_PREFIX)
            .map(|c| match c.to_ascii_lowercase() {
                c if c.is_ascii_alphanumeric() || c == '_' => c,
                _ => '-',
            })
            .collect();
        let readable = readable.trim_matches('-');
        let digest = Sha256::digest(key.as_str());
        let hash = digest.iter().take(16).fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
        Self(format!("{readable}-{hash:032x}").trim_start_matches('-').to_owned())
    }

    /// The record.
    pub(crate) fn record(&self) -> String {
        format!("{}{RECORD}", self.0)
    }

    /// The next record while it is written. One name is enough: whoever writes it holds the lock.
    pub(crate) fn next(&self) -> String {
        format!("{}.tmp", self.0)
    }

    /// Where a record that cannot be read is kept, for the n-th time.
    pub(crate) fn unreadable(&self, n: u32) -> String {
        format!("{}.unreadable-{n}", self.0)
    }

    /// The lock. It stays for ever: a lock that is removed is one that two can hold.
    pub(crate) fn lock(&self) -> String {
        format!("{}.lock", self.0)
    }

    /// The name whose record has this file name, if it can be one.
    pub(crate) fn from_record(file: &str) -> Option<Self> {
        let stem = file.strip_suffix(RECORD)?;
        let hash = stem.get(stem.len().checked_sub(32)?..)?;
        hash.bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            .then(|| Self(stem.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use token_core::TokenKey;

    use super::*;

    fn name(name: &str, tenant: &str) -> String {
        FileName::of(&StoreKey::from(&TokenKey::new(name).unwrap().with_tenant(tenant).unwrap())).0
    }

    #[test]
    fn a_name_shows_the_key_and_is_plain_and_short() {
        assert!(name("billing-api", "acme").starts_with("billing-api-tenant-acme-"));
        for (key, tenant) in
            [("..", "../../etc"), ("CON", "/"), ("x", &"/".repeat(256)), ("-", "\0")]
        {
            let name = name(key, tenant);
            let plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
            assert!(name.chars().all(plain) && !name.starts_with('-'), "{name}");
            assert!(name.len() <= LONGEST_PREFIX + 33, "{name}");
        }
    }

    #[test]
    fn keys_that_differ_in_case_alone_have_names_that_differ_in_more() {
        assert!(!name("API", "a").eq_ignore_ascii_case(&name("api", "a")));
    }

    #[test]
    fn names_of_records_are_told_from_other_files() {
        let key = StoreKey::from(&TokenKey::new("a").unwrap());
        let name = FileName::of(&key);
        assert_eq!(FileName::from_record(&name.record()), Some(name.clone()));
        let others = [name.lock(), name.next(), name.unreadable(1)];
        for other in others.into_iter().chain(["notes.json".to_owned(), "\u{e9}.json".to_owned()]) {
            assert_eq!(FileName::from_record(&other), None, "{other}");
        }
    }
}
