use std::sync::{Mutex, PoisonError};

use http::response;
use token_core::http::{Policy, Verdict};

/// What every call and every clone shares.
pub(crate) struct Kept<S, T> {
    /// Cloned for a replay, and for nothing else. Behind a lock, because a service need not be `Sync`.
    prototype: Mutex<S>,
    pub(crate) source: T,
    pub(crate) policy: Policy,
}

impl<S, T> Kept<S, T> {
    pub(crate) const fn new(prototype: S, source: T, policy: Policy) -> Self {
        Self { prototype: Mutex::new(prototype), source, policy }
    }

    /// What an answer says of the token.
    pub(crate) fn judge(&self, head: &mut response::Parts) -> Verdict {
        #[cfg(feature = "profile")]
        if self.policy.looks_at_bodies() && crate::bodies::was_refused(head) {
            return Verdict::Refused;
        }
        self.policy.judge(head)
    }
}

impl<S: Clone, T> Kept<S, T> {
    pub(crate) fn service(&self) -> S {
        self.prototype.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
