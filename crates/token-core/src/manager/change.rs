//! Login, update and logout: changes by hand, which win over whatever is under way.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::error::Error;
use crate::event::Event;
use crate::protocol::{Change, History, Stored, Swapped};
use crate::store::{Expect, Stamp, StoreError, StoreErrorKind};

use super::inner::Inner;

/// How often a change tries again when others write at the same time.
const TRIES: usize = 32;

impl Inner {
    /// Makes a change in a task of its own, so that a caller who goes away does not stop it half way.
    pub(super) async fn change(self: Arc<Self>, change: Change) -> Result<(), Error> {
        let Ok(runtime) = Handle::try_current() else { return Err(self.no_runtime()) };
        let inner = Arc::clone(&self);
        match runtime.spawn(async move { inner.make(&change).await }).await {
            Ok(result) => result,
            Err(_) => Err(self.interrupted()),
        }
    }

    async fn make(&self, change: &Change) -> Result<(), Error> {
        let failed = |error| {
            Error::store(
                &self.key,
                "the store failed to take the change; see that it works and try again",
                error,
            )
        };
        for _ in 0..TRIES {
            let asked = self.clock.now();
            let current = self.load().await.map_err(failed)?;
            let expect = current.as_ref().map_or(Expect::Absent, |stored| Expect::Is(stored.stamp));
            let record = {
                let state = self.state();
                // The store may have fallen back: a change follows the newest version that this process has seen.
                let known = state.replica.known().map(|known| &known.record);
                let stored = current.as_ref().map(|stored| &stored.record);
                let newest = if stored.map(|r| r.version) >= known.map(|r| r.version) {
                    stored
                } else {
                    known
                };
                change.apply(newest, state.replica.seed(), self.clock.now())
            };
            let stamp = Stamp::random();
            let won = match self.swap(expect, stamp, &record).await {
                Ok(Swapped::Won { .. }) => true,
                Ok(Swapped::Lost(_)) => false,
                Err(error) if error.kind() == StoreErrorKind::Indeterminate => {
                    let now = self.load().await.map_err(failed)?;
                    match now.map(|stored| stored.stamp) {
                        Some(found) if found == stamp => true,
                        // Somebody may have gone on from it: to make it again would bring a used refresh token back.
                        Some(found) if expect != Expect::Is(found) => {
                            return Err(failed(error));
                        }
                        _ => false,
                    }
                }
                Err(error) => return Err(failed(error)),
            };
            if !won {
                continue;
            }
            let version = record.version;
            {
                let mut state = self.state();
                let written = Stored { stamp, record, history: History::Unbroken };
                state.replica.observe(Some(written), asked, self.clock.now());
                state.backoff.clear();
                state.last_error = None;
                self.publish(&mut state);
            }
            self.events.send(Event::Changed { version });
            self.wake.notify_one();
            return Ok(());
        }
        Err(failed(StoreError::new(
            StoreErrorKind::Refused,
            format!("{TRIES} tries met another write each"),
        )))
    }
}
