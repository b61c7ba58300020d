//! Who sends the requests: this process, or several that share the tokens.

use std::io::{self, Write};
use std::sync::Arc;

use examples::{BoxError, Parent, Replica, tell_parent};
use futures_util::future::try_join_all;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::figures::Figures;
use crate::kit::{Kit, Login};
use crate::load::{Part, send};
use crate::options::Options;
use crate::target::Target;

pub(crate) enum Senders {
    This(Arc<Target>),
    Several(Vec<Replica>),
}

impl Senders {
    /// All are ready to send, each process with a token manager of its own.
    pub(crate) async fn start(options: &Options, login: Option<&Login>) -> Result<Self, BoxError> {
        if options.processes == 1 {
            return Ok(Self::This(Arc::new(Target::new(options, login).await?)));
        }
        options.store.check_shared().await?;
        let replicas = (1..=options.processes).map(Replica::start);
        let mut replicas = replicas.collect::<io::Result<Vec<_>>>()?;
        ask::<()>(&mut replicas, &login).await?;
        Ok(Self::Several(replicas))
    }

    /// Sends a round of requests.
    pub(crate) async fn round(&mut self, options: &Options, what: &str) -> io::Result<Figures> {
        let label = format!("{} requests {what}", options.requests * u64::from(options.processes));
        self.send(options, Part::Round, &label, None).await
    }

    /// Sends a round of requests, all of which need a new token: one process has the tokens revoked in mid-flight, several
    /// have them revoked before, for otherwise some could be ready by then.
    pub(crate) async fn revoked_round(
        &mut self,
        options: &Options,
        kit: &Arc<Kit>,
    ) -> io::Result<Figures> {
        if let Self::Several(_) = self {
            kit.revoke();
            return self.round(options, "whose access token is revoked").await;
        }
        let label = format!("{} requests while every access token is revoked", options.requests);
        self.send(options, Part::Round, &label, Some(kit)).await
    }

    /// Sends for `--seconds`.
    pub(crate) async fn sustained(&mut self, options: &Options) -> io::Result<Figures> {
        let label = format!("{} s of load over many expiries", options.seconds);
        self.send(options, Part::Sustained, &label, None).await
    }

    /// Waits until the other processes have ended, as they should.
    pub(crate) async fn dismiss(self) -> io::Result<()> {
        let Self::Several(replicas) = self else { return Ok(()) };
        try_join_all(replicas.into_iter().map(Replica::dismiss)).await.map(drop)
    }

    async fn send(
        &mut self,
        options: &Options,
        part: Part,
        label: &str,
        revoked_by: Option<&Arc<Kit>>,
    ) -> io::Result<Figures> {
        let label = (!options.json).then_some(label);
        match self {
            Self::This(target) => Ok(send(target, options, part, revoked_by, label).await),
            Self::Several(replicas) => {
                if let Some(label) = label {
                    let _ = writeln!(io::stderr(), "{label}");
                }
                let mut sum = Figures::default();
                for figures in ask(replicas, &part).await? {
                    sum += figures;
                }
                Ok(sum)
            }
        }
    }
}

/// The life of one of several processes: it begins with a login, sends what it is told to, and ends with its parent.
pub(crate) async fn serve(mut parent: Parent, options: &Options) -> Result<(), BoxError> {
    let login: Option<Login> = parent.order().await?;
    let target = Arc::new(Target::new(options, login.as_ref()).await?);
    tell_parent(&())?;
    loop {
        let part = parent.order().await?;
        tell_parent(&send(&target, options, part, None, None).await)?;
    }
}

/// Gives all the same order, and waits until all have answered or one is lost.
async fn ask<T: DeserializeOwned>(
    replicas: &mut [Replica],
    order: &impl Serialize,
) -> io::Result<Vec<T>> {
    try_join_all(replicas.iter_mut().map(|replica| replica.tell(order))).await?;
    try_join_all(replicas.iter_mut().map(Replica::hear)).await
}
