use std::time::Duration;

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisError,
};
use token_core::store::StoreError;

use crate::RedisStore;
use crate::failure;
use crate::key_name::Namespace;
use crate::link::Limits;
#[cfg(feature = "tls")]
use crate::tls::Certificates;

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
    #[cfg(feature = "tls")]
    certificates: Certificates,
}

/// Settings that were judged.
pub(crate) struct Settings {
    pub(crate) client: Client,
    /// Host and port, for people.
    pub(crate) server: String,
    pub(crate) namespace: Namespace,
    /// How many replicas have to have a record; by default one of those that are online.
    pub(crate) replicas: Option<u32>,
    pub(crate) limits: Limits,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            namespace: Namespace::DEFAULT.to_owned(),
            replicas: None,
            limits: Limits { connect: CONNECT, answer: ANSWER, replicas: REPLICAS },
            #[cfg(feature = "tls")]
            certificates: Certificates::default(),
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
    /// A write that is not answered in time may have happened; the manager reads the record and goes by its stamp.
    #[must_use]
    pub const fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.limits.answer = timeout;
        self
    }

    /// Sets how many replicas have to have a record before it counts as durable. By default one of those that are online
    /// when it is written, and none where none is.
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

    /// Sets whom to trust over TLS: certificates in PEM, instead of those that the system trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificates.roots = Some(pem.into());
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
        self.certificates.own = Some((chain.into(), key.into()));
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
        let info = info(&self.url)?;
        let server = info.addr().to_string();
        let client = self.client(info)?;
        Ok(Settings { client, server, namespace, replicas: self.replicas, limits: self.limits })
    }

    fn client(&self, info: ConnectionInfo) -> Result<Client, StoreError> {
        #[cfg(feature = "tls")]
        if let ConnectionAddr::TcpTls { .. } = info.addr() {
            return self.certificates.client(info);
        }
        Client::open(info).map_err(|error| bad_url(&error))
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

fn info(url: &str) -> Result<ConnectionInfo, StoreError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some("redis" | "valkey") => {}
        Some("rediss" | "valkeys") if cfg!(feature = "tls") => {}
        Some(other @ ("rediss" | "valkeys")) => {
            return Err(failure::settings(format!(
                "a URL with {other}:// asks for TLS: switch on the feature `tls` of token-store-redis"
            )));
        }
        Some(other) if other.starts_with("redis+") => {
            return Err(failure::settings(format!(
                "a URL with {other}:// is not one that token-store-redis follows yet: use the redis:// address of a single server"
            )));
        }
        // What stands there instead may be a password.
        _ => return Err(failure::settings(format!("{WHAT_IT_IS} must begin with redis://"))),
    }
    let info = url.into_connection_info().map_err(|error| bad_url(&error))?;
    // The third version has answers and messages on one connection.
    let redis = info.redis_settings().clone().set_skip_set_lib_name();
    let redis = redis.set_protocol(ProtocolVersion::RESP3);
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => Err(failure::settings(format!(
            "{WHAT_IT_IS} must not end with #insecure: whoever is on the way could read the tokens"
        ))),
        ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. } => {
            Ok(info.set_redis_settings(redis))
        }
        _ => Err(failure::settings(format!("{WHAT_IT_IS} must name a host"))),
    }
}

const WHAT_IT_IS: &str = "the URL of the token store, such as redis://user:password@host:6379/0,";

fn bad_url(error: &RedisError) -> StoreError {
    failure::settings(format!("{WHAT_IT_IS} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Builder::new(url).settings().err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn urls_that_lead_nowhere_say_what_one_looks_like_and_repeat_no_password() {
        for (url, said) in [
            ("", "must begin with redis://"),
            ("localhost:6379", "must begin with redis://"),
            ("http://:pa55word@localhost", "must begin with redis://"),
            ("redis://", "cannot be read"),
            ("redis://user:pa55word@", "cannot be read"),
            ("redis://user:pa55word@localhost:port", "cannot be read"),
            ("redis://user:pa55word@localhost/billing", "Invalid database number"),
            ("redis://user:pa55word@0.0.0.0", "wildcard"),
            ("redis+sentinel://user:pa55word@localhost", "single server"),
            ("redis+unix:///run/redis.sock", "single server"),
        ] {
            let refused = refused(url);
            assert!(refused.contains(said) && !refused.contains("pa55word"), "{url}: {refused}");
        }
        assert_eq!(refused("redis://user:pa55word@localhost/3"), "");
        assert_eq!(refused("valkey://localhost"), "");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn a_url_that_asks_for_tls_says_what_is_missing() {
        let refused = refused("rediss://user:pa55word@localhost");
        assert!(refused.contains("feature `tls`") && !refused.contains("pa55word"), "{refused}");
    }

    #[test]
    #[cfg(feature = "tls")]
    fn tls_is_not_switched_off_by_a_url() {
        let refused = refused("rediss://user:pa55word@localhost#insecure");
        assert!(refused.contains("#insecure") && !refused.contains("pa55word"), "{refused}");
    }

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
