//! How an attempt says, from deep within a [`Refresher`](crate::Refresher), that nothing of it is under way.
//!
//! An attempt that overruns its deadline counts as ambiguous, which costs a one-time refresh token its availability. Where it
//! only waited for a credential of its own, nothing was sent, and the token is as good as before.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

tokio::task_local! {
    static ATTEMPT: Unsent;
}

/// What an attempt waits for while nothing of it is under way. Clones are of the same attempt.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unsent(Arc<Mutex<Option<&'static str>>>);

impl Unsent {
    /// Runs an attempt, which can then use [`before_sending`].
    pub(crate) fn watch<F: Future>(&self, attempt: F) -> impl Future<Output = F::Output> + use<F> {
        ATTEMPT.scope(self.clone(), attempt)
    }

    /// What the attempt waits for now, if nothing of it is under way. To be asked before the attempt is dropped.
    pub(crate) fn waits_for(&self) -> Option<&'static str> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, what: Option<&'static str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }
}

/// Waits for something that an attempt needs before it sends anything, or anything more. In a task of its own, where nobody
/// can tell, an overrun is ambiguous as ever.
pub(crate) async fn before_sending<F: Future>(what: &'static str, waiting: F) -> F::Output {
    let attempt = ATTEMPT.try_with(Unsent::clone).ok();
    if let Some(attempt) = &attempt {
        attempt.set(Some(what));
    }
    // Also when it is dropped here: the attempt may go on with something else.
    let _over = Over(attempt);
    waiting.await
}

struct Over(Option<Unsent>);

impl Drop for Over {
    fn drop(&mut self) {
        if let Some(attempt) = &self.0 {
            attempt.set(None);
        }
    }
}
