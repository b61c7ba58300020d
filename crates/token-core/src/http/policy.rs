use std::fmt;
use std::sync::{Arc, Once};

#[cfg(feature = "profile")]
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, Method, Uri, request, response};

use super::attach::Scheme;
use super::challenge::{Verdict, judge};
use super::origin::{Origins, are_of_one_origin, is_relative};
#[cfg(feature = "profile")]
use crate::endpoint::profile::RefusedToken;
use crate::guard::Guard;
use crate::token::Token;

/// The largest body, in bytes, that is remembered for a replay.
const DEFAULT_BODY_LIMIT: usize = 64 * 1024;

/// A request extension: send this request without a token, and leave its answer alone.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoToken;

impl NoToken {
    /// The extension.
    pub const fn new() -> Self {
        Self
    }
}

/// A request extension: do not send this request a second time. It gets a token, and its body is not remembered.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct NoReplay;

impl NoReplay {
    /// The extension.
    pub const fn new() -> Self {
        Self
    }
}

type Classifier = dyn Fn(&response::Parts) -> Verdict + Send + Sync;

/// The settings of an adapter, and the rules that follow from them.
#[derive(Clone)]
pub struct Policy {
    origins: Origins,
    header: HeaderName,
    scheme: Scheme,
    classifier: Option<Arc<Classifier>>,
    #[cfg(feature = "profile")]
    refused: Option<RefusedToken>,
    body_limit: usize,
    /// Whoever forgets `Origins::and_relative` sees 401s and no reason.
    relative_logged: Arc<Once>,
}

impl Policy {
    /// Tokens go to these origins as `Authorization: Bearer`; bodies of up to 64 KiB are remembered.
    pub fn new(origins: Origins) -> Self {
        Self {
            origins,
            header: AUTHORIZATION,
            scheme: Scheme::BEARER,
            classifier: None,
            #[cfg(feature = "profile")]
            refused: None,
            body_limit: DEFAULT_BODY_LIMIT,
            relative_logged: Arc::new(Once::new()),
        }
    }

    /// Sets the header that carries the token. Default: `Authorization`.
    #[must_use]
    pub fn header(mut self, name: HeaderName) -> Self {
        self.header = name;
        self
    }

    /// The header that carries the token.
    pub const fn header_name(&self) -> &HeaderName {
        &self.header
    }

    /// Sets what stands before the token. Default: `Bearer`.
    #[must_use]
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// Sets what counts as a refusal, from the answer's head. Default: see the [module's](super) second rule.
    #[must_use]
    pub fn classifier(
        mut self,
        classifier: impl Fn(&response::Parts) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.classifier = Some(Arc::new(classifier));
        self
    }

    /// Sets what a refused token looks like beside what the classifier says.
    #[cfg(feature = "profile")]
    pub(crate) fn refused(mut self, refused: RefusedToken) -> Self {
        self.refused = Some(refused);
        self
    }

    /// Sets up to how many bytes of a body are remembered for a replay. Default: 64 KiB. 0 remembers none.
    #[must_use]
    pub const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Whether this request gets a token.
    pub fn wants_token(&self, head: &request::Parts) -> bool {
        head.method != Method::CONNECT
            && !(head.headers.contains_key(&self.header) && Guard::OwnAuthorization.on())
            && head.extensions.get::<NoToken>().is_none()
            && (self.allows(&head.uri) || !Guard::Origin.on())
    }

    fn allows(&self, uri: &Uri) -> bool {
        let allowed = self.origins.allow(uri);
        if !allowed && is_relative(uri) {
            self.relative_logged.call_once(|| {
                tracing::warn!(
                    "a request whose URI has no origin is sent without a token; give it one, or allow it with \
                     `Origins::and_relative`"
                );
            });
        } else if !allowed {
            let (scheme, host, port) = (uri.scheme_str(), uri.host(), uri.port_u16());
            tracing::debug!(scheme, host, port, "sent without a token: the origin is not allowed");
        }
        allowed
    }

    /// Up to how many bytes of this request's body are remembered.
    pub fn limit_for(&self, head: &request::Parts) -> Option<usize> {
        head.extensions.get::<NoReplay>().is_none().then_some(self.body_limit)
    }

    /// Puts the token into the headers.
    pub fn attach(&self, headers: &mut HeaderMap, token: &Token) {
        // A token is made of a valid header value, and a scheme's name adds nothing that is not valid in one.
        if let Ok(value) = self.scheme.value(token) {
            headers.insert(self.header.clone(), value);
        }
    }

    /// What this answer says of the token.
    pub fn judge(&self, head: &response::Parts) -> Verdict {
        #[cfg(feature = "profile")]
        if let Some(refused) = &self.refused
            && refused.judge(head, &[]) == Verdict::Refused
        {
            return Verdict::Refused;
        }
        match &self.classifier {
            Some(classifier) => classifier(head),
            None => judge(head, self.scheme.name()),
        }
    }

