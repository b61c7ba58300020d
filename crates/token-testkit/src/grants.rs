//! Which tokens a token request gets, if any. Pure: it decides over [`Tokens`].

use std::time::Duration;

use crate::{
    Rotation,
    client::{Client, Clients, Credentials},
    policy::Policy,
    refusal::Refusal,
    token_request::TokenRequest,
    tokens::{Holder, Issued, Redeemed, Tokens},
    users::Users,
};

const SECONDS_PER_DAY: u64 = 24 * 3600;

/// Carries a token request out: authenticates the client, if the dialect knows any, then performs its grant.
pub(crate) fn perform(
    clients: &Clients,
    users: &Users,
    policy: &Policy,
    tokens: &mut Tokens,
    request: &TokenRequest,
    now: Duration,
) -> Result<Issued, Refusal> {
    let client = match request.credentials()? {
        Credentials::NotAsked => None,
        credentials => Some(clients.authenticate(credentials)?),
    };
    let id = client.map(Client::id);
    let missing = Refusal::InvalidRequest("grant_type is missing");
    match (request.required("grant_type", missing)?, client) {
        ("refresh_token", _) => {
            let presented = presented(users, tokens, request, false)?;
            tokens.refresh(policy, id, presented, now)
        }
        ("service_token", None) => {
            let presented = presented(users, tokens, request, true)?;
            // It is no refresh token: it lasts.
            let policy = Policy { rotation: Rotation::Omit, ..policy.clone() };
            tokens.refresh(&policy, None, presented, now)
        }
        ("new_service_token", None) => {
            let (admin, lifetime) = new_service_token(users, tokens, request, now)?;
            Ok(tokens.service_token(policy, &admin, lifetime, now))
        }
        ("client_credentials", Some(client)) => client_credentials(policy, tokens, client, now),
        ("authorization_code", Some(client)) => {
            let parameter = |name, why| request.required(name, Refusal::InvalidRequest(why));
            let presented = Redeemed {
                client: client.id(),
                code: parameter("code", "code is missing")?,
                redirect_uri: parameter("redirect_uri", "redirect_uri is missing")?,
                verifier: parameter("code_verifier", "code_verifier is missing")?,
            };
            tokens.redeem(policy, &presented, now)
        }
        ("password", _) => {
            let missing = Refusal::InvalidRequest("username is missing");
            let username = request.required("username", missing)?;
            let missing = Refusal::InvalidRequest("password is missing");
            users.check_password(username, request.required("password", missing)?)?;
            let (client, user) = (id.map(str::to_owned), Some(username.to_owned()));
            Ok(tokens.sign_in(policy, Holder { client, user, ..Holder::default() }, now))
        }
        _ => Err(Refusal::UnsupportedGrantType),
    }
}

/// The refresh token or service token that is presented, if its user may go on.
fn presented<'r>(
    users: &Users,
    tokens: &Tokens,
    request: &'r TokenRequest,
    service: bool,
) -> Result<&'r str, Refusal> {
    let missing = Refusal::InvalidRequest("refresh_token is missing");
    let presented = request.required("refresh_token", missing)?;
    // What is unknown is refused by who knows all tokens.
    if let Some(holder) = tokens.holder(presented) {
        if holder.service != service {
            return Err(Refusal::InvalidGrant("the token is of another kind"));
        }
        if let Some(user) = &holder.user {
            users.check_active(user)?;
        }
        if let Some(current) = request.parameter("current_token")
            && !tokens.are_related(current, presented)
        {
            return Err(Refusal::InvalidGrant("the current token is another login's"));
        }
    }
    Ok(presented)
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

/// Whose service token it is to be, and how long it lives; `None` is for ever.
fn new_service_token(
    users: &Users,
    tokens: &Tokens,
    request: &TokenRequest,
    now: Duration,
) -> Result<(String, Option<Duration>), Refusal> {
    let refused = Refusal::InvalidClient("the access token is not that of a login");
    let access = request.required("access_token", refused)?;
    tokens.check_access(access, now).ok_or(refused)?;
    // A service token does not make others, nor does what it gets.
    let holder = tokens.holder(access).filter(|holder| !holder.service);
    let admin = holder.and_then(|holder| holder.user.clone()).ok_or(refused)?;
    users.check_active(&admin)?;
    if request.parameter("eternal") == Some("true") {
        return Ok((admin, None));
    }
    let wrong = Refusal::InvalidRequest("days is not a number from 1 on");
    let days = request.required("days", wrong)?.parse().ok().filter(|days| *days > 0);
    let days: u64 = days.ok_or(wrong)?;
    Ok((admin, Some(Duration::from_secs(days.saturating_mul(SECONDS_PER_DAY)))))
}
