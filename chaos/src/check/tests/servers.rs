use super::*;
use crate::history::{Injected, Out};
use crate::server_fault::ServerFault;

/// A place that servers keep.
fn over_servers(mut scene: Scene) -> Scene {
    scene.0.places = 1;
    scene
}

impl Scene {
    /// Something is done to the servers, by which they may lose what was acknowledged since then.
    fn fall(&mut self, since: u64, from: u64, to: u64) {
        self.inject(from, to, None, Some(at(since)));
    }

    fn inject(&mut self, from: u64, to: u64, host: Option<u32>, lost_since: Option<At>) {
        let out = Some(Out { host, from: at(from), until: at(to) });
        let injected =
            Injected { place: 0, fault: ServerFault::Killed, began: at(from), out, lost_since };
        let what = What::Injected(injected);
        self.0.entries.push(Entry { at: at(to), process: 0, grant: None, what });
    }
}

/// The commit of token 101 at 1050 is lost by a fall from 1100 to 1200, and the store shows the intent under write 2 again.
fn fallen(since: u64) -> Scene {
    let mut scene = over_servers(refreshed());
    scene.fall(since, 1100, 1200);
    scene.last(2);
    scene
}

#[test]
fn what_servers_were_made_to_lose_is_no_lost_write() {
    assert_eq!(fallen(1040).rules(), []);
    assert_eq!(fallen(1060).rules(), [Rule::LostWrite], "it was acknowledged before");
    let mut scene = over_servers(refreshed());
    scene.last(2);
    assert_eq!(scene.rules(), [Rule::LostWrite], "nothing was done to them");
}

#[test]
fn a_fall_explains_what_is_read_after_it_and_nothing_before() {
    let read = |ms: u64| {
        let mut scene = fallen(1040);
        let found = Found::Record { stamp: Mark(2), digest: Mark(2) };
        scene.tell(ms + 5, 2, What::Loaded { began: at(ms), found });
        scene.rules()
    };
    assert_eq!(read(1300), []);
    assert_eq!(read(1080), [Rule::StaleRead]);
}

#[test]
fn a_loss_by_a_fall_is_avoidable_if_who_knew_the_token_lived_and_ran() {
    let findings = again(fallen(1040), 4000).check();
    lost(&findings, Cause::Avoidable);
    let mut scene = fallen(1040);
    scene.kill(1150, 1);
    let findings = again(scene, 4000).check();
    lost(&findings, Cause::StoreFell);
    assert_eq!(findings.violations, []);
    let mut scene = fallen(1040);
    scene.stop(1150, 9000, 1);
    lost(&again(scene, 4000).check(), Cause::StoreFell);
}

#[test]
fn who_does_not_wait_until_others_can_bring_a_token_back_is_not_excused() {
    let findings = again(fallen(1040), 1600).check();
    lost(&findings, Cause::Avoidable);
}

#[test]
fn a_token_that_was_brought_back_and_is_presented_again_is_an_avoidable_loss() {
    let mut scene = fallen(1040);
    scene.write(1300, 1, 2, 5, ((1, 1), Idle, 101));
    scene.kill(1400, 1);
    scene.write(3990, 2, 5, 4, ((1, 0), InFlight, TOKEN));
    scene.exchange(4000, 2, 1, TOKEN, Some(Reuse));
    lost(&scene.check(), Cause::Avoidable);
}

#[test]
fn an_answer_that_a_place_out_of_reach_does_not_take_is_window_p() {
    for (host, cause) in
        [(None, Cause::Paused), (Some(1), Cause::Paused), (Some(2), Cause::Avoidable)]
    {
        let mut scene = over_servers(sent());
        scene.exchanged(1040, 1, 1, tokens(101));
        scene.begin(1041, 1, 2, 3, ((1, 1), Idle, 101));
        scene.end(1042, 1, 3, SwapEnd::Failed { kind: "Refused".to_owned() });
        scene.inject(1030, 3985, host, None);
        lost(&again(scene, 4000).check(), cause);
    }
}

#[test]
fn a_record_that_is_gone_and_that_nobody_brings_back_is_found() {
    let forgotten = |killed: bool| {
        let mut scene = over_servers(refreshed());
        scene.fall(0, 1100, 1200);
        if killed {
            scene.kill(1150, 1);
        }
        scene.0.last = vec![(0, Ok(None))];
        let what = What::SignedIn {
            family: FAMILY + 1,
            refresh: Mark(200),
            forgotten: Some((Version(1, 1), at(1200))),
        };
        scene.tell(7000, 0, what);
        scene.rules()
    };
    assert_eq!(forgotten(false), [Rule::NotBroughtBack]);
    assert_eq!(forgotten(true), []);
}

