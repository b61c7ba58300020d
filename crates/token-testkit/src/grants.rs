//! Which tokens a token request gets, if any. Pure: it decides over [`Tokens`].

use std::{collections::HashMap, time::Duration};

use crate::{
    client::{Client, Clients},
    policy::Policy,
    refusal::Refusal,
    token_request::TokenRequest,
    tokens::{Issued, Tokens},
};

/// Who may ask: fixed when the server starts.
pub(crate) struct Directory {
    pub(crate) clients: Clients,
    /// Passwords by user name.
    pub(crate) users: HashMap<String, String>,
}

/// Carries a token request out: authenticates the client, then performs its grant.
pub(crate) fn perform(
    directory: &Directory,
    policy: &Policy,
    tokens: &mut Tokens,
    request: &TokenRequest,
    now: Duration,
) -> Result<Issued, Refusal> {
    let client = directory.clients.authenticate(request.credentials()?)?;
    let missing = Refusal::InvalidRequest("grant_type is missing");
    match request.required("grant_type", missing)? {
        "refresh_token" => {
            let missing = Refusal::InvalidRequest("refresh_token is missing");
            let presented = request.required("refresh_token", missing)?;
            tokens.refresh(policy, client.id(), presented, now)
        }
        "client_credentials" => client_credentials(policy, tokens, client, now),
        "password" => {
            check_password(&directory.users, request)?;
            Ok(tokens.sign_in(policy, client.id(), now))
        }
        _ => Err(Refusal::UnsupportedGrantType),
    }
}

fn client_credentials(
    policy: &Policy,
    tokens: &mut Tokens,
    client: &Client,
    now: Duration,
) -> Result<Issued, Refusal> {
    // RFC 6749 §4.4: only confidential clients have credentials to offer.
    if client.is_public() {
        return Err(Refusal::UnauthorizedClient("a public client has no credentials"));
    }
    Ok(tokens.client_credentials(policy, client.id(), now))
}

fn check_password(users: &HashMap<String, String>, request: &TokenRequest) -> Result<(), Refusal> {
    let username = request.required("username", Refusal::InvalidRequest("username is missing"))?;
    let password = request.required("password", Refusal::InvalidRequest("password is missing"))?;
    if users.get(username).is_some_and(|expected| expected == password) {
        Ok(())
    } else {
        Err(Refusal::InvalidGrant("wrong user name or password"))
    }
}
