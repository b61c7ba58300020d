//! A master with two replicas, and three Sentinels, of which two have to agree.

use std::path::Path;

use redis_servers::{Server, Watch};

use crate::server_fault::ServerFault;
use crate::time::At;

use super::{Effect, LAG, Place, follows, is_master, pause, rights, until};

const WATCH: Watch = Watch { quorum: 2, down_after: 700, failover_timeout: 1500 };

pub(super) struct Sentinels {
    servers: Vec<Server>,
    sentinels: Vec<Server>,
    master: usize,
}

impl Sentinels {
    pub(super) fn start(directory: &Path) -> Self {
        let options = rights::options(directory);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        let servers: Vec<Server> = (0..3).map(|_| Server::with(&options)).collect();
        for replica in &servers[1..] {
            replica.follow(&servers[0]);
        }
        let sentinels = (0..3).map(|_| Server::sentinel(&servers[0], WATCH, &[])).collect();
        let place = Self { servers, sentinels, master: 0 };
        place.until_all_know_all();
        place
    }

    fn until_all_know_all(&self) {
        for sentinel in &self.sentinels {
            for (n, server) in self.servers.iter().enumerate() {
                if n != self.master {
                    sentinel.until_it_knows(server);
                }
            }
            until("the Sentinels know each other", || {
                let others: Option<Vec<redis::Value>> =
                    sentinel.try_ask(&["SENTINEL", "SENTINELS", "mymaster"]);
                others.is_some_and(|others| others.len() + 1 == self.sentinels.len())
            });
        }
    }

    /// The server that all Sentinels call the master.
    fn named(&self) -> Option<usize> {
        let mut ports = self.sentinels.iter().map(Server::master_port);
        let first = ports.next().flatten()?;
        let same = ports.all(|port| port == Some(first));
        self.servers.iter().position(|server| server.port() == first).filter(|_| same)
    }

    /// Waits until all Sentinels name another master than the one that was, and it agrees.
    fn until_succeeded(&mut self) {
        let before = self.master;
        let new = || self.named().filter(|master| *master != before);
        until("all Sentinels name a new master", || new().is_some());
        self.master = new().unwrap_or(before);
        until("the new master is one", || is_master(&self.servers[self.master]));
    }

    fn make_replica(&self, place: usize, master: usize) {
        let port = self.servers[master].port().to_string();
        let _: Option<String> = self.servers[place].try_ask(&["REPLICAOF", "127.0.0.1", &port]);
    }
}

impl Place for Sentinels {
    fn faults(&self) -> &'static [ServerFault] {
        &[
            ServerFault::Handover,
            ServerFault::MasterKilled,
            ServerFault::MasterStopped,
            ServerFault::LinkCut,
        ]
    }

    fn url(&self, host: u32) -> String {
        let hosts: Vec<String> =
            self.sentinels.iter().map(|one| format!("127.0.0.1:{}", one.port())).collect();
        format!("redis+sentinel://{}@{}/mymaster", rights::login(host), hosts.join(","))
    }

    fn inject(&mut self, fault: ServerFault, dice: &mut fastrand::Rng) -> Effect {
        let (before, mut since) = (self.master, At::now().before(LAG));
        match fault {
            ServerFault::Handover => {
                until("a Sentinel begins the failover", || {
                    let begun = ["SENTINEL", "FAILOVER", "mymaster"];
                    self.sentinels[0].try_ask::<String>(&begun).is_some()
                });
                self.until_succeeded();
                // Until then it may take writes that nobody else gets.
                until("the old master is a replica", || !is_master(&self.servers[before]));
            }
            ServerFault::MasterStopped => {
                self.servers[before].stop();
                self.until_succeeded();
                pause(dice, 0..500);
                self.servers[before].go_on();
                // The Sentinels take some 8 s to tell it.
                pause(dice, 0..2500);
                self.make_replica(before, self.master);
            }
            ServerFault::LinkCut => {
                since = At::now();
                rights::revoke(&self.servers[before], rights::REPLICATOR);
                pause(dice, 100..1500);
                self.servers[before].kill();
                self.until_succeeded();
            }
            _ => {
                self.servers[before].kill();
                self.until_succeeded();
            }
        }
        Effect { out: Some(None), lost_since: Some(since) }
    }

    fn mend(&mut self) {
        for server in &mut self.servers {
            if server.try_ask::<String>(&["PING"]).is_none() {
                server.restart();
            }
        }
        until("the replicas follow the master that the Sentinels name", || {
            let Some(master) = self.named() else { return false };
            (0..self.servers.len()).filter(|place| *place != master).all(|place| {
                let follows = follows(&self.servers[place]);
                if !follows {
                    self.make_replica(place, master);
                }
                follows
            })
        });
    }

    fn has_moved(&mut self) -> bool {
        if self.named() == Some(self.master) {
            return false;
        }
        until("all Sentinels name the same master", || self.named().is_some());
        self.master = self.named().unwrap_or(self.master);
        true
    }
}
