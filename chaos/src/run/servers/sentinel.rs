//! A master with two replicas, and three Sentinels, of which two have to agree.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use redis_servers::{Server, Watch};

use crate::history::Out;
use crate::server_fault::ServerFault;
use crate::time::At;

use super::{Effect, LAG, Place, follows, is_master, is_replica, pause, rights, until};

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
        let all = Self { servers, sentinels, master: 0 };
        all.until_all_know_all();
        all
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

    /// Has a Sentinel make another the master. One that gives up on a busy machine is asked again.
    fn hand_over(&mut self) {
        let before = self.master;
        let asked = Cell::new(At(0));
        until("a Sentinel has handed over", || {
            if At::now().since(asked.get()) > Duration::from_secs(3) {
                asked.set(At::now());
                let _: Option<String> =
                    self.sentinels[0].try_ask(&["SENTINEL", "FAILOVER", "mymaster"]);
            }
            self.named().is_some_and(|master| master != before)
        });
        self.until_succeeded();
    }

    /// Waits until a former master is one no more, and takes no writes.
    fn demote(&self, former: usize) {
        until("the old master is a replica", || {
            self.make_replica(former, self.master);
            is_replica(&self.servers[former])
        });
    }

    fn make_replica(&self, server: usize, master: usize) {
        let port = self.servers[master].port().to_string();
        let _: Option<String> = self.servers[server].try_ask(&["REPLICAOF", "127.0.0.1", &port]);
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
        let before = self.master;
        let (mut from, mut since) = (At::now(), At::now().before(LAG));
        let mut until = None;
        match fault {
            ServerFault::Handover => {
                self.hand_over();
                until = Some(At::now());
                // It goes on as master until the Sentinels tell it, which takes them some 8 s.
                pause(dice, 0..4000);
                self.demote(before);
            }
            ServerFault::MasterStopped => {
                self.servers[before].stop();
                self.until_succeeded();
                pause(dice, 0..500);
                self.servers[before].go_on();
                until = Some(At::now());
                pause(dice, 0..2500);
                self.demote(before);
            }
            ServerFault::LinkCut => {
                since = At::now();
                rights::revoke(&self.servers[before], rights::REPLICATOR);
                pause(dice, 100..1500);
                from = At::now();
                self.servers[before].kill();
                self.until_succeeded();
            }
            ServerFault::MasterKilled => {
                self.servers[before].kill();
                self.until_succeeded();
            }
            _ => return Effect::default(),
        }
        let until = until.unwrap_or_else(At::now);
        Effect { out: Some(Out { host: None, from, until }), lost_since: Some(since) }
    }

    fn mend(&mut self) {
        for server in &mut self.servers {
            if !server.is_running() {
                server.restart();
            }
        }
        until("the replicas follow the master that the Sentinels name", || {
            let Some(master) = self.named() else { return false };
            (0..self.servers.len()).filter(|server| *server != master).all(|server| {
                let follows = follows(&self.servers[server]);
                if !follows {
                    self.make_replica(server, master);
                }
                follows
            })
        });
    }

    fn has_moved(&mut self) -> bool {
        if self.named() == Some(self.master) {
            return false;
        }
        let before = self.master;
        until("all Sentinels name the same master", || self.named().is_some());
        self.master = self.named().unwrap_or(before);
        if self.master != before {
            self.demote(before);
        }
        self.master != before
    }
}