#[test]
fn who_stands_still_with_a_write_holds_up_nobody_over_servers() {
    let mut scene = over_servers(sent());
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.begin(1030, 3, 1, 6, ((1, 0), InFlight, TOKEN));
    scene.stop(1035, 3990, 3);
    lost(&again(scene, 4000).check(), Cause::Avoidable);
}

#[test]
fn a_fall_does_not_explain_what_was_gone_before_it() {
    let mut scene = over_servers(refreshed());
    scene.begin(1000, 2, 1, 5, ((1, 0), Idle, TOKEN));
    scene.end(1001, 2, 5, SwapEnd::Won);
    scene.fall(0, 5000, 5100);
    assert_eq!(scene.rules(), [Rule::LostWrite]);
}

#[test]
fn a_write_whose_acknowledgement_comes_after_the_fall_may_be_lost_by_it() {
    let mut scene = over_servers(refreshed());
    scene.fall(1040, 1045, 1050);
    scene.last(2);
    assert_eq!(scene.rules(), []);
}

#[test]
fn who_does_not_try_again_after_a_short_outage_is_not_excused_by_it() {
    let mut scene = over_servers(sent());
    scene.exchanged(1040, 1, 1, tokens(101));
    scene.begin(1041, 1, 2, 3, ((1, 1), Idle, 101));
    scene.end(1042, 1, 3, SwapEnd::Failed { kind: "Refused".to_owned() });
    scene.inject(1030, 1500, None, None);
    lost(&again(scene, 3600).check(), Cause::Avoidable);
}

#[test]
fn a_last_record_that_cannot_be_read_is_one_violation() {
    let mut scene = refreshed();
    scene.0.last = vec![(0, Err("out of reach".to_owned()))];
    assert_eq!(scene.rules(), [Rule::Torn]);
}

#[test]
fn a_fall_does_not_explain_the_loss_of_what_was_seen_after_it() {
    let seen = |scene: &mut Scene, ms: u64| {
        let found = Found::Record { stamp: Mark(3), digest: Mark(3) };
        scene.tell(ms + 5, 2, What::Loaded { began: at(ms), found });
    };
    let mut scene = fallen(1040);
    seen(&mut scene, 1190);
    assert_eq!(scene.rules(), []);
    let mut scene = fallen(1040);
    seen(&mut scene, 1300);
    assert_eq!(scene.rules(), [Rule::LostWrite]);
    let mut scene = fallen(1040);
    scene.begin(1300, 2, 1, 5, ((1, 0), Idle, TOKEN));
    scene.end(1310, 2, 5, SwapEnd::Lost { current: Some(Mark(3)) });
    assert_eq!(scene.rules(), [Rule::LostWrite], "a swap was lost to it");
    let mut scene = fallen(1040);
    scene.write(1300, 2, 3, 5, ((1, 1), InFlight, 101));
    scene.last(2);
    assert_eq!(scene.rules(), [Rule::LostWrite; 2], "another has replaced it, and is gone too");
    let mut scene = fallen(1040);
    seen(&mut scene, 1300);
    scene.fall(1400, 1500, 1600);
    assert_eq!(scene.rules(), [Rule::LostWrite], "it had not come since the second fall began");
    let mut scene = fallen(1040);
    seen(&mut scene, 1300);
    scene.fall(1040, 1500, 1600);
    assert_eq!(scene.rules(), [], "the second fall explains it");
    let mut scene = fallen(1040);
    scene.kill(1150, 1);
    seen(&mut scene, 1300);
    lost(&again(scene, 4000).check(), Cause::Avoidable);
}

#[test]
fn who_is_shown_a_former_master_does_not_see_what_its_successor_has() {
    let split = |ms: u64| {
        let mut scene = over_servers(refreshed());
        scene.kill(1060, 1);
        scene.fall(1040, 1100, 3000);
        let found = Found::Record { stamp: Mark(2), digest: Mark(2) };
        scene.tell(ms + 5, 2, What::Loaded { began: at(ms), found });
        let found = Found::Record { stamp: Mark(3), digest: Mark(3) };
        scene.tell(3105, 2, What::Loaded { began: at(3100), found });
        scene.rules()
    };
    assert_eq!(split(2900), []);
    assert_eq!(split(3050), [Rule::StaleRead]);
}

