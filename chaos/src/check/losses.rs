//! Each family that was revoked: where was its live refresh token, and could the loss have been avoided?

use std::collections::HashMap;

use crate::history::ExchangeEnd;
use crate::mark::Mark;
use crate::request::Decision;
use crate::time::{At, EXCHANGE_DEADLINE, LATE, REPAIR, SERVER_DRAIN, quarantine};

use super::chain::Chain;
use super::past::{Exchange, Past, Shown};
use super::{Rule, Violation};

/// Why a family was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The live token was in the store, or in a process that ran.
    Avoidable,
    /// W: the holder died between the rotation and the first copy that lasts.
    Crashed,
    /// W: the answer was lost on its way to a holder that lives.
    AnswerLost,
    /// P: the holder, or who had the store's lock, stood still for longer than others hold off.
    Paused,
    /// P: who presented the token again stood still between its last look at the clock and the network.
    PausedSending,
    /// F: the store has lost it, and nobody who knew it had the time to bring it back.
    StoreFell,
    /// The server went on with a request for longer after its sender was gone than it promises: the machine is too slow.
    ServerLate,
    /// No loss: somebody had logged in meanwhile.
    Superseded,
}

/// The live token of a family.
struct Live<'a> {
    token: Mark,
    issued: At,
    /// When the answer went out whole, if it did.
    answered: Option<At>,
    /// For whom.
    holder: &'a Exchange,
}

/// Finds the cause of each, in the order of the revocations.
pub(super) fn all(
    past: &Past,
    chains: &HashMap<u32, Chain>,
    violations: &mut Vec<Violation>,
) -> Vec<Cause> {
    let mut decided: Vec<(At, Decision, &Shown)> = past
        .shown
        .iter()
        .filter_map(|shown| shown.decided.map(|(at, decision)| (at, decision, shown)))
        .collect();
    decided.sort_by_key(|(at, ..)| *at);
    let mut families: HashMap<u64, Live<'_>> = HashMap::new();
    let mut causes = Vec::new();
    for (at, decision, shown) in decided {
        let exchange = &past.exchanges[shown.exchange];
        match decision {
            Decision::Issued(token) => {
                let answered = shown.answered;
                let live = Live { token, issued: at, answered, holder: exchange };
                families.insert(shown.family, live);
            }
            Decision::Refused | Decision::Other => {}
            Decision::Reuse => {
                // What has ended is not lost once more.
                let Some(live) = families.remove(&shown.family) else { continue };
                let cause = cause(past, chains, shown, at, &live);
                if cause == Cause::Avoidable {
                    violations.push(Violation {
                        rule: Rule::AvoidableLoss,
                        text: format!(
                            "process {} presented {} again and ended family {}, while its live token {}, issued to \
                             process {}, was in the store or in that process",
                            exchange.process,
                            shown.presented,
                            shown.family,
                            live.token,
                            live.holder.process
                        ),
                        grant: Some(exchange.grant),
                        from: live.holder.began,
                        to: at,
                    });
                }
                causes.push(cause);
            }
        }
    }
    causes
}

