//! Watching: a hint that may come early, and never too late.

use std::sync::Arc;
use std::time::{Duration, Instant};

use token_core::store::{Expect, Stamp, StoreKey, TokenStore, Versioned};

use super::record::{expect, failed, fresh, key, load, win};
use super::{Checked, Subject, Verdict, Violation, demand};

/// A change that is noticed only at the end of this was missed.
const LONG: Duration = Duration::from_secs(30);

const SHORT: Duration = Duration::from_millis(200);

/// How late a busy machine may notice that a timeout has passed.
const SLACK: Duration = Duration::from_secs(60);

/// C8. `changed` sees every write since the caller's load, whenever it came, and it ends at its timeout; else a process
/// waits for a refresh that is over.
pub async fn c08_changed_misses_nothing<S: Subject>(subject: &S) -> Verdict {
    let (watcher, writer) = (Arc::new(subject.client().await), Arc::new(subject.client().await));
    let key = key("c08");
    let first = fresh();
    win(&*writer, &key, Expect::Absent, &first).await?;

    // The write was before the call: as long as the caller likes.
    for since in [None, Some(Stamp::random())] {
        for timeout in [LONG, Duration::MAX] {
            let took = watch(&*watcher, &key, since, timeout).await?;
            demand!(took < LONG, "a write before the call was missed");
        }
    }
    // The timeout.
    for timeout in [Duration::ZERO, SHORT] {
        let took = watch(&*watcher, &key, Some(first.stamp()), timeout).await?;
        demand!(took < timeout + SLACK, "`changed` took {took:?} with a timeout of {timeout:?}");
    }
    // Around the call, by the same client and by another.
    let mut current = first;
    for round in 0..30_u32 {
        let author = if round % 2 == 0 { &writer } else { &watcher };
        let (author, key, since) = (Arc::clone(author), key.clone(), current.stamp());
        let new = fresh();
        let write = {
            let (key, new) = (key.clone(), new.clone());
            async move {
                for _ in 0..(round / 2) * 4 {
                    tokio::task::yield_now().await;
                }
                win(&*author, &key, Expect::Is(since), &new).await
            }
        };
        let write = tokio::spawn(write);
        await_stamp(&*watcher, &key, since, &new).await?;
        write.await.map_err(|error| Violation::new(format!("a swap panicked: {error}")))??;
        current = new;
    }
    // Long after the call.
    let since = current.stamp();
    let new = fresh();
    let write = async {
        tokio::time::sleep(SHORT).await;
        win(&*writer, &key, Expect::Is(since), &new).await
    };
    let (seen, written) = tokio::join!(await_stamp(&*watcher, &key, since, &new), write);
    seen.and(written)?;
    Ok(Checked::Whole)
}

/// C9. `changed` may end early; whoever loads and calls again still sees every change, also among writes to other keys and
/// after watches that were given up.
pub async fn c09_early_ends_do_no_harm<S: Subject>(subject: &S) -> Verdict {
    let (watcher, writer) = (subject.client().await, subject.client().await);
    let (key, neighbour) = (key("c09"), key("c09-neighbour"));
    let mut current: Option<Versioned> = None;
    let mut beside: Option<Versioned> = None;
    for _ in 0..10 {
        let since = current.as_ref().map(Versioned::stamp);
        // Given up.
        let _ = tokio::time::timeout(Duration::from_millis(1), watcher.changed(&key, since, LONG))
            .await;
        let new = fresh();
        let writes = async {
            for _ in 0..3 {
                let other = fresh();
                win(&writer, &neighbour, expect(beside.as_ref()), &other).await?;
                beside = Some(other);
            }
            win(&writer, &key, expect(current.as_ref()), &new).await
        };
        let reads = async {
            let start = Instant::now();
            while load(&watcher, &key).await?.as_ref() != Some(&new) {
                demand!(start.elapsed() < LONG, "a change was missed after an early end");
                let took = watch(&watcher, &key, since, LONG).await?;
                demand!(took < LONG, "a change was missed after an early end");
            }
            Ok(())
        };
        // The watch begins before the writes.
        let (read, written): (Result<(), Violation>, _) = tokio::join!(reads, writes);
        written.and(read)?;
        current = Some(new);
    }
    Ok(Checked::Whole)
}

/// Waits as the core does, by load and `changed` in turn, until the record is there.
async fn await_stamp(
    store: &impl TokenStore,
    key: &StoreKey,
    since: Stamp,
    new: &Versioned,
) -> Result<(), Violation> {
    let start = Instant::now();
    loop {
        watch(store, key, Some(since), LONG).await?;
        demand!(start.elapsed() < LONG, "a write during the call was missed");
        if load(store, key).await?.as_ref() == Some(new) {
            return Ok(());
        }
    }
}

async fn watch(
    store: &impl TokenStore,
    key: &StoreKey,
    since: Option<Stamp>,
    timeout: Duration,
) -> Result<Duration, Violation> {
    let start = Instant::now();
    let patience = timeout.min(LONG) + SLACK;
    tokio::time::timeout(patience, store.changed(key, since, timeout))
        .await
        .map_err(|_| {
            Violation::new(format!(
                "`changed` goes on after {patience:?}; its timeout was {timeout:?}"
            ))
        })?
        .map_err(|error| failed("changed", key, &error))?;
    Ok(start.elapsed())
}
