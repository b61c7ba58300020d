//! Histories that break one rule each, and those that break none.

use std::time::Duration;

use super::losses::Cause;
use super::{Findings, Rule, check};
use crate::history::{CallEnd, Entry, ExchangeEnd, Found, Heard, SwapEnd, What};
use crate::mark::Mark;
use crate::record::{Record, State, Version};
use crate::request::{Decision, Request};
use crate::run::Outcome;
use crate::time::At;

use Decision::{Issued, Reuse};
use State::{Idle, InFlight};

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
            last: Vec::new(),
            kills: 0,
            stops: 0,
            met: Vec::new(),
            faults: Vec::new(),
            took: Duration::ZERO,
        });
        scene.tell(0, 0, What::SignedIn { family: FAMILY, refresh: Mark(TOKEN) });
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
        self.0.last = vec![Ok(Some((Mark(stamp), Mark(stamp))))];
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
        });
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

    fn check(mut self) -> Findings {
        self.tell(60_000, 9, What::Ready);
        self.0.entries.sort_by_key(|entry| entry.at);
        check(&self.0, true)
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

#[test]
fn an_ordinary_refresh_breaks_no_rule() {
    let mut scene = refreshed();
    let found = Found::Record { stamp: Mark(3), digest: Mark(3) };
    scene.tell(1100, 2, What::Loaded { began: at(1090), found });
    let version = Version(1, 1);
    scene.tell(1100, 1, What::Call { began: at(1000), end: CallEnd::Token { version } });
    let findings = scene.check();
    assert_eq!(findings.violations, []);
    assert_eq!((findings.refreshes, findings.presentations_max), (1, 1));
    assert!(findings.losses.is_empty());
}

#[test]
fn a_write_that_was_acknowledged_and_is_gone_is_found() {
    let mut scene = refreshed();
    scene.begin(1000, 2, 1, 5, ((1, 0), Idle, TOKEN));
    scene.end(1001, 2, 5, SwapEnd::Won);
    assert_eq!(scene.rules(), [Rule::LostWrite], "two have replaced the same record");
    let mut scene = refreshed();
    scene.begin(1000, 2, 1, 5, ((1, 0), Idle, TOKEN));
    scene.end(1001, 2, 5, SwapEnd::Lost { current: Some(Mark(2)) });
    assert_eq!(scene.rules(), []);
}

#[test]
fn a_version_that_goes_down_is_found() {
    let mut scene = refreshed();
    scene.write(1200, 2, 3, 5, ((1, 0), Idle, TOKEN));
    assert_eq!(scene.rules(), [Rule::VersionDown]);
}

#[test]
fn what_is_read_and_was_not_written_is_found() {
    for found in [
        Found::Record { stamp: Mark(3), digest: Mark(99) },
        Found::Torn { stamp: Mark(3), why: "Eof".to_owned() },
        Found::Failed { kind: "Corrupt".to_owned() },
    ] {
        let mut scene = refreshed();
        scene.tell(1100, 2, What::Loaded { began: at(1090), found });
        assert_eq!(scene.rules(), [Rule::Torn]);
    }
    let mut scene = refreshed();
    scene.last(77);
    assert_eq!(scene.rules()[0], Rule::Torn, "nobody has told of the last record");
}

#[test]
fn an_old_record_that_is_read_is_found() {
    for found in [Found::Record { stamp: Mark(2), digest: Mark(2) }, Found::Nothing] {
        let mut scene = refreshed();
        scene.tell(1100, 2, What::Loaded { began: at(1090), found: found.clone() });
        assert_eq!(scene.rules(), [Rule::StaleRead]);
        let mut scene = refreshed();
        scene.tell(1100, 2, What::Loaded { began: at(0), found });
        assert_eq!(scene.rules(), [], "it began before the write was acknowledged");
    }
}

#[test]
fn a_token_that_is_sent_without_an_intent_is_found() {
    let mut scene = refreshed();
    scene.exchange(1200, 2, 1, 101, Some(Issued(Mark(102))));
    assert_eq!(scene.rules(), [Rule::NoIntent]);
    let mut scene = refreshed();
    scene.begin(1190, 2, 3, 5, ((1, 1), InFlight, 101));
    scene.end(1191, 2, 5, SwapEnd::Lost { current: None });
    scene.exchange(1200, 2, 1, 101, Some(Issued(Mark(102))));
    assert_eq!(scene.rules(), [Rule::NoIntent], "an intent that was not stored is none");
    let mut scene = refreshed();
    scene.0.requests[0].id = None;
    assert_eq!(scene.rules(), [Rule::NoIntent], "nobody has told of the request");
}

#[test]
fn what_was_carried_out_and_is_taken_for_refused_is_found() {
    for end in [ExchangeEnd::Rejected, ExchangeEnd::NotSent] {
        let mut scene = sent();
        scene.exchanged(1040, 1, 1, end);
        assert_eq!(scene.rules(), [Rule::NotCarriedOut]);
    }
}

#[test]
fn a_token_may_be_presented_again_where_the_first_time_came_to_nothing() {
    let mut scene = Scene::new();
    scene.write(1000, 1, 1, 2, ((1, 0), InFlight, TOKEN));
    scene.exchange(1010, 1, 1, TOKEN, None);
    scene.exchanged(1040, 1, 1, ExchangeEnd::Rejected);
    scene.write(1050, 1, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.exchange(1100, 1, 2, TOKEN, Some(Issued(Mark(101))));
    assert_eq!(scene.rules(), []);
}

#[test]
fn the_token_of_a_dead_holder_is_presented_again_once_all_has_ended() {
    let mut scene = sent();
    scene.kill(1100, 1);
    let findings = again(scene, 1600).check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::Crashed);
    let mut scene = sent();
    scene.kill(1250, 1);
    assert_eq!(
        again(scene, 1520).rules(),
        [Rule::PresentedTwice],
        "the server may still act on it"
    );
    let mut scene = sent();
    scene.kill(1100, 1);
    assert_eq!(again(scene, 1450).rules(), [Rule::PresentedTwice], "the access token serves");
    let mut scene = sent();
    scene.kill(1100, 1);
    scene.tell(1440, 2, What::Refused { version: Version(1, 0) });
    assert_eq!(again(scene, 1450).rules(), [], "the access token was refused");
}

#[test]
fn a_token_whose_holder_lives_is_not_presented_again() {
    for end in [None, Some(tokens(101)), Some(ExchangeEnd::InvalidGrant)] {
        let mut scene = sent();
        if let Some(end) = end {
            scene.exchanged(1040, 1, 1, end);
        }
        let findings = again(scene, 4000).check();
        let rules: Vec<_> = findings.violations.iter().map(|violation| violation.rule).collect();
        assert!(rules.contains(&Rule::PresentedTwice), "{rules:?}");
    }
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    let findings = again(scene, 4000).check();
    lost(&findings, Cause::Avoidable);
    assert_eq!(findings.violations[0].rule, Rule::AvoidableLoss);
}

#[test]
fn a_family_that_ends_while_the_store_has_its_live_token_is_an_avoidable_loss() {
    let mut scene = refreshed();
    scene.kill(1100, 1);
    scene.write(3990, 2, 3, 4, ((1, 1), InFlight, 101));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    let findings = scene.check();
    lost(&findings, Cause::Avoidable);
}

#[test]
fn an_answer_that_was_lost_is_no_avoidable_loss() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, ExchangeEnd::Ambiguous);
    let findings = again(scene, 1600).check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::AnswerLost);
    let mut scene = sent();
    scene.exchanged(1400, 1, 1, ExchangeEnd::Ambiguous);
    assert_eq!(again(scene, 1600).rules(), [Rule::PresentedTwice], "it is not settled");
}

