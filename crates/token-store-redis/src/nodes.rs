//! Which server is asked for which key: the only one, or the one that a cluster keeps it on.

use std::sync::Arc;

use redis::{Cmd, Value};

use crate::cluster::Cluster;
use crate::link::{Limits, Link, Trouble, Written};
use crate::source::Source;
use crate::wake::Wakes;

/// A server.
#[derive(Debug)]
pub(crate) struct Node {
    /// Looks, and everything else that changes nothing.
    pub(crate) reads: Link,
    /// Of its own: to wait for replicas holds up everything that is on the same connection.
    pub(crate) writes: Link,
}

/// All servers.
#[derive(Debug)]
pub(crate) enum Nodes {
    One(Arc<Node>),
    Cluster(Box<Cluster>),
}

/// How a command finds its server.
pub(crate) struct Way<'a> {
    nodes: &'a Nodes,
    key: &'a str,
    pub(crate) node: Arc<Node>,
    /// How many more may be asked.
    left: usize,
}

impl Node {
    pub(crate) fn new(
        source: Source,
        limits: Limits,
        wakes: &Arc<Wakes>,
        in_cluster: bool,
    ) -> Self {
        let source = Arc::new(source);
        let reads = Link::new(Arc::clone(&source), limits, Some(Arc::clone(wakes)), in_cluster);
        Self { reads, writes: Link::new(source, limits, None, in_cluster) }
    }
}

impl Nodes {
    pub(crate) async fn read(&self, key: &str, command: &Cmd) -> Result<Value, Trouble> {
        let mut way = self.way(key)?;
        loop {
            let answer = way.node.reads.read(command).await;
            if !way.goes_on(&answer)? {
                return answer;
            }
        }
    }

    /// Writes, and says on which server. Nothing is sent to a second one unless the first has done nothing.
    pub(crate) async fn write(
        &self,
        key: &str,
        command: &Cmd,
        replicas: u32,
    ) -> Result<(Written, Arc<Node>), Trouble> {
        let mut way = self.way(key)?;
        loop {
            let answer = way.node.writes.write(command, replicas).await;
            if !way.goes_on(&answer)? {
                return answer.map(|written| (written, way.node));
            }
        }
    }

    /// Has the next who reads the key begin on another connection.
    pub(crate) async fn leave(&self, key: &str) {
        if let Ok(way) = self.way(key) {
            way.node.reads.leave_any().await;
        }
    }

    /// Has whoever comes next begin on other connections, where the server's replicas are missed; whether they do.
    pub(crate) async fn doubt(&self, missed: bool) -> bool {
        // A node of a cluster has an address of its own, and another connection leads to it again.
        let Self::One(node) = self else { return false };
        let moved = node.reads.doubt(missed).await;
        if moved {
            node.writes.leave_any().await;
        }
        moved
    }

    /// Every server that has keys of its own.
    pub(crate) async fn all(&self) -> Result<Vec<Arc<Node>>, Trouble> {
        match self {
            Self::One(node) => Ok(vec![Arc::clone(node)]),
            Self::Cluster(cluster) => cluster.masters().await,
        }
    }

    pub(crate) fn way<'a>(&'a self, key: &'a str) -> Result<Way<'a>, Trouble> {
        let (node, left) = match self {
            Self::One(node) => (Arc::clone(node), 0),
            Self::Cluster(cluster) => (cluster.node_of(key)?, cluster.patience()),
        };
        Ok(Way { nodes: self, key, node, left })
    }
}

impl Way<'_> {
    /// Whether another server is to be asked instead, which is then [`node`](Self::node).
    pub(crate) fn goes_on<T>(&mut self, answer: &Result<T, Trouble>) -> Result<bool, Trouble> {
        let (Nodes::Cluster(cluster), Err(trouble)) = (self.nodes, answer) else {
            return Ok(false);
        };
        if self.left == 0 || !cluster.learn(self.key, &self.node, trouble) {
            return Ok(false);
        }
        self.left -= 1;
        self.node = cluster.node_of(self.key)?;
        Ok(true)
    }
}
