use http::{HeaderName, response};
use token_core::TokenManager;
use token_core::http::{Origins, Policy, Scheme, Verdict};
use tower_layer::Layer;

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
}

impl<S: Clone, T: Clone> Layer<S> for TokenRefreshLayer<T> {
    type Service = TokenRefresh<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        TokenRefresh::new(inner, self.source.clone(), self.policy.clone())
    }
}