#[test]
fn a_holder_that_stands_still_for_too_long_is_window_p() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.stop(1045, 8000, 1);
    let findings = again(scene, 4000).check();
    assert_eq!(findings.violations, []);
    lost(&findings, Cause::Paused);
    let mut scene = sent();
    scene.stop(1045, 8000, 1);
    assert_eq!(
        again(scene, 3000).rules(),
        [Rule::PresentedTwice],
        "its intent is left alone for longer"
    );
}

#[test]
fn a_late_commit_over_the_intent_of_who_presents_again_is_window_p() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.stop(1045, 3995, 1);
    scene.write(3990, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.write(3997, 1, 4, 5, ((1, 1), Idle, 101));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    let findings = scene.check();
    lost(&findings, Cause::Paused);
    assert_eq!(findings.violations, []);
}

#[test]
fn who_stood_still_with_the_stores_lock_holds_up_the_commit_of_others() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.begin(1030, 3, 1, 6, ((1, 0), InFlight, TOKEN));
    scene.stop(1035, 3990, 3);
    let findings = again(scene, 4000).check();
    lost(&findings, Cause::Paused);
}

#[test]
fn who_stood_still_while_it_sent_is_told_apart_from_who_did_before() {
    let late = |stopped: (u64, u64)| {
        let mut scene = refreshed();
        scene.write(1055, 2, 3, 4, ((1, 1), InFlight, 101));
        scene.stop(stopped.0, stopped.1, 2);
        scene.exchange(5000, 2, 1, TOKEN, Some(Reuse));
        scene.check()
    };
    lost(&late((5000, 5009)), Cause::PausedSending);
    lost(&late((1060, 4990)), Cause::Avoidable);
}

