//! What a URL says: a server, the Sentinels that know one, or nodes of a cluster.

use std::fmt;

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo,
    RedisError,
};
use token_core::store::StoreError;

use crate::failure;

/// Where the records are.
#[derive(Debug)]
pub(crate) enum Address {
    Server(Box<ConnectionInfo>),
    Sentinels(SentinelAddress),
    Cluster(ClusterAddress),
}

/// Some nodes of a cluster, which know the others.
#[derive(Clone, Debug)]
pub(crate) struct ClusterAddress {
    pub(crate) hosts: Vec<(String, u16)>,
    pub(crate) tls: bool,
    pub(crate) redis: RedisConnectionInfo,
}

/// Who knows where the records are.
#[derive(Clone, Debug)]
pub(crate) struct SentinelAddress {
    pub(crate) hosts: Vec<(String, u16)>,
    /// What the Sentinels call the server.
    pub(crate) master: String,
    pub(crate) tls: bool,
    /// The login, and the database, of the server.
    pub(crate) redis: RedisConnectionInfo,
}

const SENTINEL_PORT: u16 = 26379;
const PORT: u16 = 6379;

impl Address {
    pub(crate) fn new(url: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = url.split_once("://") else {
            // What stands there instead may be a password.
            return Err(failure::settings(format!("{WHAT_IT_IS} must begin with redis://")));
        };
        let (protocol, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = matches!(protocol, "rediss" | "valkeys");
        if tls && cfg!(not(feature = "tls")) {
            return Err(failure::settings(format!(
                "a URL with {scheme}:// asks for TLS: switch on the feature `tls` of token-store-redis"
            )));
        }
        match (protocol, kind) {
            ("redis" | "rediss" | "valkey" | "valkeys", "") => server(url),
            ("redis" | "rediss" | "valkey" | "valkeys", "sentinel") => sentinels(rest, tls),
            ("redis" | "rediss" | "valkey" | "valkeys", "cluster") => cluster(rest, tls),
            ("redis", _) => Err(failure::settings(format!(
                "a URL with {scheme}:// is not one that token-store-redis follows: use redis://, redis+sentinel:// or \
                 redis+cluster://"
            ))),
            _ => Err(failure::settings(format!("{WHAT_IT_IS} must begin with redis://"))),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(info) => write!(f, "{}", info.addr()),
            Self::Sentinels(SentinelAddress { hosts, master, .. }) => {
                write!(f, "{master} of the Sentinels {}", list(hosts))
            }
            Self::Cluster(ClusterAddress { hosts, .. }) => {
                write!(f, "{} (cluster)", list(hosts))
            }
        }
    }
}

fn server(url: &str) -> Result<Address, StoreError> {
    let info = url.into_connection_info().map_err(|error| bad_url(&error))?;
    match info.addr() {
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            return Err(failure::settings(format!(
                "{WHAT_IT_IS} must not end with #insecure: whoever is on the way could read the tokens"
            )));
        }
        ConnectionAddr::Tcp(..) | ConnectionAddr::TcpTls { .. } => {}
        _ => return Err(failure::settings(format!("{WHAT_IT_IS} must name a host"))),
    }
    // The third version has answers and messages on one connection.
    let redis = info.redis_settings().clone().set_skip_set_lib_name();
    let redis = redis.set_protocol(ProtocolVersion::RESP3);
    Ok(Address::Server(Box::new(info.set_redis_settings(redis))))
}

/// `user:password@host:26379,host:26379/master/0`
fn sentinels(rest: &str, tls: bool) -> Result<Address, StoreError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (master, database) = path.split_once('/').unwrap_or((path, ""));
    if path.contains('@') {
        return Err(not_encoded(WHAT_SENTINELS_ARE));
    }
    if master.is_empty() {
        return Err(failure::settings(format!(
            "{WHAT_SENTINELS_ARE} must name the server after the hosts, as the Sentinels do"
        )));
    }
    let (hosts, redis) = several(authority, database, SENTINEL_PORT, WHAT_SENTINELS_ARE)?;
    Ok(Address::Sentinels(SentinelAddress { hosts, master: master.to_owned(), tls, redis }))
}

/// `user:password@host:6379,host:6379`
fn cluster(rest: &str, tls: bool) -> Result<Address, StoreError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err(not_encoded(WHAT_A_CLUSTER_IS));
    }
    if !matches!(path, "" | "0") {
        return Err(failure::settings(format!(
            "{WHAT_A_CLUSTER_IS} must end with the hosts: a cluster has no other database than 0"
        )));
    }
    let (hosts, redis) = several(authority, "", PORT, WHAT_A_CLUSTER_IS)?;
    Ok(Address::Cluster(ClusterAddress { hosts, tls, redis }))
}

/// The hosts, and how to log in to what they lead to.
fn several(
    authority: &str,
    database: &str,
    port: u16,
    what: &str,
) -> Result<(Vec<(String, u16)>, RedisConnectionInfo), StoreError> {
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (format!("{login}@"), hosts),
        None => (String::new(), authority),
    };
    if login.matches('@').count() > 1 || login.contains(['#', '?']) {
        return Err(not_encoded(what));
    }
    let unreadable = || failure::settings(format!("{what} has a host that cannot be read"));
    let hosts: Option<Vec<_>> = hosts.split(',').map(|host| one_of_several(host, port)).collect();
    // The host stands for whichever they lead to.
    let Address::Server(info) = server(&format!("redis://{login}host/{database}"))? else {
        return Err(unreadable());
    };
    Ok((hosts.ok_or_else(unreadable)?, info.redis_settings().clone()))
}

