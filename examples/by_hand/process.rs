//! A process with a client of its own.

use std::time::Duration;

use examples::{BoxError, Parent, Replica, tell_parent};
use serde::{Deserialize, Serialize};

use crate::contender::{Contender, Setup};
use crate::load::{Call, Calls};

/// What the parent orders after the settings.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Order {
    /// So many calls at once.
    AtOnce(usize),
    /// A call every so often, for so long.
    Every(Duration, Duration),
}

/// Another process of this program, with a client.
pub(crate) struct Process(Replica);

impl Process {
    pub(crate) async fn start(contender: Contender, setup: &Setup) -> Result<Self, BoxError> {
        let mut replica = Replica::start("a client")?;
        replica.tell(&(contender, setup)).await?;
        Ok(Self(replica))
    }

    /// Has it send so many requests at once, which [`calls`](Self::calls) waits for.
    pub(crate) async fn at_once(&mut self, count: usize) -> std::io::Result<()> {
        self.0.tell(&Order::AtOnce(count)).await
    }

    /// Has it send a request every so often, as above.
    pub(crate) async fn every(&mut self, pause: Duration, time: Duration) -> std::io::Result<()> {
        self.0.tell(&Order::Every(pause, time)).await
    }

    /// What became of the requests.
    pub(crate) async fn calls(&mut self) -> std::io::Result<Calls> {
        self.0.hear().await
    }

    /// Kills it as `kill -9` does.
    pub(crate) async fn kill(mut self) -> std::io::Result<()> {
        self.0.kill().await
    }
}

/// The other side: does what the parent orders.
pub(crate) async fn serve(mut parent: Parent) -> Result<(), BoxError> {
    let (contender, setup): (Contender, Setup) = parent.order().await?;
    let client = contender.open(&setup)?;
    loop {
        let calls = match parent.order().await? {
            Order::AtOnce(count) => Calls::at_once(&client, &setup.api_url, Call::Get, count).await,
            Order::Every(pause, time) => Calls::every(&client, &setup.api_url, pause, time).await,
        };
        tell_parent(&calls)?;
    }
}
