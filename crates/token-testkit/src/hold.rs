//! Token requests that are held where a test wants to act.

use std::fmt;

use tokio::sync::{oneshot, watch};

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
    /// Nothing is sent here either: its other side is dropped when the sender has left.
    sender: watch::Receiver<()>,
}

impl Held {
    /// The request as the history had it when it came to this stage.
    pub fn request(&self) -> &Presentation {
        &self.request
    }

    /// Waits until the server knows that the sender left: let go after that, the request is answered to nobody.
    ///
    /// Killing the sender is not enough, for its connection ends a moment later, and an answer written in between counts as
    /// given. Ends early if the server is dropped.
    ///
    /// # Cancel safety
    ///
    /// It may be dropped and called again at any time.
    pub async fn sender_left(&mut self) {
        // The error says that the other side is gone.
        _ = self.sender.changed().await;
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

    /// Gives this request to the first who waits for one at this stage, and here the means to wait until it goes on and to
    /// say, by dropping it, that its sender left.
    pub(crate) fn come(
        &mut self,
        stage: Stage,
        request: impl FnOnce() -> Option<Presentation>,
    ) -> Option<(oneshot::Receiver<()>, watch::Sender<()>)> {
        self.0.retain(|(_, sender)| !sender.is_closed());
        let place = self.0.iter().position(|(waits_for, _)| *waits_for == stage)?;
        let request = request()?;
        let (release, released) = oneshot::channel();
        let (left, request_sender) = watch::channel(());
        let (_, sender) = self.0.remove(place);
        // Who has just given up has dropped the means to hold it.
        _ = sender.send(Held { request, _release: release, sender: request_sender });
        Some((released, left))
    }
}
