//! What came of it, and whether that is well.

use std::fmt;

use examples::BoxError;
use serde_json::json;
use token_testkit::{AuthorizationServer, Counters};

use crate::cast::Life;

pub(crate) struct Outcome<'a> {
    lives: &'a [Life],
    counters: Counters,
}

impl<'a> Outcome<'a> {
    pub(crate) fn new(lives: &'a [Life], server: &AuthorizationServer) -> Self {
        Self { lives, counters: server.counters() }
    }

    /// # Errors
    ///
    /// A refresh token was used twice, a token that was issued was lost, or a call failed.
    pub(crate) fn check(&self) -> Result<(), BoxError> {
        let Counters { reuse_detected, tokens_issued, .. } = self.counters;
        if reuse_detected > 0 {
            return Err(format!("{reuse_detected} refresh tokens were used twice").into());
        }
        let refreshed = self.sum(|life| life.refreshed);
        if refreshed != tokens_issued {
            return Err(format!("{tokens_issued} tokens were issued, {refreshed} arrived").into());
        }
        match self.failed_calls() {
            0 => Ok(()),
            failed => Err(format!("{failed} calls failed").into()),
        }
    }

    /// The sums, named as those of the example `stampede`.
    pub(crate) fn json(&self) -> serde_json::Value {
        let Counters { api_ok, token_requests, tokens_issued, reuse_detected, .. } = self.counters;
        json!({
            "replicas": self.lives.len(),
            "ok": api_ok,
            "failed": self.failed_calls(),
            "refreshed": self.sum(|life| life.refreshed),
            "followed": self.sum(|life| life.followed),
            "took_over": self.sum(|life| life.took_over),
            "token_requests": token_requests,
            "tokens_issued": tokens_issued,
            "reuse_detected": reuse_detected,
        })
    }

    fn failed_calls(&self) -> u64 {
        self.sum(|life| life.failed_calls)
    }

    fn sum(&self, figure: impl Fn(&Life) -> u64) -> u64 {
        self.lives.iter().map(figure).sum()
    }
}

impl fmt::Display for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "replica  refreshed  followed  took over  failed calls  end")?;
        for Life { name, refreshed, followed, took_over, failed_calls, end, .. } in self.lives {
            writeln!(
                f,
                "{name:<7}{refreshed:>11}{followed:>10}{took_over:>11}{failed_calls:>14}  {end}"
            )?;
        }
        writeln!(f)?;
        let Counters { api_ok, token_requests, tokens_issued, reuse_detected, .. } = self.counters;
        for (what, figure) in [
            ("calls that succeeded", api_ok),
            ("calls that failed", self.failed_calls()),
            ("token requests", token_requests),
            ("  answered with new tokens", tokens_issued),
            ("refresh tokens used twice", reuse_detected),
        ] {
            writeln!(f, "{what:<32}{figure:>6}")?;
        }
        Ok(())
    }
}
