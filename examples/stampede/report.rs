//! What is told at the end.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::figures::Figures;
use crate::kit::Kit;
use crate::occasions::Occasions;
use crate::options::{Adapter, Options};

/// The figures of a run; the names are those of the JSON line.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    adapter: Adapter,
    processes: u16,
    requests: u64,
    ok: u64,
    failed: u64,
    unauthorized: u64,
    replayed: u64,
    token_requests: u64,
    expiries: u64,
    reuse_detected: u64,
    elapsed_ms: u128,
    #[serde(skip)]
    first_failure: Option<String>,
}

impl Report {
    pub(crate) fn new(
        options: &Options,
        figures: Figures,
        kit: Option<&Kit>,
        elapsed: Duration,
    ) -> Self {
        let mut seen = figures.seen;
        seen.extend(kit.into_iter().flat_map(|kit| kit.log.take()));
        let occasions = Occasions::new(seen);
        let counters = kit.map(Kit::counters);
        Self {
            adapter: options.adapter,
            processes: options.processes,
            requests: figures.requests,
            ok: figures.ok,
            failed: figures.failed,
            unauthorized: figures.unauthorized,
            replayed: figures.replayed,
            // The kit's own count where there is one: it sees what a client might not know of.
            token_requests: counters
                .map_or(occasions.token_requests(), |counters| counters.token_requests),
            expiries: occasions.count(),
            reuse_detected: counters
                .map_or(occasions.refused_grants(), |counters| counters.reuse_detected),
            elapsed_ms: elapsed.as_millis(),
            first_failure: figures.first_failure,
        }
    }

    pub(crate) fn print(&self, json: bool) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if json {
            return writeln!(stdout, "{}", serde_json::to_string(self)?);
        }
        let seconds = self.elapsed_ms as f64 / 1000.0;
        writeln!(stdout)?;
        for (what, figure) in [
            ("processes", self.processes.into()),
            ("requests", self.requests),
            ("  succeeded", self.ok),
            ("  failed", self.failed),
            ("  got a 401 in the end", self.unauthorized),
            ("  refused, then sent again", self.replayed),
            ("occasions that required a new token", self.expiries),
            ("token requests", self.token_requests),
            ("refresh tokens used twice", self.reuse_detected),
        ] {
            writeln!(stdout, "{what:<38}{figure:>10}")?;
        }
        writeln!(stdout, "{:<38}{seconds:>8.1} s", "time")
    }

    /// What the run shows to be wrong, if anything.
    pub(crate) fn defect(&self) -> Option<String> {
        if self.failed > 0 {
            let first = self.first_failure.as_deref().unwrap_or("unknown");
            return Some(format!(
                "{} of {} requests failed, the first with: {first}. See that the API is reachable and takes these tokens.",
                self.failed, self.requests
            ));
        }
        if self.reuse_detected > 0 {
            return Some(format!("{} refresh tokens were refused as used.", self.reuse_detected));
        }
        if self.token_requests != self.expiries {
            return Some(format!(
                "{} occasions required a new token, and {} were requested.",
                self.expiries, self.token_requests
            ));
        }
        None
    }
}
