//! Token requests that are held where a test wants to act.

use std::fmt;

use tokio::sync::oneshot;

use crate::Presentation;

/// Where a token request can be held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Stage {
    /// It has been read, and nothing was done about it yet.
    Received,
    /// It was carried out (the refresh token is rotated), and its sender knows nothing of it yet.
    CarriedOut,
}

/// A token request that is held. It goes on when this is dropped.
#[must_use = "the request goes on when this is dropped"]
pub struct Held {
    request: Presentation,
    /// Never sent: that it is dropped says enough.
    _release: oneshot::Sender<()>,
}

impl Held {
    /// The request as the history had it when it came to this stage.
    pub fn request(&self) -> &Presentation {
        &self.request
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.request).finish()
    }
}

/// Those who wait for a request to hold, in the order in which they asked.
#[derive(Default)]
pub(crate) struct Holds(Vec<(Stage, oneshot::Sender<Held>)>);

impl Holds {
    pub(crate) fn ask(&mut self, stage: Stage) -> oneshot::Receiver<Held> {
        let (sender, receiver) = oneshot::channel();
        self.0.push((stage, sender));
        receiver
    }

    /// Gives this request to the first who waits for one at this stage, and the means to wait until it goes on.
    pub(crate) fn come(
        &mut self,
        stage: Stage,
        request: impl FnOnce() -> Option<Presentation>,
    ) -> Option<oneshot::Receiver<()>> {
        self.0.retain(|(_, sender)| !sender.is_closed());
        let place = self.0.iter().position(|(waits_for, _)| *waits_for == stage)?;
        let request = request()?;
        let (release, released) = oneshot::channel();
        let (_, sender) = self.0.remove(place);
        // Who has just given up has dropped the means to hold it.
        _ = sender.send(Held { request, _release: release });
        Some(released)
    }
}
