//! The clients that the server knows, and how each must authenticate (RFC 6749 §2.3).

use std::{collections::HashMap, fmt};

use crate::refusal::Refusal;

/// Id of the client that a server knows when the builder was given none.
pub const DEFAULT_CLIENT_ID: &str = "kit-client";

/// Secret of [`DEFAULT_CLIENT_ID`].
pub const DEFAULT_CLIENT_SECRET: &str = "kit-secret";

/// A client of the authorization server and the way it must authenticate.
///
/// Its `Debug` leaves the secret out.
#[derive(Clone)]
pub struct Client {
    id: String,
    authentication: Authentication,
}

#[derive(Clone)]
enum Authentication {
    Basic(String),
    Post(String),
    BasicOrPost(String),
    Public,
}

impl Client {
    /// A client that must send id and secret in an `Authorization: Basic` header.
    ///
    /// Both are form-urlencoded before they are joined and base64-encoded (RFC 6749 §2.3.1).
    pub fn basic(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), authentication: Authentication::Basic(secret.into()) }
    }

    /// A client that must send `client_id` and `client_secret` in the form.
    pub fn post(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), authentication: Authentication::Post(secret.into()) }
    }

    /// A client that may authenticate either way, but not both ways at once.
    pub fn confidential(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), authentication: Authentication::BasicOrPost(secret.into()) }
    }

    /// A client without a secret, which sends its `client_id` in the form and nothing else.
    pub fn public(id: impl Into<String>) -> Self {
        Self { id: id.into(), authentication: Authentication::Public }
    }

    /// The client's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn is_public(&self) -> bool {
        matches!(self.authentication, Authentication::Public)
    }

    fn accepts(&self, credentials: &Credentials) -> bool {
        match (&self.authentication, credentials) {
            (
                Authentication::Basic(expected) | Authentication::BasicOrPost(expected),
                Credentials::Basic { secret, .. },
            )
            | (
                Authentication::Post(expected) | Authentication::BasicOrPost(expected),
                Credentials::Post { secret, .. },
            ) => secret == expected,
            (Authentication::Public, Credentials::IdOnly(_)) => true,
            _ => false,
        }
    }
}

impl Default for Client {
    /// [`DEFAULT_CLIENT_ID`] with [`DEFAULT_CLIENT_SECRET`], authenticating either way.
    fn default() -> Self {
        Self::confidential(DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authentication = match self.authentication {
            Authentication::Basic(_) => "basic",
            Authentication::Post(_) => "post",
            Authentication::BasicOrPost(_) => "basic or post",
            Authentication::Public => "public",
        };
        f.debug_struct("Client")
            .field("id", &self.id)
            .field("authentication", &authentication)
            .finish()
    }
}

/// How a request says who sent it.
#[derive(Clone, Eq, PartialEq)]
pub(crate) enum Credentials {
    /// The dialect knows no clients.
    NotAsked,
    None,
    IdOnly(String),
    Basic {
        id: String,
        secret: String,
    },
    Post {
        id: String,
        secret: String,
    },
}

impl Credentials {
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::NotAsked | Self::None => None,
            Self::IdOnly(id) | Self::Basic { id, .. } | Self::Post { id, .. } => Some(id),
        }
    }
}

/// The clients by their ids.
pub(crate) struct Clients(HashMap<String, Client>);

impl Clients {
    pub(crate) fn new(clients: impl IntoIterator<Item = Client>) -> Self {
        Self(clients.into_iter().map(|client| (client.id.clone(), client)).collect())
    }

    pub(crate) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    pub(crate) fn authenticate(&self, credentials: &Credentials) -> Result<&Client, Refusal> {
        let Some(id) = credentials.id() else {
            return Err(Refusal::InvalidClient("the client did not authenticate"));
        };
        let Some(client) = self.0.get(id) else {
            return Err(Refusal::InvalidClient("the client is unknown"));
        };
        if client.accepts(credentials) {
            Ok(client)
        } else {
            Err(Refusal::InvalidClient("wrong secret or way to authenticate for this client"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_accepted_in_its_own_way_only() {
        let clients = Clients::new([
            Client::basic("b", "s"),
            Client::post("p", "s"),
            Client::confidential("c", "s"),
            Client::public("u"),
        ]);
        for (id, basic, post, bare) in [
            ("b", true, false, false),
            ("p", false, true, false),
            ("c", true, true, false),
            ("u", false, false, true),
            ("unknown", false, false, false),
        ] {
            let accepted = |credentials| clients.authenticate(&credentials).is_ok();
            let with = |secret: &str| (id.to_owned(), secret.to_owned());
            let ((id, secret), (_, wrong)) = (with("s"), with("wrong"));
            assert_eq!(
                accepted(Credentials::Basic { id: id.clone(), secret: secret.clone() }),
                basic
            );
            assert_eq!(accepted(Credentials::Post { id: id.clone(), secret }), post);
            assert_eq!(accepted(Credentials::IdOnly(id.clone())), bare);
            assert!(!accepted(Credentials::Basic { id: id.clone(), secret: wrong.clone() }));
            assert!(!accepted(Credentials::Post { id, secret: wrong }));
        }
        assert!(clients.authenticate(&Credentials::None).is_err());
    }

    #[test]
    fn debug_hides_the_secret() {
        let shown = format!("{:?}", Client::basic("id", "canary"));
        assert!(shown.contains("id") && !shown.contains("canary"), "{shown}");
    }
}
