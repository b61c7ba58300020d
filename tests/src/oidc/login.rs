//! The authorization-code flow with PKCE (RFC 6749 §4.1, RFC 7636), as an application and a browser do it.

use std::collections::BTreeMap;

use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    PkceCodeChallenge, RedirectUrl, Scope, TokenResponse, TokenUrl,
};
use token_core::TokenSet;

use super::{CLIENT_ID, CLIENT_SECRET, OidcProvider};

const REDIRECT_URL: &str = "http://127.0.0.1/callback";

impl OidcProvider {
    /// Somebody logs in and consents: the tokens of a new grant.
    ///
    /// # Panics
    ///
    /// The server says no.
    pub async fn log_in(&self) -> TokenSet {
        let client = BasicClient::new(ClientId::new(CLIENT_ID.into()))
            .set_client_secret(ClientSecret::new(CLIENT_SECRET.into()))
            .set_auth_uri(AuthUrl::new(format!("{}/auth", self.url)).expect("a URL"))
            .set_token_uri(TokenUrl::new(self.token_url()).expect("a URL"))
            .set_redirect_uri(RedirectUrl::new(REDIRECT_URL.into()).expect("a URL"));
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = client
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new("openid".into()))
            .add_scope(Scope::new("offline_access".into()))
            // OpenID Connect Core §11: without it there is no offline access.
            .add_extra_param("prompt", "consent")
            .set_pkce_challenge(challenge)
            .url();

        let callback = self.browse(url.as_str()).await;
        let mut fields: BTreeMap<_, _> =
            form_urlencoded::parse(callback.as_bytes()).into_owned().collect();
        assert_eq!(fields.get("state"), Some(state.secret()), "{callback}");
        let code = fields.remove("code").expect("a code");
        let answer = client
            .exchange_code(AuthorizationCode::new(code))
            .set_pkce_verifier(verifier)
            .request_async(&async |request: HttpRequest| self.token_request(request).await)
            .await
            .expect("tokens");
        let refresh_token = answer.refresh_token().expect("offline access");
        TokenSet::new(answer.access_token().secret().as_str())
            .with_refresh_token(refresh_token.secret().as_str())
            .with_expires_in(answer.expires_in().expect("a lifetime"))
    }

    /// Follows the redirects with a jar of cookies, clicks through the pages, and returns the callback's query.
    async fn browse(&self, url: &str) -> String {
        let mut jar = BTreeMap::new();
        let mut url = url.to_owned();
        // One redirect to each of two pages, one from each, and the callback.
        for _ in 0..8 {
            if let Some(query) = url.strip_prefix(REDIRECT_URL) {
                return query.trim_start_matches('?').to_owned();
            }
            let path = url.strip_prefix(&self.url).unwrap_or(&url);
            let method = if path.starts_with("/interaction/") { "POST" } else { "GET" };
            let mut headers = HeaderMap::new();
            let cookies: Vec<_> =
                jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.insert(COOKIE, HeaderValue::try_from(cookies.join("; ")).expect("cookies"));
            let answer = self.send(method, path, headers, "").await;
            for cookie in answer.headers.get_all(SET_COOKIE) {
                let cookie = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
                let (name, value) = cookie.split_once('=').expect("a name and a value");
                // A server takes a cookie back by making it empty.
                match value {
                    "" => jar.remove(name),
                    _ => jar.insert(name.to_owned(), value.to_owned()),
                };
            }
            url =
                answer.header(LOCATION.as_str()).unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        }
        panic!("the login goes round in circles, last to {url}");
    }

    /// The HTTP of the `oauth2` crate.
    async fn token_request(&self, request: HttpRequest) -> Result<HttpResponse, std::io::Error> {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(body).map_err(std::io::Error::other)?;
        let answer = self.send(head.method.as_str(), head.uri.path(), head.headers, &body).await;
        let mut response = HttpResponse::new(answer.body.into());
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
