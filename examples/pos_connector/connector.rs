//! What a point of sale asks its backend. No call looks after a token: the middleware does, for all of them.

use examples::BoxError;
use reqwest::redirect;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, RequestBuilder};
use reqwest_token_refresh::{ReqwestEndpoint, TokenRefreshMiddleware};
use serde::Deserialize;
use serde_json::json;
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::http::{Origins, Verdict};
use token_core::{ErrorKind, TokenKey, TokenManager};

pub(crate) struct PosConnector {
    url: String,
    profile: Profile,
    endpoint: ReqwestEndpoint,
    client: ClientWithMiddleware,
    /// What connectors have methods for is the manager's: `token()` ensures a valid one, `refresh_now()` logs in whether or
    /// not it is due, and `status().expires_within(…)` tells whether it ends soon.
    pub(crate) tokens: TokenManager,
}

#[derive(Deserialize)]
struct Invoice {
    id: u64,
    status: String,
}

impl PosConnector {
    pub(crate) fn new(profile: Profile, url: &str) -> Result<Self, BoxError> {
        let endpoint = ReqwestEndpoint::new(reqwest::Client::builder())?;
        let tokens = ProfileEndpoint::new(endpoint.clone(), profile.clone())
            .manager()
            .key(TokenKey::new(profile.name())?)
            .build()?;
        let origins = Origins::only(url.trim_end_matches('/'))?;
        let policy = profile.policy(origins.clone());
        let middleware = TokenRefreshMiddleware::new(tokens.clone(), origins)
            .classifier(move |head| policy.judge(head));
        // A redirect to the login page is a refusal; followed, it would be a page.
        let client = reqwest::Client::builder().redirect(redirect::Policy::none()).build()?;
        let client = ClientBuilder::new(client).with(middleware).build();
        Ok(Self { url: url.trim_end_matches('/').to_owned(), profile, endpoint, client, tokens })
    }

    /// Asks the backend whether it takes the token.
    pub(crate) async fn is_valid(&self) -> Result<bool, BoxError> {
        let token = self.tokens.token().await?;
        Ok(self.profile.probe(&self.endpoint, &token).await? == Verdict::Accepted)
    }

    pub(crate) async fn create_invoice(&self, what: &str, cents: u32) -> Result<u64, BoxError> {
        let invoice = json!({ "items": [{ "name": what, "price": cents }] });
        let request = self.client.post(self.path("")).json(&invoice);
        Ok(answer(request).await?.json::<Invoice>().await?.id)
    }

    pub(crate) async fn submit_invoice(&self, id: u64) -> Result<(), BoxError> {
        answer(self.client.post(self.path(&format!("/{id}/submit")))).await.map(drop)
    }

    pub(crate) async fn invoice_status(&self, id: u64) -> Result<String, BoxError> {
        let request = self.client.get(self.path(&format!("/{id}/status")));
        Ok(answer(request).await?.json::<Invoice>().await?.status)
    }

    pub(crate) async fn download_invoice_pdf(&self, id: u64) -> Result<Vec<u8>, BoxError> {
        let request = self.client.get(self.path(&format!("/{id}/pdf")));
        Ok(answer(request).await?.bytes().await?.to_vec())
    }

    fn path(&self, rest: &str) -> String {
        format!("{}/api/invoices{rest}", self.url)
    }
}

async fn answer(request: RequestBuilder) -> Result<reqwest::Response, BoxError> {
    Ok(request.send().await?.error_for_status()?)
}

/// What went wrong with a token, for whoever stands at the till.
pub(crate) fn in_short(error: &token_core::Error) -> &'static str {
    match error.kind() {
        ErrorKind::Configuration => "login refused",
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => "server unreachable",
        _ => "no token",
    }
}