#[test]
fn a_server_that_breaks_its_promise_is_told_apart() {
    let mut scene = sent();
    scene.kill(1011, 1);
    scene.0.requests[0].decided = Some((at(2000), Reuse));
    scene.write(1590, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.exchange(1600, 2, 1, TOKEN, Some(Issued(Mark(101))));
    scene.exchanged(1630, 2, 1, tokens(101));
    scene.write(1640, 2, 4, 5, ((1, 1), Idle, 101));
    let findings = scene.check();
    lost(&findings, Cause::ServerLate);
}

#[test]
fn a_family_that_a_login_has_replaced_is_no_loss() {
    let mut scene = sent();
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.tell(1100, 0, What::SignedIn { family: FAMILY + 1, refresh: Mark(200) });
    scene.tell(1100, 3, What::Login { refresh: Mark(200) });
    scene.write(3980, 2, 2, 4, ((1, 0), InFlight, TOKEN));
    scene.write(3990, 3, 4, 5, ((2, 0), Idle, 200));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    lost(&scene.check(), Cause::Superseded);
}

#[test]
fn a_caller_that_gets_an_older_version_is_found() {
    let call = |scene: &mut Scene, began, ended, version| {
        let end = CallEnd::Token { version: Version(1, version) };
        scene.tell(ended, 1, What::Call { began: at(began), end });
    };
    let mut scene = refreshed();
    call(&mut scene, 1100, 1110, 1);
    call(&mut scene, 1111, 1120, 0);
    assert_eq!(scene.rules(), [Rule::CallerDown]);
    let mut scene = refreshed();
    call(&mut scene, 1100, 1110, 1);
    call(&mut scene, 1105, 1120, 0);
    assert_eq!(scene.rules(), [], "they overlap");
}

#[test]
fn a_caller_that_waits_for_too_long_is_found() {
    let waited = |stopped: Option<(u64, u64)>| {
        let mut scene = refreshed();
        let end = CallEnd::Error { kind: "Store".to_owned() };
        scene.tell(50_000, 1, What::Call { began: at(20_000), end });
        if let Some((from, to)) = stopped {
            scene.stop(from, to, 1);
        }
        scene.rules()
    };
    assert_eq!(waited(None), [Rule::LongWait]);
    assert_eq!(waited(Some((20_000, 40_000))), [], "it stood still itself");
    let mut scene = refreshed();
    scene.tell(2000, 1, What::Waiting { began: at(1100) });
    assert_eq!(scene.rules(), [Rule::LongWait], "it waits to the end of the run");
    let mut scene = refreshed();
    scene.tell(2000, 1, What::Waiting { began: at(1100) });
    scene.kill(3000, 1);
    assert_eq!(scene.rules(), [], "it waited until it was killed");
}

#[test]
fn a_takeover_counts_from_the_death_of_the_holder_to_its_declaration() {
    let mut scene = sent();
    scene.kill(1100, 1);
    scene.tell(1440, 2, What::Event(Heard::TakenOver));
    let findings = again(scene, 1600).check();
    assert_eq!(findings.takeovers, [Duration::from_millis(340)]);
    let mut scene = refreshed();
    scene.kill(1100, 1);
    scene.tell(1440, 2, What::Event(Heard::TakenOver));
    assert_eq!(scene.check().takeovers, [], "its answer was stored");
}

#[test]
fn what_went_wrong_with_the_run_itself_is_a_violation() {
    let mut scene = refreshed();
    scene.0.faults.push("process 3 ended by itself".to_owned());
    assert_eq!(scene.rules(), [Rule::Run]);
}