#[test]
fn a_fall_excuses_no_look_at_what_it_cannot_have_lost() {
    let read = |stamp: u64| {
        let mut scene = fallen(1040);
        let found = Found::Record { stamp: Mark(stamp), digest: Mark(stamp) };
        scene.tell(1305, 2, What::Loaded { began: at(1300), found });
        scene.rules()
    };
    assert_eq!(read(2), []);
    assert_eq!(read(1), [Rule::StaleRead]);
}

#[test]
fn a_write_that_began_after_a_fall_is_not_lost_by_it() {
    let mut scene = over_servers(refreshed());
    scene.fall(0, 900, 1040);
    scene.last(2);
    assert_eq!(scene.rules(), [Rule::LostWrite]);
}

#[test]
fn the_fall_of_another_place_explains_nothing() {
    let fallen = |place: u32| {
        let mut scene = over_servers(refreshed());
        scene.0.places = 2;
        scene.fall(1040, 1100, 1200);
        for entry in &mut scene.0.entries {
            if let What::Injected(injected) = &mut entry.what {
                injected.place = place;
            }
        }
        scene.last(2);
        scene.rules()
    };
    assert_eq!(fallen(0), []);
    assert_eq!(fallen(1), [Rule::LostWrite]);
}

#[test]
fn a_login_that_the_store_has_lost_replaces_no_family() {
    let ended = |since: u64| {
        let mut scene = over_servers(sent());
        let what = What::SignedIn { family: FAMILY + 1, refresh: Mark(200), forgotten: None };
        scene.tell(1100, 0, what);
        scene.exchanged(1040, 1, 1, tokens(101));
        scene.stop(1041, 9000, 1);
        scene.write(1200, 3, 2, 5, ((2, 0), Idle, 200));
        scene.fall(since, 1300, 1400);
        again(scene, 4000).check()
    };
    lost(&ended(1250), Cause::Superseded);
    lost(&ended(1150), Cause::Paused);
}

#[test]
fn who_waits_and_who_takes_over_is_delayed_by_what_is_done_to_the_servers() {
    let disturbed = |disturb: bool| {
        let mut scene = over_servers(sent());
        scene.kill(1100, 1);
        scene.tell(1440, 2, What::Event(Heard::TakenOver));
        let end = CallEnd::Error { kind: "Store".to_owned() };
        scene.tell(50_000, 2, What::Call { began: at(20_000), end });
        for from in [1050, 20_000, 28_000, 36_000, 44_000].into_iter().filter(|_| disturb) {
            scene.inject(from, from + 2000, Some(3), None);
        }
        let findings = again(scene, 1600).check();
        let long = findings.violations.iter().any(|found| found.rule == Rule::LongWait);
        (long, findings.takeovers.len())
    };
    assert_eq!(disturbed(false), (true, 1));
    assert_eq!(disturbed(true), (false, 0));
}

#[test]
fn nobody_brings_anything_back_in_pieces_of_time() {
    let stops = |stops: &[(u64, u64)]| {
        let mut scene = fallen(1040);
        for (from, to) in stops {
            scene.stop(*from, *to, 1);
        }
        again(scene, 6000).check()
    };
    lost(&stops(&[(1150, 1300), (2900, 3100), (4700, 9000)]), Cause::StoreFell);
    lost(&stops(&[(1150, 1300), (3500, 3700), (4700, 9000)]), Cause::Avoidable);
}

#[test]
fn no_fall_had_lost_a_token_over_which_an_intent_is_stored() {
    let over = |replaced: u64| {
        let mut scene = over_servers(refreshed());
        scene.kill(1060, 1);
        scene.fall(1040, 1600, 1700);
        scene.write(1650, 2, replaced, 4, ((1, 0), InFlight, TOKEN));
        scene.exchange(1660, 2, 1, TOKEN, Some(Reuse));
        let findings = scene.check();
        let twice = findings.violations.iter().any(|one| one.rule == Rule::PresentedTwice);
        (twice, findings)
    };
    let (twice, findings) = over(3);
    assert!(twice, "its successor was in the store");
    lost(&findings, Cause::Avoidable);
    let (twice, findings) = over(2);
    assert!(!twice, "{:?}", findings.violations);
    lost(&findings, Cause::StoreFell);
}
