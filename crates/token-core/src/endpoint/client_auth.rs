use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::config_error::ConfigError;
use crate::secret::Secret;

/// How the client says who it is (RFC 6749 §2.3).
#[derive(Clone)]
pub struct ClientAuth {
    id: String,
    secret: Option<Secret>,
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Form,
}

impl ClientAuth {
    /// By the HTTP Basic scheme, id and secret form-urlencoded first (RFC 6749 §2.3.1): what servers must support.
    pub fn basic(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), secret: Some(secret.into()), place: Place::Header }
    }

    /// By `client_id` and `client_secret` in the form, for servers that want it there.
    pub fn form(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { id: id.into(), secret: Some(secret.into()), place: Place::Form }
    }

    /// Not at all: a public client, which sends its `client_id` only.
    pub fn none(id: impl Into<String>) -> Self {
        Self { id: id.into(), secret: None, place: Place::Form }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.id.is_empty() {
            return Err(ConfigError::new(
                "the client id is empty; set the id that the authorization server gave",
            ));
        }
        if self.secret.as_ref().is_some_and(|secret| secret.expose_secret().is_empty()) {
            return Err(ConfigError::new(
                "the client secret is empty; set it, or use `ClientAuth::none`",
            ));
        }
        Ok(())
    }

    /// The `Authorization` header, if it is said there.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let secret = self.secret.as_ref().filter(|_| self.place == Place::Header)?;
        let pair =
            Zeroizing::new(format!("{}:{}", *encoded(&self.id), *encoded(secret.expose_secret())));
        let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(pair.as_bytes())));
        // Base 64 is always a valid header value.
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The form's fields, if it is said there.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let in_form = self.place == Place::Form;
        let id = in_form.then_some(("client_id", self.id.as_str()));
        let secret = self.secret.as_ref().filter(|_| in_form);
        id.into_iter().chain(secret.map(|secret| ("client_secret", secret.expose_secret())))
    }
}

fn encoded(text: &str) -> Zeroizing<String> {
    Zeroizing::new(form_urlencoded::byte_serialize(text.as_bytes()).collect())
}

impl fmt::Debug for ClientAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientAuth")
            .field("id", &self.id)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_encodes_id_and_secret_as_a_form_does_first() {
        let header = ClientAuth::basic("a b:c", "p@s+s").header().unwrap();
        assert_eq!(header, format!("Basic {}", BASE64_STANDARD.encode("a+b%3Ac:p%40s%2Bs")));
        assert!(header.is_sensitive());
    }

    #[test]
    fn a_client_says_who_it_is_in_one_place_only() {
        assert_eq!(ClientAuth::basic("id", "secret").fields().count(), 0);
        let form = ClientAuth::form("id", "secret");
        assert!(form.header().is_none());
        assert_eq!(
            form.fields().collect::<Vec<_>>(),
            [("client_id", "id"), ("client_secret", "secret")]
        );
        assert_eq!(ClientAuth::none("id").fields().collect::<Vec<_>>(), [("client_id", "id")]);
    }
}
