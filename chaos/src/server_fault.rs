//! What is done to the servers that keep the records.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerFault {
    /// `kill -9`, and started again with its data.
    Killed,
    /// `kill -9`, and started again without data.
    Emptied,
    /// `kill -9`, and started again with data of some seconds ago.
    Rewound,
    /// SIGSTOP for a while.
    Stopped,
    /// `CLIENT PAUSE`.
    Paused,
    /// `maxmemory` is exceeded for a while.
    MemoryFull,
    /// `SCRIPT FLUSH`.
    ScriptsFlushed,
    /// All connections of clients are cut.
    ConnectionsCut,
    /// The user of one host may do nothing for a while.
    RightsRevoked,
    /// A failover that somebody asked for.
    Handover,
    /// The master is killed, and comes back as a replica of its successor.
    MasterKilled,
    /// The master stands still until another has taken its place, and goes on as if it were the master still.
    MasterStopped,
    /// The replicas hear nothing of the master for a while; then it is killed.
    LinkCut,
    /// Nothing: on a busy machine a master seemed to be gone, and another has taken its place.
    Unasked,
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Killed => "killed",
            Self::Emptied => "emptied",
            Self::Rewound => "rewound",
            Self::Stopped => "stopped",
            Self::Paused => "paused",
            Self::MemoryFull => "memory-full",
            Self::ScriptsFlushed => "scripts-flushed",
            Self::ConnectionsCut => "connections-cut",
            Self::RightsRevoked => "rights-revoked",
            Self::Handover => "handover",
            Self::MasterKilled => "master-killed",
            Self::MasterStopped => "master-stopped",
            Self::LinkCut => "link-cut",
            Self::Unasked => "unasked-failover",
        })
    }
}
