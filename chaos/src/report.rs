//! The table at the end, or one line of JSON.

use std::time::Duration;

use serde_json::json;

use crate::check::Findings;
use crate::check::losses::Cause;
use crate::options::Run;
use crate::run::Outcome;
use crate::run::plan::Manner;
use crate::step::Step;
use crate::time::takeover_bound;

const CAUSES: [(Cause, &str, &str); 8] = [
    (Cause::Avoidable, "avoidable", "avoidable losses"),
    (Cause::Crashed, "w_crashed", "W: holder died before its answer was stored"),
    (Cause::AnswerLost, "w_answer_lost", "W: answer lost on its way"),
    (Cause::Paused, "p_paused", "P: holder stood still too long"),
    (Cause::PausedSending, "p_paused_sending", "P: stood still while it sent"),
    (Cause::StoreFell, "f_store_fell", "F: the store lost it, and who knew it was gone"),
    (Cause::ServerLate, "server_late", "server slower than it promises"),
    (Cause::Superseded, "superseded", "no loss: login meanwhile"),
];

/// Prints what the run has shown. `control`: of the grants that a lock shares that ends by itself.
pub(crate) fn print(
    options: &Run,
    seed: u64,
    outcome: &Outcome,
    findings: &Findings,
    control: &Findings,
) {
    if options.json {
        println!("{}", line(options, seed, outcome, findings, control));
        return;
    }
    let row = |what: &str, value: String| println!("| {what:<44} | {value:>14} |");
    println!("| {:<44} | {:>14} |", format!("{} store", options.store), "");
    println!("|{:-<46}|{:->15}:|", "", "");
    row("seed", seed.to_string());
    row("seconds", format!("{:.0}", outcome.took.as_secs_f64()));
    row("kills", outcome.kills.to_string());
    row("stops", outcome.stops.to_string());
    row(
        "steps met by a kill, by a stop",
        format!("{}, {}", steps(outcome, Manner::Kill), steps(outcome, Manner::Stop)),
    );
    for (fault, times) in &outcome.server_faults {
        row(&format!("servers: {fault}"), times.to_string());
    }
    row("failovers by Sentinels", outcome.failovers.to_string());
    row("refreshes", findings.refreshes.to_string());
    row(
        "presentations per generation: max, mean",
        format!("{}, {:.3}", findings.presentations_max, findings.presentations_mean),
    );
    for (cause, _, what) in CAUSES {
        row(what, loss(findings, cause).to_string());
    }
    let takeovers = &findings.takeovers;
    row("takeovers of dead holders", takeovers.len().to_string());
    row("takeover: p50, p99 [s]", format!("{}, {}", at(takeovers, 0.5), at(takeovers, 0.99)));
    row("takeover: bound [s]", format!("{:.2}", takeover_bound().as_secs_f64()));
    row(
        "callers' waits: p99, max [s]",
        format!("{}, {}", at(&findings.waits, 0.99), at(&findings.waits, 1.0)),
    );
    row(
        "longest without time on the machine [s]",
        format!("{:.2}", findings.starved.as_secs_f64()),
    );
    row("violations", findings.violations.len().to_string());
    row("control, a lock that ends: refreshes", control.refreshes.to_string());
    row("control: avoidable losses", loss(control, Cause::Avoidable).to_string());
    for (cause, _, what) in CAUSES.iter().filter(|(cause, ..)| *cause != Cause::Avoidable) {
        if loss(control, *cause) > 0 {
            row(&format!("control: {what}"), loss(control, *cause).to_string());
        }
    }
}

fn line(
    options: &Run,
    seed: u64,
    outcome: &Outcome,
    findings: &Findings,
    control: &Findings,
) -> serde_json::Value {
    let losses = |findings: &Findings| -> serde_json::Map<_, _> {
        let named = CAUSES.into_iter();
        named.map(|(cause, name, _)| (name.to_owned(), loss(findings, cause).into())).collect()
    };
    let faults = outcome.server_faults.iter();
    let faults: serde_json::Map<_, _> =
        faults.map(|(fault, times)| (fault.to_string(), (*times).into())).collect();
    let seconds = |times: &[Duration], part| quantile(times, part).map(|time| time.as_secs_f64());
    json!({
        "store": options.store.to_string(),
        "seed": seed,
        "seconds": outcome.took.as_secs_f64(),
        "kills": outcome.kills,
        "stops": outcome.stops,
        "server_faults": faults,
        "failovers": outcome.failovers,
        "starved_max_seconds": findings.starved.as_secs_f64(),
        "steps_killed": steps(outcome, Manner::Kill),
        "steps_stopped": steps(outcome, Manner::Stop),
        "steps": Step::ALL.len(),
        "refreshes": findings.refreshes,
        "presentations_max": findings.presentations_max,
        "presentations_mean": findings.presentations_mean,
        "losses": losses(findings),
        "takeovers": findings.takeovers.len(),
        "takeover_p50": seconds(&findings.takeovers, 0.5),
        "takeover_p99": seconds(&findings.takeovers, 0.99),
        "takeover_bound": takeover_bound().as_secs_f64(),
        "wait_max": seconds(&findings.waits, 1.0),
        "violations": findings.violations.len(),
        "control_refreshes": control.refreshes,
        "control_losses": losses(control),
    })
}

/// Why the run has failed; `None` if it has not.
pub(crate) fn failure(findings: &Findings, control: &Findings) -> Option<String> {
    if !findings.violations.is_empty() {
        return Some(format!("{} violations", findings.violations.len()));
    }
    (loss(control, Cause::Avoidable) == 0).then(|| {
        "a lock that ends by itself has lost nothing: nobody would see it if ours did".to_owned()
    })
}

fn loss(findings: &Findings, cause: Cause) -> u64 {
    findings.losses.get(&cause).copied().unwrap_or_default()
}

/// How many of the steps were met in this manner.
fn steps(outcome: &Outcome, manner: Manner) -> usize {
    outcome.met.iter().filter(|(_, met, n)| *met == manner && *n > 0).count()
}

fn at(times: &[Duration], part: f64) -> String {
    quantile(times, part).map_or("-".to_owned(), |time| format!("{:.2}", time.as_secs_f64()))
}

/// Of sorted times.
fn quantile(times: &[Duration], part: f64) -> Option<Duration> {
    let last = times.len().checked_sub(1)?;
    times.get((last as f64 * part).round() as usize).copied()
}