/// `shown` presented the predecessor of the live token again, at `at`.
fn cause(
    past: &Past,
    chains: &HashMap<u32, Chain>,
    shown: &Shown,
    at: At,
    live: &Live<'_>,
) -> Cause {
    let Live { token, issued, holder, .. } = *live;
    let again = &past.exchanges[shown.exchange];
    let Some(chain) = chains.get(&again.grant) else { return Cause::Avoidable };
    if was_superseded(past, chain, shown.family, at) {
        return Cause::Superseded;
    }
    // Its last look at the clock is when the exchange begins. What was issued before that, no haste would have saved.
    let stood_sending = past.stood(again.process, again.began, shown.arrived);
    if issued > again.began {
        if stood_sending {
            return Cause::PausedSending;
        }
        let ended = again.end.as_ref().map(|(ended, _)| *ended);
        let gone = ended.into_iter().chain(past.killed(again.process)).min();
        if gone.is_some_and(|gone| at.since(gone) > SERVER_DRAIN) {
            return Cause::ServerLate;
        }
    }
    let sent = again.sending.filter(|_| !stood_sending).unwrap_or(again.began);
    let intent = past.intent(holder).map_or(holder.began, |intent| intent.began);
    // Who had all the time that it may take, and did not store what it had, is not excused by how it ended.
    // It tries again within a second of each failure.
    let ran = |from: At, until: At| past.ran(holder.process, holder.grant, from, until);
    let came = match &holder.end {
        Some((at, ExchangeEnd::Tokens { .. })) => Some(*at),
        _ => None,
    };
    let had_its_time = |until: At| {
        ran(intent, until) > quarantine() || came.is_some_and(|came| ran(came, until) > REPAIR)
    };
    let paused = past.held_up(holder.process, holder.grant, intent, sent);
    let held_out = if paused && !had_its_time(sent) { Cause::Paused } else { Cause::Avoidable };
    // Where it was stored: once, or again by whoever brought it back.
    let stored: Vec<usize> = chain
        .writes(past)
        .filter(|(rank, write)| write.record.refresh == Some(token) && chain.in_by(*rank) <= at)
        .map(|(rank, _)| rank)
        .collect();
    if let (Some(first), Some(last)) = (stored.first(), stored.last()) {
        let intent = past.intent(again);
        let over = intent.and_then(|intent| chain.rank(intent.stamp));
        if over.is_some_and(|over| stored.iter().any(|one| chain.builds_upon(past, over, *one))) {
            return Cause::Avoidable;
        }
        let write = chain.write(past, *last);
        let looked = intent.map_or(again.began, |intent| intent.began);
        let fall = chain.may_have_lost(past, *last, looked);
        if let Some(fall) = fall.filter(|fall| fall.began <= sent) {
            // Who presents it again before others have had the time is not excused by that.
            let (from, until) = (fall.served, sent.max(fall.served.after(quarantine())));
            let could = past.could_bring_back(again.grant, write.record.version, from, until);
            return if could { Cause::Avoidable } else { Cause::StoreFell };
        }
        // Stored over the intent of who presents it again, too late to keep that one from it?
        return if over.is_some_and(|over| over < *first) { held_out } else { Cause::Avoidable };
    }
    let gave_up = |end: &ExchangeEnd| !matches!(end, ExchangeEnd::Tokens { .. });
    match &holder.end {
        Some((ended, end)) if *ended <= sent && gave_up(end) => {
            // Its process goes on, and knows that it knows nothing.
            if had_answer(past, live, *ended) {
                Cause::Avoidable
            } else if past.stood(holder.process, holder.began, *ended) {
                Cause::Paused
            } else {
                Cause::AnswerLost
            }
        }
        _ => match past.killed(holder.process).filter(|killed| *killed <= sent) {
            Some(killed) if !had_its_time(killed) => Cause::Crashed,
            Some(_) => Cause::Avoidable,
            None => held_out,
        },
    }
}

/// Whether a holder that gave up then had been sent the whole answer while it waited for it and ran.
fn had_answer(past: &Past, live: &Live<'_>, ended: At) -> bool {
    let Live { answered, holder, .. } = *live;
    let deadline = holder.began.after(EXCHANGE_DEADLINE);
    answered.is_some_and(|answered| {
        answered < ended
            && answered.after(LATE) < deadline
            && !past.stood(holder.process, answered, ended)
    })
}

/// Whether the store had the tokens of a later login by then, and has not lost them since.
fn was_superseded(past: &Past, chain: &Chain, family: u64, at: At) -> bool {
    let first_of = |family: u64| {
        let (_, refresh) = past.families.get(&family)?;
        chain.first_with(*refresh)
    };
    let Some(own) = first_of(family) else { return true };
    past.families.keys().filter(|other| **other > family).filter_map(|other| first_of(*other)).any(
        |rank| {
            let fall = chain.may_have_lost(past, rank, past.end);
            rank > own && chain.in_by(rank) <= at && fall.is_none_or(|fall| fall.began > at)
        },
    )
}
