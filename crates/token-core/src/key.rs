use std::fmt;

use crate::config_error::ConfigError;

const LONGEST_PART: usize = 256;

/// Which grant: a name, and where there are several of that name, a tenant and an audience.
///
/// Everything that selects a token belongs in the key. Two managers with the same key and the same store share one
/// grant, and never present its refresh token twice.
///
/// # Example
///
/// ```
/// use token_core::TokenKey;
///
/// # fn main() -> Result<(), token_core::ConfigError> {
/// let key = TokenKey::new("billing-api")?.with_tenant("acme")?;
/// assert_eq!(key.to_string(), "billing-api/tenant=acme");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenKey {
    name: String,
    tenant: Option<String>,
    audience: Option<String>,
}

impl TokenKey {
    /// A key of this name alone.
    ///
    /// # Errors
    ///
    /// The name is empty, longer than 256 bytes, or has other characters than `A-Z a-z 0-9 . _ -`.
    pub fn new(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        check_length("name", &name)?;
        if let Some(bad) = name.chars().find(|c| !is_plain(*c)) {
            return Err(ConfigError::new(format!(
                "the token key's name {name:?} has {bad:?}; use A-Z a-z 0-9 . _ - and put the rest in the tenant"
            )));
        }
        Ok(Self { name, tenant: None, audience: None })
    }

    /// Sets the tenant, location or user whose grant it is.
    ///
    /// # Errors
    ///
    /// It is empty or longer than 256 bytes.
    pub fn with_tenant(mut self, tenant: impl Into<String>) -> Result<Self, ConfigError> {
        let tenant = tenant.into();
        check_length("tenant", &tenant)?;
        self.tenant = Some(tenant);
        Ok(self)
    }

    /// Sets the API that the access token is for.
    ///
    /// # Errors
    ///
    /// It is empty or longer than 256 bytes.
    pub fn with_audience(mut self, audience: impl Into<String>) -> Result<Self, ConfigError> {
        let audience = audience.into();
        check_length("audience", &audience)?;
        self.audience = Some(audience);
        Ok(self)
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tenant, if there are several.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }

    /// The audience, if there are several.
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    pub(crate) fn to_store_key(&self) -> StoreKey {
        StoreKey(self.to_string())
    }
}

/// One text for each key and one key for each text: what is not plain is percent-encoded.
impl fmt::Display for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (label, part) in [("tenant", &self.tenant), ("audience", &self.audience)] {
            let Some(part) = part else { continue };
            write!(f, "/{label}=")?;
            for byte in part.bytes() {
                if is_plain(char::from(byte)) {
                    write!(f, "{}", char::from(byte))?;
                } else {
                    write!(f, "%{byte:02X}")?;
                }
            }
        }
        Ok(())
    }
}

/// A key as stores see it: ASCII text that is equal exactly where the [`TokenKey`]s are, at most 1,600 bytes long.
///
/// Compare it byte by byte: two keys may differ in case alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey(String);

impl StoreKey {
    /// The key's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&TokenKey> for StoreKey {
    fn from(key: &TokenKey) -> Self {
        key.to_store_key()
    }
}

/// Reads a key's text back, for stores that list what they hold.
impl std::str::FromStr for StoreKey {
    type Err = ConfigError;

    /// # Errors
    ///
    /// No [`TokenKey`] has this text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || ConfigError::new(format!("{text:?} is not the text of a token key"));
        let mut rest = text;
        let mut tail = |label: &str| {
            let (before, part) = rest.split_once(label)?;
            rest = before;
            Some(part)
        };
        let (audience, tenant) = (tail("/audience="), tail("/tenant="));
        let mut key = TokenKey::new(rest)?;
        if let Some(tenant) = tenant {
            key = key.with_tenant(decode_part(tenant).ok_or_else(refused)?)?;
        }
        if let Some(audience) = audience {
            key = key.with_audience(decode_part(audience).ok_or_else(refused)?)?;
        }
        let read = key.to_store_key();
        // One text for each key: `%61` for `a` would be a second one.
        if read.as_str() == text { Ok(read) } else { Err(refused()) }
    }
}

impl std::borrow::Borrow<str> for StoreKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn decode_part(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        rest = after;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn check_length(what: &str, text: &str) -> Result<(), ConfigError> {
    if text.is_empty() || text.len() > LONGEST_PART {
        return Err(ConfigError::new(format!(
            "the token key's {what} has {} bytes; it must have 1 to {LONGEST_PART}",
            text.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_a_slash_is_refused_and_the_error_names_it() {
        let error = TokenKey::new("a/b").unwrap_err().to_string();
        assert!(error.contains("\"a/b\"") && error.contains("'/'"), "{error}");
    }

    #[test]
    fn parts_cannot_be_shifted_from_one_into_another() {
        let split = |tenant: &str, audience: &str| {
            TokenKey::new("n")
                .unwrap()
                .with_tenant(tenant)
                .unwrap()
                .with_audience(audience)
                .unwrap()
                .to_store_key()
        };
        assert_ne!(split("a/audience=b", "c"), split("a", "b/audience=c"));
        assert_ne!(
            TokenKey::new("n").unwrap().with_tenant("x").unwrap().to_store_key(),
            TokenKey::new("n").unwrap().with_audience("x").unwrap().to_store_key()
        );
    }

    #[test]
    fn a_text_that_no_key_has_is_no_store_key() {
        for text in [
            "",
            "a/b",
            "n/tenant=",
            "n/tenant=%61",
            "n/tenant=%2f",
            "n/tenant=%2",
            "n/tenant=%+F",
            "n/audience=a/tenant=b",
            "n/tenant=a/tenant=b",
            "n/tenant=a b",
            "n/tenant=%FF",
        ] {
            assert!(text.parse::<StoreKey>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_store_keys_text_is_read_back(key in any_key()) {
            let stored = key.to_store_key();
            prop_assert_eq!(stored.as_str().parse::<StoreKey>().unwrap(), stored);
        }

        #[test]
        fn different_keys_have_different_store_keys(a in any_key(), b in any_key()) {
            prop_assert_eq!(a == b, a.to_store_key() == b.to_store_key());
        }
    }

    fn any_key() -> impl Strategy<Value = TokenKey> {
        let part = || {
            proptest::option::of(proptest::sample::select(vec![
                "a",
                "A",
                "/",
                "%2F",
                "a/tenant=a",
                "é",
            ]))
        };
        (part(), part()).prop_map(|(tenant, audience)| {
            let mut key = TokenKey::new("n").unwrap();
            if let Some(tenant) = tenant {
                key = key.with_tenant(tenant).unwrap();
            }
            if let Some(audience) = audience {
                key = key.with_audience(audience).unwrap();
            }
            key
        })
    }
}
