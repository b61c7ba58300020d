//! Where connections lead to.

use redis::{Client, ConnectionInfo};
use token_core::store::StoreError;

use crate::address::bad_url;
use crate::link::Trouble;
use crate::sentinel::Sentinels;
#[cfg(feature = "tls")]
use crate::tls::Certificates;

/// Asked for each connection: behind some addresses there is another server after a failover.
#[derive(Debug)]
pub(crate) enum Source {
    Server(Client),
    Sentinels(Sentinels),
}

/// How clients are made.
#[derive(Clone, Default)]
pub(crate) struct Clients {
    #[cfg(feature = "tls")]
    pub(crate) certificates: Certificates,
}

impl Source {
    pub(crate) async fn client(&self) -> Result<Client, Trouble> {
        match self {
            Self::Server(client) => Ok(client.clone()),
            Self::Sentinels(sentinels) => sentinels.client().await,
        }
    }
}

impl Clients {
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_self, reason = "there are certificates with `tls`")
    )]
    pub(crate) fn client(&self, info: ConnectionInfo) -> Result<Client, StoreError> {
        #[cfg(feature = "tls")]
        if let redis::ConnectionAddr::TcpTls { .. } = info.addr() {
            return self.certificates.client(info);
        }
        Client::open(info).map_err(|error| bad_url(&error))
    }
}
