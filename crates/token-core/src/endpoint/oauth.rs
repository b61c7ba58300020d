use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Uri};
use zeroize::Zeroizing;

use crate::config_error::ConfigError;
use crate::http::check_url;
use crate::refresher::{RefreshError, Refresher, Spends};
use crate::secret::Secret;
use crate::token::TokenSet;

use super::answer::{code, read};
use super::refusal::refused_login;
use super::{ClientAuth, HttpEndpoint};

/// A token endpoint of RFC 6749, asked by one of its grants.
///
/// The URL must be `https`, or on loopback; the error for a wrong one comes from
/// [`build`](crate::TokenManagerBuilder::build).
pub struct TokenEndpoint<H> {
    http: H,
    url: String,
    even_http: bool,
    auth: ClientAuth,
    grant: Grant,
    parameters: Vec<(String, Secret)>,
}

enum Grant {
    RefreshToken { reusable: bool },
    ClientCredentials,
    Password { username: String, password: Secret },
}

impl<H: HttpEndpoint> TokenEndpoint<H> {
    /// Presents the refresh token (RFC 6749 §6), which counts as one-time unless
    /// [`with_reusable_refresh_token`](Self::with_reusable_refresh_token) says otherwise.
    pub fn refresh_token(http: H, url: impl Into<String>, auth: ClientAuth) -> Self {
        Self::new(http, url, auth, Grant::RefreshToken { reusable: false })
    }

    /// Asks in the client's own name (RFC 6749 §4.4).
    pub fn client_credentials(http: H, url: impl Into<String>, auth: ClientAuth) -> Self {
        Self::new(http, url, auth, Grant::ClientCredentials)
    }

    /// Logs in with a user's name and password (RFC 6749 §4.3), each time. A server that answers 400, 401, 403 or 422 without a
    /// code of RFC 6749 has refused the login, which is not tried again by itself.
    pub fn password(
        http: H,
        url: impl Into<String>,
        auth: ClientAuth,
        username: impl Into<String>,
        password: impl Into<Secret>,
    ) -> Self {
        Self::new(
            http,
            url,
            auth,
            Grant::Password { username: username.into(), password: password.into() },
        )
    }

    fn new(http: H, url: impl Into<String>, auth: ClientAuth, grant: Grant) -> Self {
        Self { http, url: url.into(), even_http: false, auth, grant, parameters: Vec::new() }
    }

    /// Asks for this scope. Default: none is named, which means that of the login.
    #[must_use]
    pub fn with_scope(self, scope: impl Into<String>) -> Self {
        self.with_parameter("scope", scope.into())
    }

    /// Adds a field to the form, such as `audience` or `resource`.
    #[must_use]
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Declares that the server takes a refresh token again and again. Refreshes then need no intent in the store. Wrong
    /// for a server that rotates: it loses the grant on the first crash or race.
    #[must_use]
    pub fn with_reusable_refresh_token(mut self) -> Self {
        if let Grant::RefreshToken { reusable } = &mut self.grant {
            *reusable = true;
        }
        self
    }

    /// Allows plain `http` to another machine, where secrets can be read on the way.
    #[must_use]
    pub fn even_http(mut self) -> Self {
        self.even_http = true;
        self
    }

    fn uri(&self) -> Result<Uri, ConfigError> {
        check_url("token endpoint", &self.url, self.even_http)
    }

    fn request(&self, current: Option<&TokenSet>) -> Result<Request<Bytes>, RefreshError> {
        let uri = self.uri().map_err(|error| RefreshError::configuration(error.to_string()))?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        match &self.grant {
            Grant::RefreshToken { .. } => {
                let Some(token) = current.and_then(TokenSet::refresh_token) else {
                    return Err(RefreshError::configuration(
                        "there is no refresh token to present",
                    ));
                };
                form.append_pair("grant_type", "refresh_token")
                    .append_pair("refresh_token", token.expose_secret());
            }
            Grant::ClientCredentials => {
                form.append_pair("grant_type", "client_credentials");
            }
            Grant::Password { username, password } => {
                form.append_pair("grant_type", "password")
                    .append_pair("username", username)
                    .append_pair("password", password.expose_secret());
            }
        }
        form.extend_pairs(self.auth.fields());
        form.extend_pairs(
            self.parameters.iter().map(|(name, value)| (name.as_str(), value.expose_secret())),
        );
        // Wiped when the client is done with it.
        let body = Bytes::from_owner(Zeroizing::new(form.finish().into_bytes()));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(value) = self.auth.header() {
            headers.insert(AUTHORIZATION, value);
        }
        Ok(request)
    }
}

impl<H: HttpEndpoint> Refresher for TokenEndpoint<H> {
    async fn refresh(&self, current: Option<&TokenSet>) -> Result<TokenSet, RefreshError> {
        let answer = self.http.send(self.request(current)?).await?;
        if matches!(self.grant, Grant::Password { .. })
            && let Some(error) = refused_login(answer.status(), code(&answer).as_deref())
        {
            return Err(error);
        }
        read(&answer, self.spends(current), SystemTime::now())
    }

    fn spends(&self, _current: Option<&TokenSet>) -> Spends {
        match self.grant {
            Grant::RefreshToken { reusable: false } => Spends::RefreshToken,
            Grant::RefreshToken { reusable: true } => Spends::Reusable,
            Grant::ClientCredentials | Grant::Password { .. } => Spends::Nothing,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.uri()?;
        self.auth.check()?;
        self.http.check()
    }
}

impl<H> fmt::Debug for TokenEndpoint<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grant = match self.grant {
            Grant::RefreshToken { .. } => "refresh_token",
            Grant::ClientCredentials => "client_credentials",
            Grant::Password { .. } => "password",
        };
        f.debug_struct("TokenEndpoint")
            .field("grant", &grant)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
