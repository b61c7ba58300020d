//! Sentinels, which agree when a master is gone and which replica takes its place.

use std::time::Instant;

use crate::{PATIENCE, Server};

/// How Sentinels watch a master.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "it is made by who starts the Sentinels")]
pub struct Watch {
    /// How many have to agree that it is gone.
    pub quorum: u32,
    /// For how long it does not answer until it counts as gone, in milliseconds.
    pub down_after: u32,
    /// How long a failover may take, in milliseconds; the next one begins after twice this time at the earliest.
    pub failover_timeout: u32,
}

impl Default for Watch {
    fn default() -> Self {
        // A machine that is busy stands still for a second now and then.
        Self { quorum: 1, down_after: 5000, failover_timeout: 60_000 }
    }
}

impl Server {
    /// A Sentinel that alone watches a server under the name `mymaster`.
    pub fn sentinel_of(master: &Self, options: &[&str]) -> Self {
        Self::sentinel(master, Watch::default(), options)
    }

    /// A Sentinel that watches a server under the name `mymaster`, with others that do.
    pub fn sentinel(master: &Self, watch: Watch, options: &[&str]) -> Self {
        let Watch { quorum, down_after, failover_timeout } = watch;
        let config = format!(
            "sentinel monitor mymaster 127.0.0.1 {} {quorum}\nsentinel down-after-milliseconds mymaster {down_after}\n\
             sentinel failover-timeout mymaster {failover_timeout}\n",
            master.port
        );
        Self::configured(options, Some(config))
    }

    /// The port of the server that this Sentinel calls the master; `None` if it does not answer.
    pub fn master_port(&self) -> Option<u16> {
        let address: (String, u16) =
            self.try_ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"])?;
        Some(address.1)
    }

    /// Waits until this Sentinel knows a replica that may be promoted.
    pub fn until_it_knows(&self, replica: &Self) {
        let start = Instant::now();
        loop {
            let replicas: Vec<Vec<String>> = self.ask(&["SENTINEL", "REPLICAS", "mymaster"]);
            let port = replica.port().to_string();
            // It may be promoted once it has told of itself.
            let known = |fields: &Vec<String>| {
                fields.contains(&port)
                    && fields.windows(2).any(|pair| pair == ["master-link-status", "ok"])
            };
            if replicas.iter().any(known) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{replicas:?}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// Waits until this Sentinel calls that server the master.
    pub fn until_it_names(&self, server: &Self) {
        let start = Instant::now();
        while self.master_port() != Some(server.port()) {
            assert!(start.elapsed() < PATIENCE, "it names {:?}", self.master_port());
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
