#![doc = include_str!("../../../docs/profiles.md")]

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{Request, Response};

use crate::config_error::ConfigError;
use crate::endpoint::HttpEndpoint;
use crate::freshness::{Freshness, WIDEST_WINDOW};
use crate::http::{Origins, Policy, Verdict};
use crate::refresher::RefreshError;
use crate::token::{Token, TokenSet};

mod answer;
mod condition;
mod description;
mod document;
mod duration;
mod endpoint;
mod expiry;
mod literal;
mod load;
mod pointer;
mod refused;
mod request;
mod secret;
mod shipped;
#[cfg(test)]
mod tests;
mod unknown_end;
mod url;

use self::description::{Ask, Description};
pub use self::endpoint::ProfileEndpoint;
use self::expiry::Form;
pub use self::refused::RefusedToken;
pub use self::shipped::SHIPPED;
use self::unknown_end::Told;

/// Somebody else's token endpoint, described as data. Cheap to clone.
///
/// # Example
///
/// ```
/// use token_core::endpoint::profile::Profile;
///
/// # fn main() -> Result<(), token_core::ConfigError> {
/// let profile: Profile = r#"
///     name = "parking"
///     [login]
///     url = "https://parking.example/v1/session"
///     json = { user = "garage-7", password = { env = "PARKING_PASSWORD" } }
///     [answer]
///     access_token = "/session/key"
///     expires = { form = "iso8601", at = "/session/until", zone = "Europe/Berlin", default = "1h" }
/// "#.parse()?;
/// assert_eq!(profile.name(), "parking");
///
/// let error = "name = \"parking\"\n[login]\nurl = \"http://parking.example/\"".parse::<Profile>().unwrap_err();
/// assert!(error.to_string().contains("in line 3: `http://parking.example` is plain http"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Profile {
    description: Arc<Description>,
}

impl Profile {
    /// One of the profiles that come with this crate, by its name in [`SHIPPED`].
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub fn shipped(name: &str) -> Result<Self, ConfigError> {
        match SHIPPED.iter().find(|(shipped, _)| *shipped == name) {
            Some((_, text)) => text.parse(),
            None => {
                let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
                Err(ConfigError::new(format!(
                    "there is no profile {name:?}; there are {}",
                    names.join(", ")
                )))
            }
        }
    }

