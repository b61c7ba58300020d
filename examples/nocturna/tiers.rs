//! Two tiers: an administrator's login makes service tokens, each a week before the end of the last, and the service token
//! gets access tokens.

use std::path::Path;

use examples::{BoxError, connector};
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::endpoint::{AfterLogin, WithBearer};
use token_core::{TokenKey, TokenManager, TokenManagerBuilder};
use token_store_file::FileStore;
use tower_token_refresh::HyperEndpoint;

/// What each tier is told by.
pub(crate) struct Profiles {
    /// How an administrator logs in.
    pub(crate) admin: Profile,
    pub(crate) service: Profile,
    pub(crate) access: Profile,
}

impl Profiles {
    pub(crate) fn shipped(url: &str) -> Result<Self, BoxError> {
        let at = |name| Profile::shipped(name)?.with_base_url(url);
        Ok(Self {
            admin: at("nocturna")?,
            service: at("nocturna-new-service-token")?,
            access: at("nocturna-access")?,
        })
    }
}

/// The service tokens, which last for months and so are kept in this directory.
pub(crate) fn service(
    profiles: &Profiles,
    directory: &Path,
) -> Result<TokenManagerBuilder, BoxError> {
    let admin = ProfileEndpoint::new(HyperEndpoint::new(connector()), profiles.admin.clone());
    let http = AfterLogin::new(HyperEndpoint::new(connector()), admin);
    Ok(ProfileEndpoint::new(http, profiles.service.clone())
        .manager()
        .key(TokenKey::new("nocturna-service")?)
        .store(FileStore::open(directory)?))
}

/// The access tokens, which the service tokens get.
pub(crate) fn access(
    profiles: &Profiles,
    service: &TokenManager,
) -> Result<TokenManagerBuilder, BoxError> {
    let http = WithBearer::new(HyperEndpoint::new(connector()), service.clone());
    Ok(ProfileEndpoint::new(http, profiles.access.clone())
        .manager()
        .key(TokenKey::new("nocturna-access")?))
}
