//! Which step comes next: mostly what makes trouble for what is going on.

use super::clock::{MILLISECOND, SECOND, Time};
use super::step::{Ask, ByHand, NetworkFault, Reborn, Slot, Step, StoreFault};
use super::world::World;

/// Draws the next step.
pub(super) fn next(rng: &mut fastrand::Rng, world: &World) -> Step {
    let moods = world.scenario.moods;
    let n = rng.usize(..world.processes.len());
    let busy = !world.requests.is_empty()
        || !world.answers.is_empty()
        || world
            .processes
            .iter()
            .any(|process| process.flight.is_some() || process.change.is_some());
    let operating = any(rng, world.processes.iter().filter(|process| process.is_operating()))
        .map(|process| process.number);
    let under_way = world.requests.iter().map(|request| request.process);
    let on_its_way = any(rng, under_way.chain(world.answers.iter().map(|answer| answer.process)));
    let dead = world.server.revoked.last() == Some(&true);
    let weights = [
        60,
        if busy { moods.order } else { 0 },
        if busy { 12 } else { 60 },
        if operating.is_some() { moods.store } else { moods.store / 16 },
        if on_its_way.is_some() { moods.network } else { 0 },
        moods.pause,
        moods.crash,
        if world.store.loose() > 0 || world.scenario.may_empty { moods.regress } else { 0 },
        moods.hands + if dead { 60 } else { 0 },
        moods.server,
        moods.clock,
        2,
    ];
    let mut dart = rng.u32(..weights.iter().sum::<u32>());
    let mut kind = 0;
    while dart >= weights[kind] {
        dart -= weights[kind];
        kind += 1;
    }
    match kind {
        0 => Step::Advance(time(rng, world, busy)),
        1 => Step::Run(n, slot(rng)),
        2 => Step::Ask(
            n,
            match rng.u8(..8) {
                0..=2 => Ask::Need,
                3 | 4 => Ask::Hand,
                5 => Ask::Lasting(some_time(rng)),
                _ => Ask::Refused,
            },
        ),
        3 => {
            let fault = store_fault(rng, world.scenario.may_regress);
            Step::Store(operating.unwrap_or(n), slot(rng), fault)
        }
        4 => Step::Network(on_its_way.unwrap_or(n), network_fault(rng)),
        5 => Step::Pause(n, long_time(rng)),
        6 => {
            let reborn = if rng.u8(..6) == 0 { Reborn::NewSeed } else { Reborn::SameSeed };
            Step::Crash(n, reborn, if rng.bool() { 0 } else { long_time(rng) })
        }
        7 if world.scenario.may_empty && rng.u8(..3) == 0 => Step::Empty,
        7 => Step::Regress(rng.usize(1..=3)),
        8 => Step::Change(
            n,
            match rng.u8(..8) {
                _ if dead => ByHand::Login,
                0 => ByHand::Logout,
                1..=3 => ByHand::Login,
                _ => ByHand::Update,
            },
        ),
        9 => match rng.u8(..4) {
            0 => Step::RevokeLogin,
            _ => Step::RevokeAccess,
        },
        10 => {
            let by = (some_time(rng) * [1, 60][rng.usize(..2)]).cast_signed();
            Step::SetClock(n, if rng.bool() { by } else { -by })
        }
        _ => match rng.u8(..3) {
            0 => Step::Abandon(n),
            1 => Step::ExpireLocally(n),
            _ => Step::WakeForNothing(n, slot(rng)),
        },
    }
}

/// Any of these.
fn any<T>(rng: &mut fastrand::Rng, of: impl Iterator<Item = T>) -> Option<T> {
    let mut chosen = None;
    for (n, one) in of.enumerate() {
        if rng.usize(..=n) == 0 {
            chosen = Some(one);
        }
    }
    chosen
}

/// How far to go: to what comes next, or to where a wait of the protocol ends, on either side of it.
fn time(rng: &mut fastrand::Rng, world: &World, busy: bool) -> Time {
    let next = world.next_due().map_or(0, |due| due.saturating_sub(world.now));
    if busy {
        return match rng.u8(..16) {
            0..=9 => next,
            10..=12 => rng.u64(..20) * MILLISECOND,
            13 => some_time(rng),
            14 => long_time(rng),
            _ => rng.u64(..2 * SECOND),
        };
    }
    match rng.u8(..8) {
        0..=1 => next,
        2 => some_time(rng),
        3..=5 => long_time(rng),
        _ => rng.u64(..world.scenario.lifetime + 10 * SECOND),
    }
}

fn some_time(rng: &mut fastrand::Rng) -> Time {
    rng.u64(..10) * [MILLISECOND, 100 * MILLISECOND, SECOND][rng.usize(..3)]
}

fn long_time(rng: &mut fastrand::Rng) -> Time {
    let whole = [1, 5, 10, 11, 21, 22, 23, 24, 45, 90][rng.usize(..10)] * SECOND;
    whole + rng.u64(..SECOND + SECOND / 2)
}

fn slot(rng: &mut fastrand::Rng) -> Slot {
    match rng.u8(..8) {
        0 => Slot::Change,
        1 | 2 => Slot::Driver,
        _ => Slot::Flight,
    }
}

fn store_fault(rng: &mut fastrand::Rng, may_regress: bool) -> StoreFault {
    match rng.u8(..if may_regress { 16 } else { 8 }) {
        0 => StoreFault::Refused,
        1 | 2 => StoreFault::BrokenBefore,
        3 | 4 => StoreFault::BrokenAfter,
        5 => StoreFault::Late(long_time(rng)),
        6 => StoreFault::SlowAnswer(long_time(rng)),
        7 => StoreFault::SlowAnswer(some_time(rng)),
        _ => StoreFault::NotDurable,
    }
}

fn network_fault(rng: &mut fastrand::Rng) -> NetworkFault {
    match rng.u8(..16) {
        0..=1 => NetworkFault::Serve,
        2..=4 => NetworkFault::DelayRequest(long_time(rng)),
        5 => NetworkFault::LoseRequest,
        6..=7 => NetworkFault::DelayAnswer(long_time(rng)),
        8..=9 => NetworkFault::LoseAnswer,
        10 => NetworkFault::NotSent,
        11 => NetworkFault::Rejected(rng.bool().then(|| long_time(rng))),
        12 if rng.u8(..4) == 0 => NetworkFault::Configuration,
        12 | 13 => NetworkFault::FailBefore,
        _ => NetworkFault::FailAfter,
    }
}
