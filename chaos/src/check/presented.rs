//! Which refresh tokens were presented more than once, and whether they were allowed to be.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::{Entry, ExchangeEnd, What};
use crate::mark::Mark;
use crate::record::Version;
use crate::request::Decision;
use crate::time::{ACCESS_LIFETIME, At, EXCHANGE_DEADLINE, SEND_GATE, SERVER_DRAIN, quarantine};

use super::chain::Chain;
use super::past::{Exchange, Past, Shown};
use super::{Rule, Violation, of_grants};

/// After so long a request under an intent must be over, whoever sent it: the quarantine without its tenth.
const LIMITS: Duration = SEND_GATE.saturating_add(EXCHANGE_DEADLINE).saturating_add(SERVER_DRAIN);

pub(super) fn check(
    past: &Past,
    chains: &HashMap<u32, Chain>,
    entries: &[Entry],
    violations: &mut Vec<Violation>,
) {
    let ends = ends(past, entries);
    let mut refused: HashMap<(u32, u32, Version), At> = HashMap::new();
    let select =
        |what: &What| if let What::Refused { version } = what { Some(*version) } else { None };
    for (at, process, grant, version) in of_grants(entries, select) {
        refused.entry((process, grant, version)).or_insert(at);
    }
    let mut by_token: HashMap<Mark, Vec<&Shown>> = HashMap::new();
    for shown in &past.shown {
        let exchange = &past.exchanges[shown.exchange];
        let mut violation = |rule, text| {
            let (from, to) = (exchange.began, shown.arrived);
            violations.push(Violation { rule, text, grant: Some(exchange.grant), from, to });
        };
        let is_in = |stamp| {
            let chain = chains.get(&exchange.grant)?;
            chain.rank(stamp).filter(|rank| chain.in_by(*rank) <= exchange.began)
        };
        let intent = past.intent(exchange).filter(|intent| is_in(intent.stamp).is_some());
        let Some(intent) = intent else {
            let text = format!(
                "process {} presented {} without an intent",
                exchange.process, shown.presented
            );
            violation(Rule::NoIntent, text);
            continue;
        };
        let denied = match &exchange.end {
            Some((_, ExchangeEnd::NotSent | ExchangeEnd::Rejected)) => shown.decided.is_some(),
            Some((_, ExchangeEnd::InvalidGrant | ExchangeEnd::Configuration)) => {
                matches!(shown.decided, Some((_, Decision::Issued(_))))
            }
            _ => false,
        };
        if let Some((_, end)) = exchange.end.as_ref().filter(|_| denied) {
            let text =
                format!("process {} took it for {end:?}, and it was carried out", exchange.process);
            violation(Rule::NotCarriedOut, text);
        }
        // Who stood still while it sent looked at the clock before.
        let paused_sending = past.stood(exchange.process, exchange.began, shown.arrived);
        let sent = exchange.sending.filter(|_| !paused_sending).unwrap_or(exchange.began);
        let earlier = by_token.entry(shown.presented).or_default();
        for before in earlier.iter() {
            let first = &past.exchanges[before.exchange];
            if paused_sending && first.sending.unwrap_or(first.began) > exchange.began {
                // What only a proof that the server checks could prevent.
                continue;
            }
            if let Err(why) = may_follow(past, chains, first, exchange, sent) {
                violation(
                    Rule::PresentedTwice,
                    format!(
                        "process {} presented {} after process {} had: {why}",
                        exchange.process, shown.presented, first.process
                    ),
                );
            } else if !is_not_carried_out(first, sent) {
                let ended = ends.get(&shown.presented).is_none_or(|end| *end <= sent);
                let key = (exchange.process, exchange.grant, intent.record.version);
                if !ended && refused.get(&key).is_none_or(|at| *at > sent) {
                    violation(
                        Rule::PresentedTwice,
                        format!(
                            "process {} presented {} again while its access token still served",
                            exchange.process, shown.presented
                        ),
                    );
                }
            }
        }
        earlier.push(shown);
    }
}

