//! Futures that are dropped half way.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use token_core::store::{Durability, Expect, TokenStore, Versioned};

use super::record::{expect, fresh, is_whole, key, load, swap, win};
use super::{Checked, Subject, Verdict, demand};

/// A swap that has not ended after so many polls ends by itself.
const MOST_POLLS: usize = 12;

/// C11. A future of the store may be dropped at any await: the record is the old or the new one, whole, no lock stays
/// behind, and a write that comes late does not undo another's.
pub async fn c11_dropped_futures_leave_old_or_new<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let key = key("c11");
    let mut current = fresh();
    win(&store, &key, Expect::Absent, &current).await?;
    for polls in (1..=MOST_POLLS).chain(1..=MOST_POLLS) {
        let new = fresh();
        let expected = Expect::Is(current.stamp());
        let dropped = store.compare_and_swap(&key, expected, &new, Durability::Durable);
        let ended = drop_after(polls, dropped).await.is_some();
        drop_after(polls, store.load(&key)).await;
        drop_after(polls, store.list(None)).await;
        drop_after(polls, store.changed(&key, None, Duration::from_secs(60))).await;

        // It may still come, from a thread or a server: until a swap of our own is won it is one or the other.
        let last = fresh();
        let found = loop {
            let found = load(&other, &key).await?;
            let known = found.as_ref().is_some_and(is_whole)
                && (found.as_ref() == Some(&new) || (found.as_ref() == Some(&current) && !ended));
            demand!(
                known,
                "a swap of {current:?} to {new:?}, dropped after {polls} polls, left {found:?}"
            );
            let swapped = swap(&other, &key, expect(found.as_ref()), &last).await?;
            if matches!(swapped, token_core::store::Swap::Won { .. }) {
                break found;
            }
        };
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let now = load(&other, &key).await?;
            demand!(
                now.as_ref() == Some(&last),
                "after {found:?} was replaced by {last:?}, a dropped swap put {now:?} there"
            );
        }
        current = last;
    }
    let whole: Option<Versioned> = load(&store, &key).await?;
    demand!(whole.as_ref() == Some(&current), "the first client loads {whole:?}");
    Ok(Checked::Whole)
}

/// What the future came to, if it did within so many polls; otherwise it is dropped where it stands.
async fn drop_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
