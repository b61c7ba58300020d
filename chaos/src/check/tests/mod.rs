//! Histories that break one rule each, and those that break none.

mod calls;
mod control;
mod deaths;
mod losses;
mod presented;
mod servers;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use super::losses::Cause;
use super::{Findings, Rule, check};
use crate::history::{CallEnd, Entry, ExchangeEnd, Found, Heard, SwapEnd, What};
use crate::mark::Mark;
use crate::record::{Record, State, Version};
use crate::request::{Decision, Request};
use crate::run::Outcome;
use crate::time::At;

use Decision::{Issued, Refused, Reuse};
use State::{Dead, Idle, InFlight};

const TOKEN: u64 = 100;
const FAMILY: u64 = 7;

/// What a record holds: version, state and refresh token.
type Held = ((u64, u64), State, u64);

/// A history of grant 0. Times are in milliseconds.
struct Scene(Outcome);

impl Scene {
    /// At 0 somebody has logged in: family 7, token 100, write 1 by process 1. The access token ends at 1500.
    fn new() -> Self {
        let mut scene = Self(Outcome {
            entries: Vec::new(),
            requests: Vec::new(),
            places: 0,
            last: vec![(0, Ok(None))],
            kills: 0,
            stops: 0,
            met: Vec::new(),
            server_faults: BTreeMap::new(),
            failovers: 0,
            faults: Vec::new(),
            took: Duration::ZERO,
        });
        scene.tell(0, 0, What::SignedIn { family: FAMILY, refresh: Mark(TOKEN), forgotten: None });
        scene.tell(0, 1, What::Login { refresh: Mark(TOKEN) });
        scene.write(0, 1, 0, 1, ((1, 0), Idle, TOKEN));
        scene
    }

    fn tell(&mut self, ms: u64, process: u32, what: What) {
        self.0.entries.push(Entry { at: at(ms), process, grant: Some(0), what });
    }

    fn begin(&mut self, ms: u64, process: u32, expect: u64, stamp: u64, held: Held) {
        let ((epoch, generation), state, refresh) = held;
        let version = Version(epoch, generation);
        let record = Record { version, state, refresh: Some(Mark(refresh)) };
        let expect = (expect != 0).then_some(Mark(expect));
        let (stamp, digest) = (Mark(stamp), Mark(stamp));
        self.tell(ms, process, What::Swap { expect, stamp, digest, record });
    }

    fn end(&mut self, ms: u64, process: u32, stamp: u64, end: SwapEnd) {
        self.tell(ms, process, What::Swapped { stamp: Mark(stamp), end });
    }

    /// A write that begins now, wins a millisecond later and is the last one. It replaces write `expect`, or nothing if
    /// that is 0.
    fn write(&mut self, ms: u64, process: u32, expect: u64, stamp: u64, held: Held) {
        self.begin(ms, process, expect, stamp, held);
        self.end(ms + 1, process, stamp, SwapEnd::Won);
        self.last(stamp);
    }

    fn last(&mut self, stamp: u64) {
        self.0.last = vec![(0, Ok(Some((Mark(stamp), Mark(stamp)))))];
    }

    /// An exchange whose request leaves at once, arrives 10 ms later and is decided upon 20 ms later.
    fn exchange(
        &mut self,
        ms: u64,
        process: u32,
        n: u64,
        presented: u64,
        decision: Option<Decision>,
    ) {
        self.tell(ms, process, What::Exchange { n, presented: Mark(presented) });
        self.tell(ms, process, What::Sending { n });
        self.0.requests.push(Request {
            arrived: at(ms + 10),
            id: Some((process, 0, n)),
            presented: Mark(presented),
            family: Some(FAMILY),
            decided: decision.map(|decision| (at(ms + 20), decision)),
            answered: None,
        });
    }

    /// The answer to the last exchange went out whole.
    fn answered(&mut self, ms: u64) {
        let last = self.0.requests.last_mut().expect("there was an exchange");
        last.answered = Some(at(ms));
    }

    fn exchanged(&mut self, ms: u64, process: u32, n: u64, end: ExchangeEnd) {
        self.tell(ms, process, What::Exchanged { n, end });
    }

    fn kill(&mut self, ms: u64, process: u32) {
        self.tell(ms, process, What::Killed { gone: at(ms + 1) });
    }

    fn stop(&mut self, from: u64, to: u64, process: u32) {
        self.tell(from, process, What::Stopped);
        self.tell(to, process, What::Continued);
    }

    fn check(self) -> Findings {
        check(&self.ended(), true)
    }

    fn ended(mut self) -> Outcome {
        self.tell(60_000, 9, What::Ready);
        self.0.entries.sort_by_key(|entry| entry.at);
        self.0
    }

    fn rules(self) -> Vec<Rule> {
        self.check().violations.into_iter().map(|violation| violation.rule).collect()
    }
}

fn at(ms: u64) -> At {
    At(ms * 1_000_000)
}

fn tokens(refresh: u64) -> ExchangeEnd {
    ExchangeEnd::Tokens { refresh: Some(Mark(refresh)) }
}

/// Process 1 refreshes once: intent 2, tokens 101, commit 3.
fn refreshed() -> Scene {
    let mut scene = Scene::new();
    scene.write(1000, 1, 1, 2, ((1, 0), InFlight, TOKEN));
    scene.exchange(1010, 1, 1, TOKEN, Some(Issued(Mark(101))));
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.write(1050, 1, 2, 3, ((1, 1), Idle, 101));
    scene
}

/// Process 1 has sent token 100 at 1010, and the server issued token 101 for it.
fn sent() -> Scene {
    let mut scene = Scene::new();
    scene.write(1000, 1, 1, 2, ((1, 0), InFlight, TOKEN));
    scene.exchange(1010, 1, 1, TOKEN, Some(Issued(Mark(101))));
    scene
}

/// Process 2 takes over and presents the same token, which ends the family.
fn again(mut scene: Scene, ms: u64) -> Scene {
    scene.write(ms - 10, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.exchange(ms, 2, 1, TOKEN, Some(Reuse));
    scene
}

#[track_caller]
fn lost(findings: &Findings, cause: Cause) {
    assert_eq!(
        findings.losses.iter().collect::<Vec<_>>(),
        [(&cause, &1)],
        "{:?}",
        findings.violations
    );
}
