//! What a token request says, whatever it looked like: a [`Wire`](crate::dialect::Wire) reads it.

use http::HeaderMap;

use crate::{client::Credentials, dialect::Parameters, refusal::Refusal};

/// A token request, as far as it could be understood, in the words of RFC 6749.
///
/// Beside that RFC's grant types there are `service_token`, which presents a service token as `refresh_token` for an access
/// token, and `new_service_token`, which presents an `access_token` for a service token of so many `days`, or an `eternal`
/// one. A refresh may come with the `current_token` that it is to replace.
pub(crate) struct TokenRequest {
    parameters: Parameters,
    credentials: Credentials,
    flaw: Option<Refusal>,
    id: Option<String>,
}

impl TokenRequest {
    pub(crate) fn new(
        headers: &HeaderMap,
        parameters: Parameters,
        credentials: Credentials,
        flaw: Option<Refusal>,
    ) -> Self {
        let id = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        Self { parameters, credentials, flaw, id: id.map(str::to_owned) }
    }

    /// A request for this grant to a server that knows no clients; each name is replaced by that of RFC 6749.
    pub(crate) fn of_grant(
        grant: &str,
        headers: &HeaderMap,
        (mut parameters, flaw): (Parameters, Option<Refusal>),
        names: &[(&str, &str)],
    ) -> Self {
        let mut named = Parameters::from([("grant_type".to_owned(), grant.to_owned())]);
        for (sent, meant) in names {
            if let Some(value) = parameters.remove(*sent) {
                named.insert((*meant).to_owned(), value);
            }
        }
        Self::new(headers, named, Credentials::NotAsked, flaw)
    }

    /// A request that was not read.
    pub(crate) fn unread(flaw: Refusal) -> Self {
        Self {
            parameters: Parameters::new(),
            credentials: Credentials::None,
            flaw: Some(flaw),
            id: None,
        }
    }

    /// Adds what was sent elsewhere.
    pub(crate) fn with(mut self, name: &str, value: Result<&str, Refusal>) -> Self {
        match value {
            Ok(value) => {
                self.parameters.insert(name.to_owned(), value.to_owned());
                self
            }
            Err(refusal) => self.flawed(refusal),
        }
    }

    /// Refused for this, unless it had a flaw before.
    pub(crate) fn flawed(mut self, refusal: Refusal) -> Self {
        self.flaw = self.flaw.or(Some(refusal));
        self
    }

    /// Who sent it, unless it is malformed.
    pub(crate) fn credentials(&self) -> Result<&Credentials, Refusal> {
        match self.flaw {
            Some(refusal) => Err(refusal),
            None => Ok(&self.credentials),
        }
    }

    /// The client that the request claims to come from, or the user where no client is asked; proven or not.
    pub(crate) fn claimed_client(&self) -> Option<&str> {
        match &self.credentials {
            Credentials::NotAsked => self.parameter("username"),
            credentials => credentials.id().or_else(|| self.parameter("client_id")),
        }
    }

    /// The `X-Request-Id` header.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(crate) fn grant_type(&self) -> Option<&str> {
        self.parameter("grant_type")
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    pub(crate) fn required(&self, name: &str, refusal: Refusal) -> Result<&str, Refusal> {
        self.parameter(name).ok_or(refusal)
    }
}
