//! A refresh that fails after 10 ms, for 1,000 callers, and then 1,000 more while it is left alone.

use std::error::Error;
use std::time::Instant;

use benches::herd::{self, Bare, Exchange, Terms};
use benches::table::{self, Row};
use token_core::Spends;
use tokio::runtime::Runtime;

const CALLERS: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    if !benches::is_bench() {
        return Ok(());
    }
    let runtime = herd::runtime()?;
    let names = ["bare `Notify`", "`token()`, spends nothing", "`token()`, spends a refresh token"];
    // Of our rows' callers that came afterwards.
    let mut later = [Vec::new(), Vec::new()];
    let [nothing, refresh_token] = &mut later;
    let figures = table::alternate(vec![
        Row::new(names[0], || floor(&runtime)),
        Row::new(names[1], || ours(&runtime, Spends::Nothing, nothing)),
        Row::new(names[2], || ours(&runtime, Spends::RefreshToken, refresh_token)),
    ]);
    let later = later.map(|times| table::time(table::median(&times)));
    let row = |n: usize, calls: &str, later: &str, goal: &str| {
        let figure = &figures[n];
        let cells = [
            names[n],
            &table::time(figure.seconds),
            &table::ratio(figure),
            "1",
            calls,
            later,
            goal,
        ];
        cells.map(str::to_owned).to_vec()
    };
    let rows = [
        row(0, "", "", ""),
        row(1, "0", &later[0], "≤ 1.2, 1 call, 0 calls"),
        row(2, "0", &later[1], "≤ 1.2, 1 call, 0 calls"),
    ];
    let columns =
        ["", "elapsed", "× floor", "calls", "calls of the next 1,000", "they took", "goal"];
    table::print("The refresh fails, 1,000 callers", &columns, &rows);
    Ok(())
}

fn floor(runtime: &Runtime) -> f64 {
    runtime.block_on(async {
        let begin = Instant::now();
        let bare = Bare::start(&Exchange::default());
        let last = herd::last_of(CALLERS, || {
            let bare = bare.clone();
            async move {
                bare.wait().await;
                true
            }
        });
        last.await.duration_since(begin).as_secs_f64()
    })
}

fn ours(runtime: &Runtime, spends: Spends, later: &mut Vec<f64>) -> f64 {
    runtime.block_on(async {
        let exchange = Exchange::default();
        let tokens =
            herd::manager(&exchange, Terms { spends, succeeds: false }).expect("the settings work");
        let callers = || {
            herd::last_of(CALLERS, || {
                let tokens = tokens.clone();
                async move { tokens.token().await.is_err() }
            })
        };
        let begin = Instant::now();
        let elapsed = callers().await.duration_since(begin).as_secs_f64();
        assert_eq!(exchange.calls(), 1, "calls while the refresh was under way");
        let begin = Instant::now();
        later.push(callers().await.duration_since(begin).as_secs_f64());
        assert_eq!(exchange.calls(), 1, "calls, with those made during the backoff");
        elapsed
    })
}
