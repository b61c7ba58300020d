//! A cluster: each of its masters has some of 16,384 slots, and each key is in one.
//!
//! Nobody has to be asked where a key is: a node that does not have it says who does.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{ConnectionAddr, IntoConnectionInfo, Value};

use crate::address::ClusterAddress;
use crate::link::{Limits, Trouble, is_about_the_server};
use crate::nodes::Node;
use crate::source::{Clients, Source};
use crate::wake::Wakes;

type Host = (String, u16);

/// The nodes that are known, and what each has.
pub(crate) struct Cluster {
    address: ClusterAddress,
    clients: Clients,
    limits: Limits,
    wakes: Arc<Wakes>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    slots: HashMap<u16, Host>,
    nodes: HashMap<Host, Arc<Node>>,
    /// Which of the hosts of the URL is asked where nothing is known.
    turn: usize,
}

/// Redirections in a row that a cluster may need while it fails over.
const REDIRECTIONS: usize = 5;

impl Cluster {
    pub(crate) fn new(
        address: ClusterAddress,
        clients: Clients,
        limits: Limits,
        wakes: Arc<Wakes>,
    ) -> Self {
        Self { address, clients, limits, wakes, known: Mutex::default() }
    }

    /// The node that has the key, as far as is known.
    pub(crate) fn node_of(&self, key: &str) -> Result<Arc<Node>, Trouble> {
        let mut known = self.known();
        let host = known.slots.get(&slot(key)).cloned();
        let host = host.unwrap_or_else(|| {
            let hosts = &self.address.hosts;
            hosts[known.turn % hosts.len()].clone()
        });
        self.node_at(&mut known, host)
    }

    /// How many nodes are asked for one key.
    pub(crate) fn patience(&self) -> usize {
        self.address.hosts.len() + REDIRECTIONS
    }

    /// Takes in what came of asking this node, and says whether another is to be asked. It is where nothing was done.
    pub(crate) fn learn(&self, key: &str, asked: &Arc<Node>, trouble: &Trouble) -> bool {
        let mut known = self.known();
        let found = known.nodes.iter().find(|(_, node)| Arc::ptr_eq(node, asked));
        let asked = found.map(|(host, _)| host.clone());
        match trouble {
            Trouble::Refused(error) => {
                let Some((to, slot)) = error.redirect_node() else {
                    if is_about_the_server(error) {
                        known.lose_sight_of(key);
                    }
                    return false;
                };
                let Some((host, port)) = to.rsplit_once(':') else { return false };
                let Ok(port) = port.parse() else { return false };
                // A node that does not know its own host means the one by which it was asked.
                let host = match (host, asked) {
                    ("", Some((asked, _))) => asked,
                    (host, _) => host.trim_matches(['[', ']']).to_owned(),
                };
                let is_moved = error.code() == Some("MOVED");
                if is_moved {
                    known.slots.insert(slot, (host, port));
                }
                is_moved
            }
            Trouble::Unreached(_) | Trouble::Unsuitable(_) => {
                known.lose_sight_of(key);
                true
            }
            Trouble::Unanswered(_) | Trouble::Odd => {
                // Perhaps it was replaced; the next command finds out.
                known.lose_sight_of(key);
                false
            }
        }
    }

    /// All nodes that have slots.
    pub(crate) async fn masters(&self) -> Result<Vec<Arc<Node>>, Trouble> {
        let mut last = Trouble::Odd;
        for _ in &self.address.hosts {
            let (host, node) = {
                let mut known = self.known();
                let hosts = &self.address.hosts;
                let host = hosts[known.turn % hosts.len()].clone();
                (host.clone(), self.node_at(&mut known, host)?)
            };
            match node.reads.read(redis::cmd("CLUSTER").arg("SLOTS")).await {
                Ok(answer) => {
                    let hosts = masters(&answer, &host.0).ok_or(Trouble::Odd)?;
                    let mut known = self.known();
                    return hosts.into_iter().map(|host| self.node_at(&mut known, host)).collect();
                }
                Err(trouble) => last = trouble,
            }
            self.known().turn += 1;
        }
        Err(last)
    }

    fn node_at(&self, known: &mut Known, host: Host) -> Result<Arc<Node>, Trouble> {
        if let Some(node) = known.nodes.get(&host) {
            return Ok(Arc::clone(node));
        }
        let (name, port) = host.clone();
        let address = if self.address.tls {
            ConnectionAddr::TcpTls { host: name, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(name, port)
        };
        let info = address.into_connection_info().map_err(Trouble::Unreached)?;
        let client = self.clients.client(info.set_redis_settings(self.address.redis.clone()));
        let client = client.map_err(|error| Trouble::Unsuitable(error.to_string()))?;
        let node = Arc::new(Node::new(Source::Server(client), self.limits, &self.wakes, true));
        known.nodes.insert(host, Arc::clone(&node));
        Ok(node)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is known is whole whenever the lock is free: nothing in between can panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The next of the hosts of the URL is asked.
    fn lose_sight_of(&mut self, key: &str) {
        self.slots.remove(&slot(key));
        self.turn += 1;
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The slot of a key: of what is in its first braces, which ours have.
fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    let tag = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    // CRC-16/XMODEM, as the specification of clusters has it.
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
        })
    });
    crc % 16_384
}

/// The masters of an answer to `CLUSTER SLOTS`, which was asked of this host.
fn masters(answer: &Value, asked: &str) -> Option<Vec<Host>> {
    let Value::Array(ranges) = answer else { return None };
    let mut hosts = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let Value::Array(master) = range.get(2)? else { return None };
        let host = match master.first()? {
            Value::BulkString(host) if !host.is_empty() => String::from_utf8(host.clone()).ok()?,
            _ => asked.to_owned(),
        };
        let Value::Int(port) = master.get(1)? else { return None };
        hosts.push((host, u16::try_from(*port).ok()?));
    }
    hosts.sort_unstable();
    hosts.dedup();
    Some(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("a:{123456789}:b"), 0x31C3);
        assert_eq!(slot("foo{}{bar}"), slot("foo{}{bar}"));
        assert_ne!(slot("{a}"), slot("{b}"));
    }

    #[test]
    fn masters_are_read_from_the_slots() {
        let bulk = |text: &str| Value::BulkString(text.into());
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), bulk("id")]);
        let range =
            |nodes: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(1)], nodes].concat());
        let answer = Value::Array(vec![
            range(vec![node(bulk("b"), 2), node(bulk("replica"), 9)]),
            range(vec![node(bulk("a"), 1)]),
            range(vec![node(bulk("b"), 2)]),
            range(vec![node(Value::Nil, 3)]),
        ]);
        let expected = [("a", 1), ("asked", 3), ("b", 2)];
        let expected = expected.map(|(host, port)| (host.to_owned(), port)).to_vec();
        assert_eq!(masters(&answer, "asked"), Some(expected));
        assert_eq!(masters(&Value::Nil, "asked"), None);
    }
}