    /// Where the head leaves it open whether the token was refused: what to [look at the body](RefusedToken::peek) by.
    #[cfg(feature = "profile")]
    pub fn left_open(&self, head: &response::Parts) -> Option<&RefusedToken> {
        let refused = self.refused.as_ref()?;
        (refused.needs_body(head) && self.judge(head) == Verdict::Accepted).then_some(refused)
    }

    /// Whether any body is ever looked at.
    #[cfg(feature = "profile")]
    pub fn looks_at_bodies(&self) -> bool {
        self.refused.as_ref().is_some_and(RefusedToken::knows_bodies)
    }

    /// The same as [`judge`](Self::judge) over a client that follows redirects: `asked` is where the request was sent, and `answered_by` whose answer
    /// it is. Clients take credentials off a request that is redirected to another origin, so that origin's refusal says
    /// nothing of the token.
    pub fn judge_answer_from(
        &self,
        head: &response::Parts,
        asked: &Uri,
        answered_by: impl FnOnce() -> Option<Uri>,
    ) -> Verdict {
        match self.judge(head) {
            Verdict::Refused if answered_by().is_some_and(|by| are_of_one_origin(asked, &by)) => {
                Verdict::Refused
            }
            _ => Verdict::Accepted,
        }
    }

    /// [`left_open`](Self::left_open) over a client that follows redirects.
    #[cfg(feature = "profile")]
    pub fn left_open_by_answer_from(
        &self,
        head: &response::Parts,
        asked: &Uri,
        answered_by: impl FnOnce() -> Option<Uri>,
    ) -> Option<&RefusedToken> {
        let refused = self.left_open(head)?;
        answered_by().is_some_and(|by| are_of_one_origin(asked, &by)).then_some(refused)
    }

    /// Whether there are redirects at which a client that follows them has to [stop](Self::stops_at).
    #[cfg(feature = "profile")]
    pub fn knows_redirects(&self) -> bool {
        self.refused.as_ref().is_some_and(RefusedToken::knows_redirects)
    }

    /// Whether a client that follows redirects has to stop at this one, because it may be what a refusal looks like: the
    /// redirect from `answered_by` to `to`, on the way of a request that was sent to `asked`.
    #[cfg(feature = "profile")]
    pub fn stops_at(&self, status: StatusCode, asked: &Uri, answered_by: &Uri, to: &Uri) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.may_be_redirect(status, to.path()))
            && self.origins.allow(asked)
            && are_of_one_origin(asked, answered_by)
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("origins", &self.origins)
            .field("header", &self.header)
            .field("scheme", &self.scheme)
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn policy() -> Policy {
        Policy::new(Origins::only("https://api.example.com").unwrap())
    }

    fn wants(change: impl FnOnce(http::request::Builder) -> http::request::Builder) -> bool {
        let request = change(http::Request::get("https://api.example.com/x"));
        policy().wants_token(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    pub(crate) fn a_token_goes_to_allowed_origins_only() {
        assert!(wants(|r| r));
        assert!(!wants(|r| r.uri("https://evil.example/x")));
    }

    #[test]
    pub(crate) fn a_token_does_not_go_over_the_callers_own() {
        assert!(!wants(|r| r.header("authorization", "Basic x")));
    }

    #[test]
    fn a_request_can_be_sent_without_a_token() {
        assert!(!wants(|r| r.extension(NoToken)));
        assert!(!wants(|r| r.method(Method::CONNECT)));
    }

    #[test]
    fn the_refusal_of_another_origin_is_none_of_ours() {
        let refusal = http::Response::builder().status(401).body(()).unwrap().into_parts().0;
        let judge = |asked: &str, answered_by: &str| {
            let answered_by = || answered_by.parse().ok();
            policy().judge_answer_from(&refusal, &asked.parse().unwrap(), answered_by)
        };
        let asked = "https://api.example.com/a";
        for ours in [asked, "https://API.example.com:443/b?c"] {
            assert_eq!(judge(asked, ours), Verdict::Refused, "{ours}");
        }
        let others =
            ["http://api.example.com/a", "https://api.example.com:8443/a", "https://example.com/a"];
        for other in others {
            assert_eq!(judge(asked, other), Verdict::Accepted, "{other}");
        }
    }

    #[test]
    fn a_header_and_a_scheme_of_the_apis_own() {
        let token = Token::new(&"secret".into(), crate::Version::FIRST, None).unwrap();
        let mut headers = HeaderMap::new();
        let raw = policy().header(HeaderName::from_static("x-auth-token")).scheme(Scheme::RAW);
        raw.attach(&mut headers, &token);
        assert_eq!(headers["x-auth-token"], "secret");
        assert!(headers["x-auth-token"].is_sensitive());
        policy().scheme(Scheme::named("Token").unwrap()).attach(&mut headers, &token);
        assert_eq!(headers["authorization"], "Token secret");
        assert!(Scheme::named("two words").is_err());
    }
}
