use std::sync::Arc;
use std::time::Duration;

use token_core::store::StoreError;

use crate::RedisStore;
use crate::address::Address;
use crate::cluster::Cluster;
use crate::failure;
use crate::key_name::Namespace;
use crate::link::Limits;
use crate::nodes::{Node, Nodes};
use crate::sentinel::Sentinels;
use crate::source::{Clients, Source};
use crate::wake::Wakes;

const CONNECT: Duration = Duration::from_secs(2);

/// Longer than a server stands still when it forks to save its data.
const ANSWER: Duration = Duration::from_secs(2);

const REPLICAS: Duration = Duration::from_millis(500);

/// An intent that is older is not acted upon.
const SEND_GATE: Duration = Duration::from_secs(1);

/// Settings of a [`RedisStore`].
#[derive(Clone)]
pub struct Builder {
    url: String,
    namespace: String,
    replicas: Option<u32>,
    limits: Limits,
    clients: Clients,
    /// User and password.
    sentinel_login: Option<(String, String)>,
}

/// Settings that were judged.
pub(crate) struct Settings {
    pub(crate) nodes: Nodes,
    /// Where those are, for people.
    pub(crate) server: String,
    pub(crate) namespace: Namespace,
    /// How many replicas have to have a record; by default one of those that are online.
    pub(crate) replicas: Option<u32>,
    pub(crate) wakes: Arc<Wakes>,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            namespace: Namespace::DEFAULT.to_owned(),
            replicas: None,
            limits: Limits { connect: CONNECT, answer: ANSWER, replicas: REPLICAS },
            clients: Clients::default(),
            sentinel_login: None,
        }
    }

    /// Sets what every key begins with: 1 to 200 of `A-Z a-z 0-9 . _ : -`. By default `token-refresh`.
    ///
    /// Stores with the same namespace in the same database share their grants; others never meet.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets how long a connection may take, with its handshake. By default 2 seconds.
    ///
    /// Together with the [answer's time](Self::answer_timeout) and the [replicas'](Self::replica_timeout) it should stay
    /// below the manager's store deadline, 5 seconds by default.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect = timeout;
        self
    }

    /// Sets how long the server may take to answer. By default 2 seconds.
    ///
    /// Nothing is waited for longer than this and the [replicas' time](Self::replica_timeout) together. A write that is not
    /// answered by then may have happened; the manager reads the record and goes by its stamp.
    #[must_use]
    pub const fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.limits.answer = timeout;
        self
    }

    /// Sets how many replicas have to have a record before it counts as durable. By default 1 with Sentinels and in
    /// a cluster; otherwise one of those that are online when it is written, and none where none is.
    ///
    /// Set it to 1 where a replica may take over: without the setting a refresh goes on while none is connected, and a
    /// failover to one of them then loses what was written meanwhile. With it no refresh begins while too few follow; tokens
    /// that are still good are served.
    #[must_use]
    pub const fn replicas(mut self, replicas: u32) -> Self {
        self.replicas = Some(replicas);
        self
    }

    /// Sets how long the replicas may take. By default half a second.
    ///
    /// A refresh that has not begun a second after its intent was written is called off, so it must be below that.
    #[must_use]
    pub const fn replica_timeout(mut self, timeout: Duration) -> Self {
        self.limits.replicas = timeout;
        self
    }

    /// Sets the user and the password by which the Sentinels know this process. By default it does not log in to them; the
    /// login of the URL is for the server. The user is `default` where the Sentinels know only a password.
    #[must_use]
    pub fn sentinel_login(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.sentinel_login = Some((user.into(), password.into()));
        self
    }

    /// Sets whom to trust over TLS: certificates in PEM, instead of those that the system trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.clients.certificates.roots = Some(pem.into());
        self
    }

    /// Sets what to show a server that asks for a certificate over TLS: a chain and its key, both in PEM. By default nothing.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.clients.certificates.own = Some((chain.into(), key.into()));
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// As for [`RedisStore::open`], and settings that are out of range.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn open(self) -> Result<RedisStore, StoreError> {
        RedisStore::connect(self.settings()?).await
    }

    fn settings(&self) -> Result<Settings, StoreError> {
        let namespace = Namespace::new(&self.namespace).ok_or_else(|| {
            failure::settings(format!(
                "the namespace {:?} of the token store cannot be used: use 1 to 200 of A-Z a-z 0-9 . _ : -",
                self.namespace
            ))
        })?;
        if self.limits.connect.is_zero() || self.limits.answer.is_zero() {
            return Err(failure::settings("the timeouts of the token store must be above zero"));
        }
        if self.limits.replicas.is_zero() || self.limits.replicas >= SEND_GATE {
            return Err(failure::settings(format!(
                "the replica timeout of the token store is {:?}: it must be above zero and below {SEND_GATE:?}, or no refresh would \
                 begin",
                self.limits.replicas
            )));
        }
        let address = Address::new(&self.url)?;
        let server = address.to_string();
        let clients = self.clients.clone();
        let replicas = match address {
            Address::Server(_) => self.replicas,
            // There is a replica, or neither would be of much use.
            Address::Sentinels(_) | Address::Cluster(_) => Some(self.replicas.unwrap_or(1)),
        };
        let (limits, wakes) = (self.limits, Arc::new(Wakes::default()));
        let one = |source| Nodes::One(Arc::new(Node::new(source, limits, &wakes, false)));
        let nodes = match address {
            Address::Server(info) => one(Source::Server(clients.client(*info)?)),
            Address::Sentinels(sentinels) => {
                let login = self.sentinel_login.clone();
                one(Source::Sentinels(Sentinels::new(sentinels, login, clients, limits.connect)))
            }
            Address::Cluster(address) => {
                let cluster = Cluster::new(address, clients, limits, Arc::clone(&wakes));
                Nodes::Cluster(Box::new(cluster))
            }
        };
        Ok(Settings { nodes, server, namespace, replicas, wakes })
    }
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL may hold a password.
        f.debug_struct("Builder")
            .field("namespace", &self.namespace)
            .field("replicas", &self.replicas)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_used_are_told() {
        let of = |builder: Builder| builder.settings().err().unwrap().to_string();
        let builder = Builder::new("redis://localhost");
        assert!(of(builder.clone().namespace("a*")).contains("\"a*\""));
        assert!(of(builder.clone().answer_timeout(Duration::ZERO)).contains("above zero"));
        for timeout in [Duration::ZERO, Duration::from_secs(1)] {
            assert!(of(builder.clone().replica_timeout(timeout)).contains("below 1s"));
        }
        assert!(of(builder.connect_timeout(Duration::ZERO)).contains("above zero"));
    }

    #[test]
    fn debug_shows_no_password() {
        let builder = Builder::new("redis://user:pa55word@localhost");
        assert!(!format!("{builder:?}").contains("pa55word"));
    }
}
