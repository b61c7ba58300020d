use http::{HeaderName, response};
use token_core::TokenManager;
#[cfg(feature = "profile")]
use token_core::endpoint::profile::Profile;
use token_core::http::{Origins, Policy, Scheme, Verdict};
use tower_layer::Layer;
#[cfg(feature = "profile")]
use tower_layer::Stack;

#[cfg(feature = "profile")]
use crate::bodies::LookAtBodiesLayer;

use crate::service::TokenRefresh;

/// Makes [`TokenRefresh`] services. See the [crate's documentation](crate).
#[derive(Clone, Debug)]
#[must_use]
pub struct TokenRefreshLayer<T = TokenManager> {
    source: T,
    policy: Policy,
}

impl<T> TokenRefreshLayer<T> {
    /// A layer that sends tokens of this source to these origins and to no other.
    pub fn new(source: T, origins: Origins) -> Self {
        Self { source, policy: Policy::new(origins) }
    }

    /// Sets the header that carries the token. Default: `Authorization`.
    pub fn header(mut self, name: HeaderName) -> Self {
        self.policy = self.policy.header(name);
        self
    }

    /// Sets what stands before the token. Default: `Bearer`.
    pub fn scheme(mut self, scheme: Scheme) -> Self {
        self.policy = self.policy.scheme(scheme);
        self
    }

    /// Sets what counts as a refusal, from the answer's head. Default: see [`token_core::http`].
    pub fn classifier(
        mut self,
        classifier: impl Fn(&response::Parts) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.policy = self.policy.classifier(classifier);
        self
    }

    /// Sets up to how many bytes of a request's body are remembered for a replay. A longer body is sent once; refused, its
    /// caller gets the refusal. Default: 64 KiB.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.policy = self.policy.body_limit(bytes);
        self
    }

    /// Goes by this profile of an API: its header, its scheme, and what a refused token looks like, beside what the
    /// classifier says. Other settings come before.
    ///
    /// Where a value in the body decides, an answer that may be JSON is held up until that value was found or cannot come any
    /// more, at most for its first 8 KiB, and then passes whole. The answer's body is therefore of another type,
    /// [`PeekedBody`](token_core::http::PeekedBody). Nothing below may compress it, or follow a redirect that the profile
    /// takes for a refusal.
    ///
    /// # Example
    ///
    /// ```
    /// use token_core::endpoint::profile::Profile;
    /// use token_core::http::Origins;
    /// use token_core::{ConfigError, TokenManager};
    /// use tower::ServiceBuilder;
    /// use tower_token_refresh::TokenRefreshLayer;
    /// # use bytes::Bytes;
    /// # use http_body_util::Empty;
    /// # use hyper_util::client::legacy::{Client, connect::HttpConnector};
    /// # use hyper_util::rt::TokioExecutor;
    ///
    /// fn hub(connector: HttpConnector, tokens: TokenManager, akuvox: &Profile) -> Result<(), ConfigError> {
    ///     let origins = Origins::only("https://gate.ecloud.akuvox.com:8600")?;
    ///     let client = ServiceBuilder::new()
    ///         .layer(TokenRefreshLayer::new(tokens, origins).for_profile(akuvox))
    ///         .service(Client::builder(TokioExecutor::new()).build(connector));
    ///     # fn is_a_client<S: tower::Service<http::Request<Empty<Bytes>>>>(_: S) {}
    ///     # is_a_client(client);
    ///     Ok(())
    /// }
    /// ```
    #[cfg(feature = "profile")]
    pub fn for_profile(mut self, profile: &Profile) -> Stack<LookAtBodiesLayer, Self> {
        self.policy = profile.apply_to(self.policy);
        Stack::new(LookAtBodiesLayer::new(self.policy.clone()), self)
    }
}

impl<S: Clone, T: Clone> Layer<S> for TokenRefreshLayer<T> {
    type Service = TokenRefresh<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenRefresh::new(inner, self.source.clone(), self.policy.clone())
    }
}
