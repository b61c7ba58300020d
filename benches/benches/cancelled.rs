//! The first of 1,000 callers is dropped half way through the refresh of 10 ms.

use std::error::Error;
use std::time::Instant;

use benches::herd::{self, Bare, Exchange, REFRESH, Terms};
use benches::table::{self, Row};
use token_core::Spends;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Those behind the first.
const OTHERS: u32 = 999;

fn main() -> Result<(), Box<dyn Error>> {
    if !benches::is_bench() {
        return Ok(());
    }
    let runtime = herd::runtime()?;
    let figures = table::alternate(vec![
        Row::new("bare `Notify`", || floor(&runtime)),
        Row::new("`token()`, spends nothing", || ours(&runtime, Spends::Nothing)),
        Row::new("`token()`, spends a refresh token", || ours(&runtime, Spends::RefreshToken)),
    ]);
    let rows: Vec<_> = figures
        .iter()
        .enumerate()
        .map(|(n, figure)| {
            let goal = if n == 0 { "" } else { "no delay, 1 call, 999 answered" };
            let cells = [
                &figure.name,
                &table::time(figure.seconds),
                &table::ratio(figure),
                "1",
                "999",
                goal,
            ];
            cells.map(str::to_owned).to_vec()
        })
        .collect();
    let columns = ["", "elapsed", "× floor", "calls", "answered", "goal"];
    table::print("The first of 1,000 callers is cancelled half way", &columns, &rows);
    Ok(())
}

fn floor(runtime: &Runtime) -> f64 {
    runtime.block_on(async {
        let begin = Instant::now();
        let bare = Bare::start(&Exchange::default());
        let first = tokio::spawn({
            let bare = bare.clone();
            async move { timeout(REFRESH / 2, bare.wait()).await.is_err() }
        });
        let last = herd::last_of(OTHERS, || {
            let bare = bare.clone();
            async move {
                bare.wait().await;
                true
            }
        });
        let elapsed = last.await.duration_since(begin).as_secs_f64();
        assert!(
            first.await.expect("the task does not panic"),
            "the first caller was not cancelled"
        );
        elapsed
    })
}

fn ours(runtime: &Runtime, spends: Spends) -> f64 {
    runtime.block_on(async {
        let exchange = Exchange::default();
        let begin = Instant::now();
        let tokens =
            herd::manager(&exchange, Terms { spends, succeeds: true }).expect("the settings work");
        let mut first = Box::pin(timeout(REFRESH / 2, {
            let tokens = tokens.clone();
            async move { tokens.token().await }
        }));
        // Polled before the others are there: it is the one that begins the refresh.
        let poll = std::future::poll_fn(|cx| std::task::Poll::Ready(first.as_mut().poll(cx)));
        assert!(poll.await.is_pending(), "the first caller did not have to wait");
        let first = tokio::spawn(async move { first.await.is_err() });
        let last = herd::last_of(OTHERS, || {
            let tokens = tokens.clone();
            async move { tokens.token().await.is_ok() }
        });
        let elapsed = last.await.duration_since(begin).as_secs_f64();
        assert!(
            first.await.expect("the task does not panic"),
            "the first caller was not cancelled"
        );
        assert_eq!(exchange.calls(), 1, "calls");
        elapsed
    })
}
