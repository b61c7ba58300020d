//! The table, and one line of JSON for each scenario.

use std::io::{self, Write};

use serde_json::json;

use crate::scenario::Scenario;
use crate::world::Measured;

pub(crate) fn head(json: bool) -> io::Result<()> {
    if json {
        return Ok(());
    }
    let mut stdout = io::stdout().lock();
    let columns = "failed  asked  afterwards     time";
    writeln!(stdout, "{:<54}by hand{:<30}token-refresh", "", "")?;
    writeln!(stdout, "{:<43}requests   {columns}   {columns}", "")
}

/// Prints a scenario as soon as both have played it.
pub(crate) fn row(
    scenario: Scenario,
    by_hand: &Measured,
    ours: &Measured,
    json: bool,
) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let name = scenario.name();
    if json {
        let line = json!({ "scenario": name, "by_hand": by_hand, "ours": ours });
        return writeln!(stdout, "{line}");
    }
    let (by_hand_cells, ours_cells) = (cells(by_hand), cells(ours));
    writeln!(stdout, "{name:<43}{:>8}   {by_hand_cells}   {ours_cells}", ours.requests)
}

pub(crate) fn foot(json: bool) -> io::Result<()> {
    if json {
        return Ok(());
    }
    writeln!(
        io::stdout(),
        "\n\
         asked       token requests\n\
         afterwards  once all faults are gone and the first token has ended: it goes on by itself, or somebody has to log in;\n\
         \x20           or how many requests brought a token to a server that is not its own"
    )
}

fn cells(measured: &Measured) -> String {
    let Measured { failed, token_requests, tokens_elsewhere, lives, elapsed_ms, .. } = measured;
    let afterwards = match (tokens_elsewhere, lives) {
        (0, true) => "goes on".to_owned(),
        (0, false) => "log in".to_owned(),
        (leaks, _) => format!("leaked {leaks}"),
    };
    let seconds = *elapsed_ms as f64 / 1000.0;
    format!("{failed:>6}{token_requests:>7}  {afterwards:<10}{seconds:>7.1} s")
}
