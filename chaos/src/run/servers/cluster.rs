//! A cluster of three masters, each with a replica.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use redis_servers::{Cluster, Server};

use crate::history::Out;
use crate::server_fault::ServerFault;
use crate::time::At;

use super::{Effect, LAG, Place, follows, is_master, pause, rights, until};

/// A replica has its master's place within this time, or gives up and is asked again.
const HANDOVER: Duration = Duration::from_secs(6);

pub(super) struct Nodes {
    nodes: Vec<Server>,
    masters: Vec<usize>,
}

impl Nodes {
    pub(super) fn start(directory: &Path) -> Self {
        let options = rights::options(directory);
        let options = options.iter().map(String::as_str);
        let options: Vec<&str> = options.chain(["--cluster-node-timeout", "1000"]).collect();
        let cluster = Cluster::with(true, &options);
        let nodes = cluster.masters.into_iter().chain(cluster.replicas).collect();
        Self { nodes, masters: vec![0, 1, 2] }
    }

    /// The nodes that are masters now, or replicas.
    fn of_role(&self, master: bool) -> Vec<usize> {
        let nodes = (0..self.nodes.len()).filter(|node| is_master(&self.nodes[*node]) == master);
        nodes.collect()
    }

    /// Has a replica take its master's place.
    fn hand_over(&self, heir: usize) {
        let asked = Cell::new(At(0));
        until("a replica has taken the place of its master", || {
            if At::now().since(asked.get()) > HANDOVER {
                asked.set(At::now());
                let _: Option<String> = self.nodes[heir].try_ask(&["CLUSTER", "FAILOVER"]);
            }
            is_master(&self.nodes[heir])
        });
        until("a master and its replica have changed places", || self.of_role(true).len() == 3);
    }

    /// Waits until the slots of the node that is gone have another master.
    fn until_succeeded(&self, gone: usize) {
        until("a replica has taken the place of its master", || self.of_role(true).len() == 3);
        let others = self.nodes.iter().enumerate().filter(|(node, _)| *node != gone);
        for (_, node) in others {
            node.until_answer(&["CLUSTER", "INFO"], |info| {
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            });
        }
    }
}

impl Place for Nodes {
    fn faults(&self) -> &'static [ServerFault] {
        &[ServerFault::Handover, ServerFault::MasterKilled, ServerFault::LinkCut]
    }

    fn url(&self, host: u32) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}@{}", rights::login(host), hosts.join(","))
    }

    fn inject(&mut self, fault: ServerFault, dice: &mut fastrand::Rng) -> Effect {
        let (mut from, mut since) = (At::now(), At::now().before(LAG));
        let out = |from: At| Some(Out { host: None, from, until: At::now() });
        if fault == ServerFault::Handover {
            let replicas = self.of_role(false);
            let heir = replicas[dice.usize(..replicas.len())];
            self.hand_over(heir);
            let masters = self.of_role(true);
            let before = std::mem::replace(&mut self.masters, masters);
            // The master stands still until its replica has all; one that nobody asked does not.
            let unasked =
                self.masters.iter().any(|master| *master != heir && !before.contains(master));
            return Effect { out: out(from), lost_since: unasked.then_some(since) };
        }
        let masters = self.of_role(true);
        let victim = masters[dice.usize(..masters.len())];
        if fault == ServerFault::LinkCut {
            since = At::now();
            rights::revoke(&self.nodes[victim], rights::REPLICATOR);
            pause(dice, 100..1500);
            from = At::now();
        }
        self.nodes[victim].kill();
        self.until_succeeded(victim);
        self.masters = self.of_role(true);
        Effect { out: out(from), lost_since: Some(since) }
    }

    fn mend(&mut self) {
        for node in &mut self.nodes {
            if !node.is_running() {
                node.restart();
            }
        }
        until("there are three masters", || self.of_role(true).len() == 3);
        for replica in self.of_role(false) {
            until("a replica follows its master", || follows(&self.nodes[replica]));
        }
        for node in &self.nodes {
            node.until_answer(&["CLUSTER", "INFO"], |info| info.contains("cluster_state:ok"));
        }
    }

    fn has_moved(&mut self) -> bool {
        let masters = self.of_role(true);
        if masters == self.masters {
            return false;
        }
        until("there are three masters again", || self.of_role(true).len() == 3);
        let masters = self.of_role(true);
        let moved = masters != self.masters;
        self.masters = masters;
        moved
    }
}
