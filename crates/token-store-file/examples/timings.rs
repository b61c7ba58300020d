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

    // From the moment that a write is acknowledged to the end of another's wait that began 300 ms before.
    let mut took = Vec::new();
    for _ in 0..20 {
        let Expect::Is(since) = expect else { break };
        let (watcher, watched) = (FileStore::open(&place)?, key.clone());
        let watch = tokio::spawn(async move {
            let seen = watcher.changed(&watched, Some(since), Duration::from_secs(60)).await;
            (seen, Instant::now())
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        let new = Versioned::new(Stamp::random(), record.clone());
        store.compare_and_swap(&key, expect, &new, Durability::Durable).await?;
        let written = Instant::now();
        let (seen, at) = watch.await?;
        seen?;
        took.push(at.saturating_duration_since(written));
        expect = Expect::Is(new.stamp());
    }
    report("changed, 300 ms into a wait", took);
    Ok(())
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!("{what:30} p50 {:>10.1?}  p99 {:>10.1?}", at(50), at(99));
}
