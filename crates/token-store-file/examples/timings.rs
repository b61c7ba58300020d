//! What the store's operations take, in the directory named by the first argument (default: a temporary one):
//!
//! ```sh
//! cargo run --release -p token-store-file --example timings -- /var/lib/me/timings
//! ```

use std::time::{Duration, Instant};

use bytes::Bytes;
use token_core::TokenKey;
use token_core::store::{Durability, Expect, Stamp, StoreKey, Swap, TokenStore, Versioned};
use token_store_file::FileStore;

const ROUNDS: usize = 500;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let temporary = tempfile::tempdir()?;
    let place =
        std::env::args_os().nth(1).map_or(temporary.path().into(), std::path::PathBuf::from);
    let store = FileStore::open(&place)?;
    let key = StoreKey::from(&TokenKey::new("timings")?);
    let record = Bytes::from(format!("{{\"filling\":\"{}\"}}", "x".repeat(2000)));
    let mut expect =
        store.load(&key).await?.map_or(Expect::Absent, |(old, _)| Expect::Is(old.stamp()));

    println!("{} rounds of 2 KB each in {}", ROUNDS, place.display());
    for durability in [Durability::Durable, Durability::Visible] {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let new = Versioned::new(Stamp::random(), record.clone());
            let start = Instant::now();
            let swap = store.compare_and_swap(&key, expect, &new, durability).await?;
            took.push(start.elapsed());
            assert!(matches!(swap, Swap::Won { .. }));
            expect = Expect::Is(new.stamp());
        }
        report(&format!("swap, {durability:?}"), took);
    }
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        store.load(&key).await?;
        took.push(start.elapsed());
    }
    report("load", took);

    // From the moment that a write is acknowledged to the end of waits of others that began before.
    for (began, waits) in [(Duration::from_millis(300), 20), (Duration::from_secs(7), 60)] {
        let Expect::Is(since) = expect else { break };
        let mut watchers = Vec::new();
        for _ in 0..waits {
            let (watcher, watched) = (store.clone(), key.clone());
            watchers.push(tokio::spawn(async move {
                let seen = watcher.changed(&watched, Some(since), Duration::from_secs(60)).await;
                (seen, Instant::now())
            }));
        }
        tokio::time::sleep(began).await;
        let new = Versioned::new(Stamp::random(), record.clone());
        store.compare_and_swap(&key, expect, &new, Durability::Durable).await?;
        let (written, mut took) = (Instant::now(), Vec::new());
        for watcher in watchers {
            let (seen, at) = watcher.await?;
            seen?;
            took.push(at.saturating_duration_since(written));
        }
        report(&format!("changed, {began:?} into a wait"), took);
        expect = Expect::Is(new.stamp());
    }

    watch_many(&store, &record).await
}

/// What it costs to watch many records that do not change.
async fn watch_many(store: &FileStore, record: &Bytes) -> Result<(), Box<dyn std::error::Error>> {
    const MANY: usize = 1000;
    const LONG: Duration = Duration::from_secs(20);
    for n in 0..MANY {
        let key = StoreKey::from(&TokenKey::new(format!("watched-{n}"))?);
        let new = Versioned::new(Stamp::random(), record.clone());
        // One that is left from another run is as good.
        store.compare_and_swap(&key, Expect::Absent, &new, Durability::Visible).await?;
        let since = store.load(&key).await?.map(|(record, _)| record.stamp());
        let store = store.clone();
        tokio::spawn(async move { store.changed(&key, since, Duration::from_secs(600)).await });
    }
    // Until their pauses are as long as they get.
    tokio::time::sleep(Duration::from_secs(7)).await;
    let before = processor_time();
    tokio::time::sleep(LONG).await;
    if let (Some(before), Some(after)) = (before, processor_time()) {
        let share = (after - before).as_secs_f64() / LONG.as_secs_f64() * 100.0;
        println!("{MANY} records watched at rest: {share:.1} % of one processor");
    }
    Ok(())
}

#[cfg(unix)]
fn processor_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(time).ok()
}

#[cfg(not(unix))]
const fn processor_time() -> Option<Duration> {
    None
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("{what:30} p50 {:>10.1?}  p99 {:>10.1?}", at(50), at(99));
}
