use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use http::Request;

use super::Profile;
use super::description::{Ask, Current};
use super::unknown_end::Told;
use crate::config_error::ConfigError;
use crate::endpoint::HttpEndpoint;
use crate::key::TokenKey;
use crate::manager::{TokenManager, TokenManagerBuilder};
use crate::refresher::{Outcome, RefreshError, Refresher, Spends};
use crate::token::TokenSet;
use crate::unsent::before_sending;

/// A token endpoint that a [`Profile`] describes.
///
/// Where the profile has both a refresh and a login, a grant without the tokens that the refresh presents logs in. So does
/// one whose token is refused (`invalid-grant`), as with [`or_login`](Refresher::or_login).
///
/// # Example
///
/// ```
/// use token_core::endpoint::profile::{Profile, ProfileEndpoint};
/// # use bytes::Bytes;
/// # use http::{Request, Response};
/// # use token_core::RefreshError;
/// # use token_core::endpoint::HttpEndpoint;
/// # struct Http;
/// # impl HttpEndpoint for Http {
/// #     async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, RefreshError> {
/// #         assert_eq!(request.headers()["x-auth-token"], "the token of the login");
/// #         let body = r#"{"datas":{"token":"t2","refresh_token":"r2","token_valid":"604800"},"err_code":"0"}"#;
/// #         Ok(Response::new(Bytes::from_static(body.as_bytes())))
/// #     }
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let akuvox = Profile::shipped("akuvox")?;
/// let login = br#"{"datas":{"token":"the token of the login","refresh_token":"r1","token_valid":"604800"},"err_code":"0"}"#;
/// let first = akuvox.read(login)?;
///
/// // `Http` is the HTTP client, such as `tower_token_refresh::HyperEndpoint`.
/// let tokens = ProfileEndpoint::new(Http, akuvox).manager().seed(first).build()?;
/// assert_eq!(tokens.refresh_now().await?.expose_secret(), "t2");
/// # Ok(())
/// # }
/// ```
pub struct ProfileEndpoint<H> {
    http: H,
    profile: Profile,
    told: Told,
}

impl<H: HttpEndpoint> ProfileEndpoint<H> {
    /// An endpoint of this profile over an HTTP client.
    pub const fn new(http: H, profile: Profile) -> Self {
        Self { http, profile, told: Told::nothing() }
    }

    /// Starts to build a manager with the profile's own settings: when to refresh, the server's grace window, and its name as
    /// the [key](TokenManagerBuilder::key), so that two profiles in one store are two grants.
    ///
    /// [`TokenManager::builder`] would start with the defaults.
    pub fn manager(self) -> TokenManagerBuilder {
        let profile = self.profile.clone();
        let mut builder = TokenManager::builder(self).freshness(profile.freshness());
        // A profile whose name is no key's does not load.
        if let Ok(key) = TokenKey::new(profile.name()) {
            builder = builder.key(key);
        }
        match profile.description.grace_window {
            Some(window) => builder.grace_window(window),
            None => builder,
        }
    }

    /// What the next exchange of these tokens is.
    fn next(&self, current: Option<&TokenSet>) -> Ask {
        let Some(refresh) = &self.profile.description.refresh else { return Ask::Login };
        if self.profile.description.login.is_none() {
            return Ask::Refresh;
        }
        let has = |token| match (token, current) {
            (_, None) => false,
            (Current::AccessToken, Some(tokens)) => tokens.access_token().is_some(),
            (Current::RefreshToken, Some(tokens)) => tokens.refresh_token().is_some(),
        };
        let lacks = |token| refresh.presents(token) && !has(token);
        if lacks(Current::AccessToken) || lacks(Current::RefreshToken) {
            Ask::Login
        } else {
            Ask::Refresh
        }
    }

    async fn ask(&self, ask: Ask, current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let request = self.request(ask, current).await?;
        let answer = self.http.send(request).await?;
        let description = &self.profile.description;
        let tokens = description.read(ask, &answer, SystemTime::now())?;
        description.tell_unknown_end(&answer, &tokens, &self.told);
        Ok(tokens)
    }

    /// Builds a request where reading a file may take its time.
    async fn request(
        &self,
        ask: Ask,
        current: Option<&TokenSet>,
    ) -> Result<Request<Bytes>, RefreshError> {
        let profile = self.profile.clone();
        let current = current.cloned();
        let build = move || profile.request(ask, current.as_ref());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return build() };
        let built = before_sending("what the request presents", runtime.spawn_blocking(build));
        built.await.unwrap_or_else(|_| {
            Err(RefreshError::not_sent("the runtime went away before the request was built"))
        })
    }

    /// Whether there is a login for a grant whose access token is what a refresh presents. Such a token is also what
    /// requests are served with, so it cannot be taken off the grant as a dead refresh token is.
    fn logs_in_at_once(&self) -> bool {
        let description = &self.profile.description;
        let refresh = description.refresh.as_ref();
        description.login.is_some()
            && refresh.is_some_and(|refresh| !refresh.presents(Current::RefreshToken))
    }
}

impl<H: HttpEndpoint> Refresher for ProfileEndpoint<H> {
    async fn refresh(&self, current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let ask = self.next(current);
        let result = self.ask(ask, current).await;
        let refused = matches!(&result, Err(error) if error.outcome() == Outcome::InvalidGrant);
        if refused && ask == Ask::Refresh && self.logs_in_at_once() {
            return self.ask(Ask::Login, None).await;
        }
        result
    }

    fn spends(&self, current: Option<&TokenSet>) -> Spends {
        match self.next(current) {
            Ask::Refresh if self.logs_in_at_once() => Spends::Nothing,
            ask => self.profile.description.stake(ask),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.profile.check()?;
        self.http.check()
    }
}

impl<H> fmt::Debug for ProfileEndpoint<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileEndpoint").field("profile", &self.profile).finish_non_exhaustive()
    }
}
