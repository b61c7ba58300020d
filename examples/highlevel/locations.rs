//! The locations: each has a grant of its own, and a manager that looks after it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use examples::{BoxError, claim, connector, state_of};
use token_core::endpoint::profile::{Profile, ProfileEndpoint};
use token_core::store::TokenStore;
use token_core::{
    ConfigError, ErrorKind, Shutdown, Status, TokenKey, TokenManager, TokenManagerBuilder,
};
use token_store_file::FileStore;
use tower_token_refresh::HyperEndpoint;

type Settings = dyn Fn(TokenManagerBuilder) -> TokenManagerBuilder + Send + Sync;

pub(crate) struct Locations {
    profile: Profile,
    store: FileStore,
    settings: Box<Settings>,
    managers: Mutex<BTreeMap<String, TokenManager>>,
}

impl Locations {
    /// All that were ever connected in this directory, by whichever process. From now on their tokens are refreshed.
    pub(crate) async fn open(
        profile: Profile,
        directory: &Path,
        settings: impl Fn(TokenManagerBuilder) -> TokenManagerBuilder + Send + Sync + 'static,
    ) -> Result<Self, BoxError> {
        let store = FileStore::open(directory)?;
        let managers = Mutex::default();
        let locations = Self { profile, store, settings: Box::new(settings), managers };
        let mut page = locations.store.list(None).await?;
        loop {
            for key in page.keys() {
                // A location's id has no character that a key would write in another way.
                if let Some((_, location)) = key.as_str().split_once("/tenant=") {
                    locations.of(location)?;
                }
            }
            let Some(next) = page.next() else { return Ok(locations) };
            page = locations.store.list(Some(next.clone())).await?;
        }
    }

    /// The tokens of this location, connected or not.
    pub(crate) fn of(&self, location: &str) -> Result<TokenManager, ConfigError> {
        let mut managers = self.managers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = managers.get(location) {
            return Ok(tokens.clone());
        }
        let endpoint = HyperEndpoint::new(connector());
        let tokens = ProfileEndpoint::new(endpoint, self.profile.clone())
            .manager()
            .key(TokenKey::new("highlevel")?.with_tenant(location)?)
            .store(self.store.clone());
        let tokens = (self.settings)(tokens).build()?;
        managers.insert(location.to_owned(), tokens.clone());
        Ok(tokens)
    }

    /// How each stands, and what to do. There is no secret in it.
    pub(crate) fn report(&self) -> String {
        self.all().iter().map(|tokens| line(&tokens.status()) + "\n").collect()
    }

    /// Waits until what was refreshed is stored.
    pub(crate) async fn shutdown(&self) -> Result<(), BoxError> {
        for tokens in self.all() {
            let end = tokens.shutdown(Duration::from_secs(30)).await;
            claim!(end == Shutdown::Clean, "{}: {end:?}", tokens.key());
        }
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<TokenManager> {
        let managers = self.managers.lock().unwrap_or_else(PoisonError::into_inner);
        managers.values().cloned().collect()
    }
}

fn line(status: &Status) -> String {
    let advice = match status.last_error().map(|error| error.kind()) {
        None => return state_of(status),
        Some(ErrorKind::NeedsLogin) if status.version().is_none() => "it was never connected",
        Some(ErrorKind::NeedsLogin) => "refused: connect it again",
        Some(ErrorKind::Configuration) => {
            "the app was refused: correct GHL_CLIENT_ID and GHL_CLIENT_SECRET"
        }
        Some(_) => "not reached: it is tried again by itself",
    };
    format!("{}; {advice}", state_of(status))
}
