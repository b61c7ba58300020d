//! The client of a hub, and the manager of its tokens.

use std::path::Path;

use bytes::Bytes;
use examples::{BoxError, Https, connector};
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::http::{Origins, ReplayBody};
use token_core::{TokenKey, TokenManager, TokenManagerBuilder};
use token_store_file::FileStore;
use tower::{Layer, Service, ServiceExt};
use tower_token_refresh::{HyperEndpoint, LookAtBodies, TokenRefresh, TokenRefreshLayer};

/// The cloud talks to its app only.
pub(crate) const USER_AGENT: &str = "VBell/6.61.2 (iPhone; iOS 16.6; Scale/3.00)";

pub(crate) struct Hub {
    url: String,
    client: TokenRefresh<LookAtBodies<Client<Https, ReplayBody<Empty<Bytes>>>>>,
}

/// A manager whose tokens outlive this process.
pub(crate) fn manager(
    profile: &Profile,
    directory: &Path,
) -> Result<TokenManagerBuilder, BoxError> {
    let tokens = ProfileEndpoint::new(HyperEndpoint::new(connector()), profile.clone())
        .manager()
        .key(TokenKey::new(profile.name())?)
        .store(FileStore::open(directory)?);
    Ok(tokens)
}

/// The path may begin with its slash or not.
fn url(base: &str, path: &str) -> String {
    format!("{}/{}", base.trim_end_matches('/'), path.trim_start_matches('/'))
}

impl Hub {
    pub(crate) fn new(
        profile: &Profile,
        url: &str,
        tokens: TokenManager,
    ) -> Result<Self, BoxError> {
        let layer = TokenRefreshLayer::new(tokens, Origins::only(url)?).for_profile(profile);
        let client = layer.layer(Client::builder(TokioExecutor::new()).build(connector()));
        Ok(Self { url: url.to_owned(), client })
    }

    /// What is in the envelope.
    pub(crate) async fn get(&mut self, path: &str) -> Result<Value, BoxError> {
        let request = Request::get(url(&self.url, path))
            .header(header::USER_AGENT, USER_AGENT)
            .body(Empty::new())?;
        let answer = self.client.ready().await?.call(request).await?;
        let answer: Value =
            serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
        match answer["err_code"].as_str() {
            Some("0") => Ok(answer["datas"].clone()),
            code => Err(format!("the hub answers err_code {code:?}: {}", answer["message"]).into()),
        }
    }
}
