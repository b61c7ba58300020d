//! N tasks that wait for one refresh of 10 ms: how long after its end the last one is done.

use std::error::Error;

use benches::herd::{self, Bare, Exchange, Terms};
use benches::table::{self, Figure, Row};
use token_core::Spends;
use tokio::runtime::Runtime;

type Round = fn(&Runtime, u32) -> f64;

const ROWS: [(&str, &str, Round); 4] = [
    ("bare `Notify`", "", floor::<0>),
    // What of a ratio is due to nothing but the memory of larger tasks.
    ("bare `Notify` in tasks of `token()`'s size", "", floor::<TOKEN_FUTURE>),
    ("`token()`, spends nothing", "≤ 1.2, 1, 0", |runtime, tasks| {
        ours(runtime, tasks, Spends::Nothing)
    }),
    ("`token()`, spends a refresh token", "≤ 1.2, 1, 0", |runtime, tasks| {
        ours(runtime, tasks, Spends::RefreshToken)
    }),
];

/// About how many bytes the future of `token()` has beyond the floor's.
const TOKEN_FUTURE: usize = 450;

fn main() -> Result<(), Box<dyn Error>> {
    if !benches::is_bench() {
        return Ok(());
    }
    let (runtime, counting_runtime) = (herd::runtime()?, herd::counting_runtime()?);
    // A small stampede ends in one way or another, as its two workers wake up; the mean of several is steady.
    for (tasks, times) in [(1_000_u32, 10_u32), (10_000, 3), (100_000, 1)] {
        let row = |(name, _, round): &(&'static str, &str, Round)| {
            let (runtime, round) = (&runtime, *round);
            Row::new(*name, move || {
                (0..times).map(|_| round(runtime, tasks)).sum::<f64>() / f64::from(times)
            })
        };
        let figures = table::alternate(ROWS.iter().map(row).collect());
        // A count needs no median.
        let counts = ROWS.map(|(_, _, round)| {
            let count = benches::allocations(|| {
                round(&counting_runtime, tasks);
            });
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let each = count as f64 / f64::from(tasks);
            each
        });
        print(tasks, &figures, counts);
    }
    Ok(())
}

fn print(tasks: u32, figures: &[Figure], counts: [f64; 4]) {
    let rows: Vec<_> = figures
        .iter()
        .zip(counts)
        .zip(ROWS)
        .map(|((figure, count), (name, goal, _))| {
            let cells = [name, &table::time(figure.seconds), &table::ratio(figure), "1"];
            let cells = cells.into_iter().map(str::to_owned);
            cells
                .chain([
                    table::allocations(count),
                    table::allocations(count - counts[0]),
                    goal.to_owned(),
                ])
                .collect()
        })
        .collect();
    let columns =
        ["", "drain", "× floor", "refreshes", "allocations a task", "beyond the floor's", "goal"];
    table::print(&format!("{tasks} tasks wait for one refresh"), &columns, &rows);
}

fn floor<const PADDING: usize>(runtime: &Runtime, tasks: u32) -> f64 {
    runtime.block_on(async {
        let exchange = Exchange::awaiting(tasks);
        let bare = Bare::start(&exchange);
        let last = herd::last_of(tasks, || {
            let (bare, exchange) = (bare.clone(), exchange.clone());
            async move {
                let padding = [0_u8; PADDING];
                exchange.asks();
                bare.wait().await;
                // Used afterwards, so that it is part of the task.
                std::hint::black_box(&padding);
                true
            }
        });
        last.await.duration_since(exchange.done()).as_secs_f64()
    })
}

fn ours(runtime: &Runtime, tasks: u32, spends: Spends) -> f64 {
    runtime.block_on(async {
        let exchange = Exchange::awaiting(tasks);
        let tokens =
            herd::manager(&exchange, Terms { spends, succeeds: true }).expect("the settings work");
        let last = herd::last_of(tasks, || {
            let (tokens, exchange) = (tokens.clone(), exchange.clone());
            async move {
                exchange.asks();
                tokens.token().await.is_ok()
            }
        });
        let last = last.await;
        assert_eq!(exchange.calls(), 1, "refreshes");
        last.duration_since(exchange.done()).as_secs_f64()
    })
}