    /// Reads a profile from a file of TOML.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or it says something that cannot be; the error names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let named = |why: &dyn fmt::Display| {
            ConfigError::new(format!("the profile {} is not loaded: {why}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
        text.parse().map_err(|error: ConfigError| named(&error))
    }

    /// Sets the base URL, in front of every URL of the profile that is a path: for a server that each customer has one of.
    ///
    /// # Errors
    ///
    /// It is no URL, or it is plain `http` to another machine and the profile does not say `even_http`.
    pub fn with_base_url(mut self, url: impl Into<String>) -> Result<Self, ConfigError> {
        let url = url.into();
        url::check_base(&url, self.description.even_http).map_err(ConfigError::new)?;
        Arc::make_mut(&mut self.description).base_url = Some(url);
        Ok(self)
    }

    /// Sets the zone of the answer's local times: for a server that each customer has one of.
    ///
    /// # Errors
    ///
    /// There is no such zone, or the profile's times are of another form than `iso8601`.
    pub fn with_zone(mut self, name: &str) -> Result<Self, ConfigError> {
        let new = load::zone(name).map_err(ConfigError::new)?;
        match &mut Arc::make_mut(&mut self.description).answer.expires.form {
            Form::Iso8601(_, zone) => *zone = Some(new),
            _ => {
                return Err(ConfigError::new(
                    "the profile reads no local times; leave the zone out",
                ));
            }
        }
        Ok(self)
    }

    /// The profile's name.
    pub fn name(&self) -> &str {
        &self.description.name
    }

    /// Reads the tokens of an answer that came in another way, such as that of a login with a code by SMS.
    ///
    /// # Errors
    ///
    /// The profile takes it for a refusal, or finds no access token in it.
    pub fn read(&self, answer: &[u8]) -> Result<TokenSet, RefreshError> {
        let answer = Response::new(Bytes::copy_from_slice(answer));
        let tokens = self.description.read(Ask::Login, &answer, SystemTime::now())?;
        self.description.tell_unknown_end(&answer, &tokens, &Told::nothing());
        Ok(tokens)
    }

    /// What a refused token looks like on the API.
    pub fn refused_token(&self) -> RefusedToken {
        RefusedToken::new(&self.description.api.refused)
    }

    /// The rules for requests to the API: which header carries the token, and what a refused one looks like.
    ///
    /// Of a body they only say that it has to be looked at: [`Policy::left_open`].
    pub fn policy(&self, origins: Origins) -> Policy {
        self.apply_to(Policy::new(origins))
    }

    /// The same over a policy with settings of its own: its origins, its body limit, and its classifier, which counts beside
    /// the profile.
    #[must_use]
    pub fn apply_to(&self, policy: Policy) -> Policy {
        let api = &self.description.api;
        policy.header(api.header.clone()).scheme(api.scheme.clone()).refused(self.refused_token())
    }

    /// Asks the API's probe whether it takes this token.
    ///
    /// # Errors
    ///
    /// The profile has no probe, or there was no answer.
    pub async fn probe(
        &self,
        http: &impl HttpEndpoint,
        token: &Token,
    ) -> Result<Verdict, RefreshError> {
        let wrong = |error: ConfigError| RefreshError::configuration(error.to_string());
        let description = &self.description;
        let Some(probe) = &description.api.probe else {
            return Err(RefreshError::configuration(
                "the profile has no probe; add `probe` to `[api]`",
            ));
        };
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = probe.resolve(description.base_url.as_deref(), "").map_err(wrong)?;
        // Where the token may go was judged with the profile's URLs, and is not asked here.
        let policy = self.policy(Origins::only("https://localhost").map_err(wrong)?);
        policy.attach(request.headers_mut(), token);
        let (head, body) = http.send(request).await?.into_parts();
        Ok(match self.refused_token().judge(&head, &body) {
            Verdict::Refused => Verdict::Refused,
            Verdict::Accepted => policy.judge(&head),
        })
    }

    /// When tokens are refreshed. What a profile says is meant: also for tokens of which that is more than the fifth of
    /// their life that is the default.
    fn freshness(&self) -> Freshness {
        let mut freshness = Freshness::default();
        if let Some(before) = self.description.refresh_before {
            freshness = freshness.refresh_before(before).refresh_fraction(WIDEST_WINDOW);
        }
        match self.description.every {
            Some(interval) => freshness.every(interval),
            None => freshness,
        }
    }

    fn request(
        &self,
        ask: Ask,
        current: Option<&TokenSet>,
    ) -> Result<Request<Bytes>, RefreshError> {
        let description = &self.description;
        let rule = match ask {
            Ask::Login => &description.login,
            Ask::Refresh => &description.refresh,
        };
        let Some(rule) = rule else {
            return Err(RefreshError::configuration(
                "the profile has no such request; log in and call `login`",
            ));
        };
        rule.build(description.base_url.as_deref(), current)
    }

    /// What can only be seen once the profile is used: that there is a host, and that the secrets are there.
    fn check(&self) -> Result<(), ConfigError> {
        let description = &self.description;
        for rule in [&description.login, &description.refresh].into_iter().flatten() {
            rule.url.resolve(description.base_url.as_deref(), "")?;
            rule.check_secrets().map_err(|missing| {
                ConfigError::new(format!("profile `{}`: {missing}", self.name()))
            })?;
        }
        Ok(())
    }
}

/// Reads a profile from TOML.
impl FromStr for Profile {
    type Err = ConfigError;

    /// # Errors
    ///
    /// It says something that cannot be; the error names the line and the mend.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Ok(Self { description: Arc::new(load::load(text)?) })
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile").field("name", &self.description.name).finish_non_exhaustive()
    }
}
