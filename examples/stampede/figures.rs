//! What came of requests.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::occasions::Seen;

/// Of a task, of a process, of all: they are added up.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    pub(crate) ok: u64,
    pub(crate) failed: u64,
    pub(crate) unauthorized: u64,
    pub(crate) replayed: u64,
    pub(crate) first_failure: Option<String>,
    /// At the token endpoint.
    pub(crate) seen: Vec<Seen>,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, other: Self) {
        let Self { requests, ok, failed, unauthorized, replayed, first_failure, seen } = other;
        self.requests += requests;
        self.ok += ok;
        self.failed += failed;
        self.unauthorized += unauthorized;
        self.replayed += replayed;
        self.first_failure = self.first_failure.take().or(first_failure);
        self.seen.extend(seen);
    }
}
