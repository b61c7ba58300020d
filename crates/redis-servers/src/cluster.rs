//! A cluster of three masters, with or without a replica each.

use crate::Server;

/// Three masters, each with a third of the slots.
#[derive(Debug)]
#[non_exhaustive]
pub struct Cluster {
    /// In the order of their slots.
    pub masters: Vec<Server>,
    /// One for each master, or none.
    pub replicas: Vec<Server>,
}

/// A machine that is busy stands still for a second now and then, which is no failure of a node.
const OPTIONS: [&str; 6] = [
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    "5000",
    "--cluster-replica-validity-factor",
    "0",
];

const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

impl Cluster {
    /// Starts one, with or without a replica for each master.
    pub fn start(with_replicas: bool) -> Self {
        Self::with(with_replicas, &[])
    }

    /// With further options for each node.
    pub fn with(with_replicas: bool, options: &[&str]) -> Self {
        let options: Vec<&str> = OPTIONS.iter().chain(options).copied().collect();
        let node = || Server::with(&options);
        let masters: Vec<Server> = SLOTS.iter().map(|_| node()).collect();
        for (n, (master, (first, last))) in masters.iter().zip(SLOTS).enumerate() {
            let () = master.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]);
            let () = master.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        let mut replicas = Vec::new();
        if with_replicas {
            replicas.extend(masters.iter().map(|_| node()));
        }
        let cluster = Self { masters, replicas };
        for other in cluster.nodes().skip(1) {
            let (port, bus) = (other.port().to_string(), other.bus().to_string());
            let () = cluster.masters[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        cluster.until_whole();
        for (replica, master) in cluster.replicas.iter().zip(&cluster.masters) {
            let id: String = master.ask(&["CLUSTER", "MYID"]);
            let () = replica.ask(&["CLUSTER", "REPLICATE", &id]);
            replica.until("replication", |info| info.contains("master_link_status:up"));
            master.until("replication", |info| info.contains("state=online"));
        }
        cluster
    }

    /// All of them, the masters first.
    pub fn nodes(&self) -> impl Iterator<Item = &Server> {
        self.masters.iter().chain(&self.replicas)
    }

    /// Waits until all know all.
    pub fn until_whole(&self) {
        let known = format!("cluster_known_nodes:{}\r", self.nodes().count());
        for node in self.nodes() {
            node.until_answer(&["CLUSTER", "INFO"], |info| {
                info.contains("cluster_state:ok") && info.contains(&known)
            });
        }
    }

    /// With the first master as the only node that is named.
    pub fn url(&self) -> String {
        format!("redis+cluster://127.0.0.1:{}", self.masters[0].port())
    }

    /// With all nodes.
    pub fn whole_url(&self) -> String {
        let hosts: Vec<String> =
            self.nodes().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// Which master has a key of this grant, and the key.
    pub fn owner(&self, grant: &str) -> Option<(usize, String)> {
        self.masters.iter().enumerate().find_map(|(n, master)| {
            let keys: Vec<String> = master.ask(&["KEYS", "*}"]);
            let key = keys.into_iter().find(|key| {
                let owner: Result<String, _> = master
                    .try_command(&["HGET", key, "k"])
                    .and_then(|value| Ok(redis::from_redis_value(value)?));
                owner.is_ok_and(|owner| owner == grant)
            });
            key.map(|key| (n, key))
        })
    }
}