/// What it took for a host, or for the server's name, may be a part of the password.
fn not_encoded(what: &str) -> StoreError {
    failure::settings(format!(
        "{what} has one login, before the first host, with the characters /, @, # and ? of user and password percent-encoded: \
         correct it"
    ))
}

fn one_of_several(text: &str, default_port: u16) -> Option<(String, u16)> {
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    let port = if has_port { String::new() } else { format!(":{default_port}") };
    match format!("redis://{text}{port}").into_connection_info().ok()?.addr() {
        ConnectionAddr::Tcp(host, port) => Some((host.clone(), *port)),
        _ => None,
    }
}

fn list(hosts: &[(String, u16)]) -> String {
    let hosts: Vec<String> = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
    hosts.join(",")
}

const WHAT_IT_IS: &str = "the URL of the token store, such as redis://user:password@host:6379/0,";

const WHAT_SENTINELS_ARE: &str = "the URL of the token store, such as \
                                  redis+sentinel://user:password@host:26379,host:26379/mymaster/0,";

const WHAT_A_CLUSTER_IS: &str =
    "the URL of the token store, such as redis+cluster://user:password@host:6379,host:6379,";

pub(crate) fn bad_url(error: &RedisError) -> StoreError {
    failure::settings(format!("{WHAT_IT_IS} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        Address::new(url).err().map(|error| error.to_string()).unwrap_or_default()
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
            ("redis+unix:///run/redis.sock", "use redis://, redis+sentinel:// or redis+cluster://"),
            ("redis://user:pa55word#1@localhost", "cannot be read"),
            ("redis://user:pa55word/1@localhost", "cannot be read"),
            ("redis+cluster://user:1/pa55word@a", "percent-encoded"),
            ("redis+cluster://user:pa55word@a,user:pa55word@b", "percent-encoded"),
            ("redis+sentinel://user:1/pa55word@a/1", "percent-encoded"),
            ("redis+sentinel://user:1#pa55word@a/mymaster", "percent-encoded"),
            ("redis+sentinel://user:1?pa55word@a/mymaster", "percent-encoded"),
            ("redis+cluster://user:pa55word@a,b/1", "no other database than 0"),
            ("redis+cluster://user:pa55word@a,,b", "a host that cannot be read"),
            ("redis+sentinel://user:pa55word@localhost", "must name the server"),
            ("redis+sentinel://user:pa55word@/mymaster", "a host that cannot be read"),
            ("redis+sentinel://user:pa55word@a,,b/mymaster", "a host that cannot be read"),
            ("redis+sentinel://user:pa55word@a:b/mymaster", "a host that cannot be read"),
            ("redis+sentinel://user:pa55word@a/mymaster/b", "Invalid database number"),
        ] {
            let refused = refused(url);
            assert!(refused.contains(said) && !refused.contains("pa55word"), "{url}: {refused}");
        }
        assert_eq!(refused("redis://user:pa55word@localhost/3"), "");
        assert_eq!(refused("valkey://localhost"), "");
    }

    #[test]
    fn the_parts_of_sentinels_are_told_apart() {
        let url = "redis+sentinel://user:p%40ss@a:1,b,[::1],[::2]:3/mymaster/4";
        let address = Address::new(url).unwrap();
        assert_eq!(
            address.to_string(),
            "mymaster of the Sentinels a:1,b:26379,::1:26379,::2:3",
            "and no password"
        );
        let Address::Sentinels(sentinels) = address else { panic!("{address:?}") };
        assert_eq!(sentinels.redis.username(), Some("user"));
        assert_eq!(sentinels.redis.password(), Some("p@ss"));
        assert_eq!(sentinels.redis.db(), 4);
        assert!(!sentinels.tls);
    }

    #[test]
    fn nodes_of_a_cluster_are_told_apart() {
        let address = Address::new("redis+cluster://:pa55word@a,b:1/0").unwrap();
        assert_eq!(address.to_string(), "a:6379,b:1 (cluster)");
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn a_url_that_asks_for_tls_says_what_is_missing() {
        for url in ["rediss://user:pa55word@localhost", "rediss+sentinel://user:pa55word@a/b"] {
            let refused = refused(url);
            assert!(
                refused.contains("feature `tls`") && !refused.contains("pa55word"),
                "{refused}"
            );
        }
    }

    #[test]
    #[cfg(feature = "tls")]
    fn tls_is_not_switched_off_by_a_url() {
        let refused = refused("rediss://user:pa55word@localhost#insecure");
        assert!(refused.contains("#insecure") && !refused.contains("pa55word"), "{refused}");
        let address = Address::new("rediss+sentinel://a/b").unwrap();
        assert!(matches!(address, Address::Sentinels(SentinelAddress { tls: true, .. })));
    }
}
