//! What has to be reached, and what cannot be.

use std::collections::BTreeSet;

use super::reached::{Pair, Reached};

/// For each place of a flight: what can come there. Nothing else can, because the shell answers what was asked.
const EVENTS: &[(&str, &[&str])] = &[
    ("looking", &["loaded", "load failed", "woken"]),
    ("preparing", &["won", "won, not durable", "lost", "perhaps swapped", "swap refused"]),
    ("asking", &["holder dead", "holder not known dead"]),
    (
        "acquiring",
        &[
            "won",
            "won, not durable",
            "lost",
            "perhaps swapped",
            "swap refused",
            "loaded",
            "load failed",
        ],
    ),
    (
        "exchanging",
        &["answered", "not sent", "rejected", "invalid grant", "client refused", "no answer"],
    ),
    (
        "exchanging, no intent",
        &["answered", "not sent", "rejected", "invalid grant", "client refused", "no answer"],
    ),
    ("reloading", &["loaded", "load failed"]),
    ("committing", &["won", "won, not durable", "lost", "perhaps swapped", "swap refused"]),
    ("confirming", &["woken", "loaded", "load failed"]),
    ("closing", &["won", "won, not durable", "lost", "perhaps swapped", "swap refused"]),
];

/// For each place of a flight: what the process can know of its own attempt there.
const FATES: &[(&str, &[&str], &str)] = &[
    (
        "looking",
        &["no attempt", "not spent", "outcome unknown", "refused", "answered"],
        "a flight that was cut short in its exchange has an outcome that is unknown",
    ),
    (
        "preparing",
        &["no attempt", "not spent", "outcome unknown", "refused"],
        "an answer is stored before anything else is",
    ),
    (
        "asking",
        &["no attempt", "not spent", "outcome unknown", "refused"],
        "as above; nobody asks for another's holder with a request of its own under way",
    ),
    (
        "acquiring",
        &["no attempt", "not spent", "outcome unknown"],
        "the intent is the attempt, and not sent yet: what is known is what was before it",
    ),
    (
        "exchanging",
        &["no attempt", "under way"],
        "the attempt is under way, or forgotten because somebody got past it",
    ),
    (
        "exchanging, no intent",
        &["no attempt", "not spent", "outcome unknown", "refused", "answered"],
        "a login, or a token that may be used again without the store: the attempt is one before it",
    ),
    ("reloading", &["no attempt", "refused"], "the answer was a refusal"),
    ("committing", &["answered"], "there is nothing else to commit"),
    ("confirming", &["answered"], "there is nothing else to commit"),
    (
        "closing",
        &["no attempt", "not spent", "outcome unknown", "refused"],
        "an answer is committed, and what is under way is not closed",
    ),
];

/// Possible, and too rare to be asked for.
const RARE: &[(&str, &str)] = &[("asking", "refused"), ("asking", "outcome unknown")];

/// For each place of a flight: the records that it must have been in view of. The driver looks too, and changes are made by
/// hand, so that nearly any record can be there; those that are left out are rare.
const RECORDS: &[(&str, &[&str])] = &[
    (
        "looking",
        &[
            "unseen",
            "absent",
            "idle",
            "in flight",
            "own in flight",
            "unknown",
            "own unknown",
            "dead",
        ],
    ),
    ("preparing", &["absent", "idle", "in flight", "own in flight", "unknown", "dead"]),
    ("asking", &["in flight", "idle", "dead"]),
    ("acquiring", &["idle", "in flight", "own in flight", "unknown", "dead", "absent"]),
    ("exchanging", &["own in flight", "in flight", "idle", "dead", "absent"]),
    ("exchanging, no intent", &["dead", "idle"]),
    ("reloading", &["own in flight", "in flight", "idle", "dead"]),
    ("committing", &["absent", "idle", "in flight", "own in flight", "dead"]),
    ("confirming", &["absent", "idle", "in flight", "own in flight", "dead"]),
    (
        "closing",
        &["absent", "idle", "in flight", "own in flight", "unknown", "own unknown", "dead"],
    ),
];

const SIGHTS: &[&str] = &[
    "answer of an older login",
    "commit delayed",
    "grace, new pair",
    "grace, previous only",
    "grace, same pair",
    "intent undone: late",
    "intent undone: not durable",
    "intent undone: not spent",
    "intent undone: store fell back",
    "late write",
    "login by itself",
    "loss in window F",
    "loss in window P",
    "loss in window W",
    "record repaired",
    "runtime gone in a flight",
    "seed taken",
    "sibling",
    "takeover by a known death",
    "takeover by quarantine",
    "waited for the store to settle",
];

/// What these runs have missed, or reached though it cannot be.
pub(super) fn gaps(reached: &Reached) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut compare =
        |what: &str, at: &str, expected: &[&str], found: BTreeSet<&str>, only: bool| {
            for one in expected.iter().filter(|one| !found.contains(**one)) {
                if RARE.contains(&(at, one)) {
                    continue;
                }
                gaps.push(format!("never {at}, {what} {one}"));
            }
            for one in found.iter().filter(|one| only && !expected.contains(one)) {
                gaps.push(format!("{at}, {what} {one}, though that cannot be"));
            }
        };
    let found = |at: &str, part: fn(&Pair) -> &'static str| {
        reached.pairs.keys().filter(|pair| pair.0 == at).map(part).collect::<BTreeSet<_>>()
    };
    for (at, events) in EVENTS {
        compare("event", at, events, found(at, |pair| pair.3), true);
    }
    for (at, fates, _why) in FATES {
        compare("own attempt", at, fates, found(at, |pair| pair.2), true);
    }
    for (at, records) in RECORDS {
        compare("record", at, records, found(at, |pair| pair.1), false);
    }
    let places = reached.pairs.keys().map(|pair| pair.0).collect();
    let known: Vec<_> = EVENTS.iter().map(|(at, _)| *at).collect();
    compare("at", "a flight", &known, places, true);
    compare("sight of", "a run", SIGHTS, reached.sights.keys().copied().collect(), false);
    gaps
}