fn is_not_carried_out(exchange: &Exchange, by: At) -> bool {
    let not = |end: &ExchangeEnd| matches!(end, ExchangeEnd::NotSent | ExchangeEnd::Rejected);
    exchange.end.as_ref().is_some_and(|(at, end)| *at <= by && not(end))
}

/// Whether the outcome of the first exchange was unknown to who sent the second one at `sent`, and enough time had passed:
/// since hope for an answer had ended, or its process, or since the intent, where that process stood still. One is enough,
/// for who takes over may know of one and not of the others.
fn may_follow(
    past: &Past,
    chains: &HashMap<u32, Chain>,
    first: &Exchange,
    second: &Exchange,
    sent: At,
) -> Result<(), String> {
    if is_not_carried_out(first, sent) {
        return Ok(());
    }
    let mut too_early = Vec::new();
    let mut enough = |what: &str, since: At, time: Duration| {
        let waited = sent.since(since);
        if waited < time {
            too_early.push(format!("{what} only {waited:?} before"));
        }
        waited >= time
    };
    let ended = first.end.as_ref().filter(|(at, _)| *at <= sent);
    if let Some((at, ExchangeEnd::Ambiguous | ExchangeEnd::Dropped)) = ended
        && enough("hope for its answer had ended", *at, SERVER_DRAIN)
    {
        return Ok(());
    }
    if let Some((_, ExchangeEnd::Tokens { refresh: Some(refresh) })) = ended {
        let chain = chains.get(&first.grant);
        let stored = chain.and_then(|chain| chain.first_with(*refresh));
        let intent = past.intent(second);
        let own = intent.and_then(|intent| chain?.rank(intent.stamp));
        if let (Some(chain), Some(stored), Some(own)) = (chain, stored, own)
            && stored < own
        {
            if chain.builds_upon(past, own, stored) {
                return Err("its successor was in the store".to_owned());
            }
            let write = chain.write(past, stored);
            let looked = intent.map_or(second.began, |intent| intent.began);
            let fall = chain.may_have_lost(past, stored, looked);
            let could = |served: At| {
                let until = sent.max(served.after(quarantine()));
                past.could_bring_back(first.grant, write.record.version, served, until)
            };
            if fall.is_some_and(|fall| fall.began <= sent && !could(fall.served)) {
                return Ok(());
            }
            return Err("its successor had been in the store, and somebody knew it".to_owned());
        }
    }
    if let Some(killed) = past.killed(first.process).filter(|killed| *killed <= sent)
        && enough("it had died", ended.map_or(killed, |(at, _)| killed.min(*at)), SERVER_DRAIN)
    {
        return Ok(());
    }
    let intent = past.intent(first).map_or(first.began, |intent| intent.began);
    if past.held_up(first.process, first.grant, intent, sent)
        && enough("it stood still, and had stored its intent", intent, LIMITS)
    {
        return Ok(());
    }
    if too_early.is_empty() {
        return Err("it lived and ran, and knew the outcome or was to know it".to_owned());
    }
    Err(too_early.join(", and "))
}

/// When the access token that goes with each refresh token ends at the earliest, by the clock of who was issued it.
fn ends(past: &Past, entries: &[Entry]) -> HashMap<Mark, At> {
    let mut ends = HashMap::new();
    let select =
        |what: &What| if let What::Login { refresh } = what { Some(*refresh) } else { None };
    for (at, _, _, refresh) in of_grants(entries, select) {
        ends.insert(refresh, at.after(ACCESS_LIFETIME));
    }
    for exchange in &past.exchanges {
        if let Some((_, ExchangeEnd::Tokens { refresh: Some(refresh) })) = &exchange.end {
            // The lifetime counts from the moment after the intent.
            let sent = past.intent(exchange).and_then(super::past::Write::won);
            ends.insert(*refresh, sent.unwrap_or(exchange.began).after(ACCESS_LIFETIME));
        }
    }
    ends
}
