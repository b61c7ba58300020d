//! What a server says of itself, and whether records may be kept on it.

/// The part of `INFO` that is judged here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server<'a> {
    version: Option<&'a str>,
    mode: &'a str,
    role: &'a str,
    history: Option<&'a str>,
    eviction: Option<&'a str>,
}

/// The first version whose scripts say in their first line what they do.
const OLDEST: u32 = 7;

impl<'a> Server<'a> {
    pub(crate) fn new(info: &'a str) -> Self {
        let field = |name: &str| {
            info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        Self {
            // Valkey names the version of Redis that it is like.
            version: field("redis_version"),
            // Valkey has a name of its own for it, unless told to speak like Redis.
            mode: field("redis_mode").or_else(|| field("server_mode")).unwrap_or_default(),
            role: field("role").unwrap_or_default(),
            history: field("master_replid").filter(|history| !history.is_empty()),
            eviction: field("maxmemory_policy"),
        }
    }

    /// Why no record should be kept there, and what to do; nothing if it may.
    pub(crate) fn refusal(&self, in_cluster: bool) -> Option<String> {
        let major = self.version.and_then(|version| version.split('.').next()?.parse().ok());
        Some(match self {
            Self { mode: "sentinel", .. } => {
                "it is a Sentinel, which holds no keys: use `redis+sentinel://` and the name of the server that it watches".to_owned()
            }
            Self { version: None, .. } => {
                "it does not tell its version: this store needs Redis 7.0 or later, or Valkey".to_owned()
            }
            Self { version: Some(version), .. } if major.is_none_or(|major: u32| major < OLDEST) => {
                format!("it is Redis {version}: this store needs Redis 7.0 or later, or Valkey; update it")
            }
            Self { mode: "cluster", .. } if !in_cluster => {
                "it is a node of a cluster: use `redis+cluster://`".to_owned()
            }
            Self { mode, .. } if in_cluster && *mode != "cluster" => {
                "it is no node of a cluster: use `redis://`".to_owned()
            }
            Self { eviction: Some(policy), .. } if policy.starts_with("allkeys") => format!(
                "it drops any key when its memory is full (`maxmemory-policy {policy}`), also a refresh token that exists \
                 nowhere else: set `noeviction` or a `volatile-` policy there, or use another server"
            ),
            // One of a cluster leads to its master.
            Self { role, .. } if *role != "master" && !in_cluster => REPLICA.to_owned(),
            Self { history: None, .. } => {
                "it does not tell its replication id (`master_replid` of `INFO replication`), so nobody would notice that it \
                 fell back to an older state: use a server that tells it"
                    .to_owned()
            }
            _ => return None,
        })
    }
}

/// What is said of a server that is, or has become, a replica.
pub(crate) const REPLICA: &str =
    "it is a replica: use the address of its master, or one that follows a failover";

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n\
                        # Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:abc\r\nmaster_replid2:000\r\n";

    fn refusal(old: &str, new: &str) -> String {
        assert!(GOOD.contains(old));
        Server::new(&GOOD.replace(old, new)).refusal(false).unwrap_or_default()
    }

    #[test]
    fn a_server_that_keeps_what_it_is_given_is_taken() {
        assert_eq!(Server::new(GOOD).refusal(false), None);
        assert_eq!(refusal("7.0.15", "8.2.1"), "");
        assert_eq!(refusal("redis_mode", "server_mode"), "", "so Valkey says it");
        for policy in ["volatile-lru", "volatile-ttl"] {
            assert_eq!(refusal("noeviction", policy), "", "{policy}: records have no time to live");
        }
        assert_eq!(refusal("maxmemory_policy:noeviction\r\n", ""), "", "it is not told everywhere");
    }

    #[test]
    fn each_reason_against_a_server_says_what_to_do() {
        for (old, new, said) in [
            ("7.0.15", "6.2.14", "Redis 6.2.14: this store needs Redis 7.0"),
            ("7.0.15", "", "needs Redis 7.0"),
            ("redis_version", "other", "does not tell its version"),
            ("standalone", "sentinel", "it is a Sentinel"),
            ("redis_mode:standalone", "server_mode:sentinel", "it is a Sentinel"),
            ("standalone", "cluster", "use `redis+cluster://`"),
            ("redis_mode:standalone", "server_mode:cluster", "use `redis+cluster://`"),
            ("noeviction", "allkeys-lru", "set `noeviction`"),
            ("noeviction", "allkeys-random", "maxmemory-policy allkeys-random"),
            ("role:master", "role:slave", "use the address of its master"),
            ("master_replid:abc\r\n", "", "does not tell its replication id"),
        ] {
            let refusal = refusal(old, new);
            assert!(refusal.contains(said), "{new}: {refusal}");
        }
    }

    #[test]
    fn a_node_of_a_cluster_may_be_a_replica() {
        let node = GOOD.replace("standalone", "cluster");
        assert_eq!(Server::new(&node).refusal(true), None);
        let valkey = node.replace("redis_mode", "server_mode");
        assert_eq!(Server::new(&valkey).refusal(true), None);
        assert_eq!(Server::new(&node.replace("role:master", "role:slave")).refusal(true), None);
        let refusal = Server::new(GOOD).refusal(true).unwrap_or_default();
        assert!(refusal.contains("use `redis://`"), "{refusal}");
    }
}
