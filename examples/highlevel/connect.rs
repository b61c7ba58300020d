//! How a location is connected: the authorization code grant (RFC 6749 §4.1) with PKCE (RFC 7636).

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use examples::{BoxError, connector};
use form_urlencoded::Serializer;
use http::{Request, header};
use sha2::{Digest, Sha256};
use token_core::endpoint::HttpEndpoint;
use token_core::endpoint::profile::Profile;
use token_core::{Secret, TokenSet};
use tower_token_refresh::HyperEndpoint;

pub(crate) struct Connect {
    pub(crate) profile: Profile,
    pub(crate) authorize_url: String,
    pub(crate) token_url: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
}

/// What one browser has to bring back, and what only we know of it.
pub(crate) struct Attempt {
    pub(crate) state: String,
    pub(crate) verifier: String,
}

impl Attempt {
    pub(crate) fn new() -> Result<Self, BoxError> {
        Ok(Self { state: random()?, verifier: random()? })
    }
}

impl Connect {
    /// Where the browser goes.
    pub(crate) fn url(&self, attempt: &Attempt) -> String {
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&attempt.verifier));
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.scope)
            .append_pair("state", &attempt.state)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        format!("{}?{query}", self.authorize_url)
    }

    /// The tokens for the code that the browser brought.
    pub(crate) async fn exchange(&self, code: &str, verifier: &str) -> Result<TokenSet, BoxError> {
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("client_id", &self.client_id)
            .append_pair("client_secret", self.client_secret.expose_secret())
            .append_pair("code_verifier", verifier)
            .append_pair("user_type", "Location")
            .finish();
        let request = Request::post(&self.token_url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(Bytes::from(form))?;
        let answer = HyperEndpoint::new(connector()).send(request).await?;
        if !answer.status().is_success() {
            return Err(format!("the code was refused: {}", answer.status()).into());
        }
        Ok(self.profile.read(answer.body())?)
    }
}

/// 256 bits that nobody can guess.
fn random() -> Result<String, BoxError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}
