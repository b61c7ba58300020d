//! All that is known after a run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::history::Entry;
use crate::mark::Mark;
use crate::request::Request;
use crate::server_fault::ServerFault;
use crate::step::Step;

use super::plan::Manner;

/// The last record of a grant: its write and its bytes' mark.
pub(crate) type LastRecord = Result<Option<(Mark, Mark)>, String>;

/// All that is known after a run.
pub(crate) struct Outcome {
    pub(crate) entries: Vec<Entry>,
    pub(crate) requests: Vec<Request>,
    /// How many places servers keep; 0 where the store is of files.
    pub(crate) places: u32,
    pub(crate) last: Vec<(u32, LastRecord)>,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) met: Vec<(Step, Manner, u64)>,
    /// How often each thing was done to the servers.
    pub(crate) server_faults: BTreeMap<ServerFault, u64>,
    /// How often Sentinels put another server in a master's place.
    pub(crate) failovers: u64,
    /// What went wrong with the run itself.
    pub(crate) faults: Vec<String>,
    pub(crate) took: Duration,
}

impl Outcome {
    /// What is known of the grants that are refreshed by our protocol, or of those of the control: their numbers begin at `ours`.
    pub(crate) fn part(&self, ours: u32, control: bool) -> Self {
        let belongs = |grant: u32| (grant >= ours) == control;
        let entries = self.entries.iter().filter(|entry| entry.grant.is_none_or(belongs));
        let requests = self.requests.iter();
        let of_part =
            requests.filter(|one| one.id.map_or(!control, |(_, grant, _)| belongs(grant)));
        Self {
            entries: entries.cloned().collect(),
            requests: of_part.cloned().collect(),
            last: self.last.iter().filter(|(grant, _)| belongs(*grant)).cloned().collect(),
            met: self.met.clone(),
            server_faults: self.server_faults.clone(),
            faults: if control { Vec::new() } else { self.faults.clone() },
            ..*self
        }
    }
}
