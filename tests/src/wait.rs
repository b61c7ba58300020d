//! Waiting for what will happen, with an end to the patience.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use token_core::event::{Event, Events};

/// What waits longer than this waits for ever.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Fails a test that would otherwise wait for ever, and says where. Nothing that is asserted depends on how long it is.
///
/// # Panics
///
/// The future did not end.
#[track_caller]
pub fn soon<T>(future: impl Future<Output = T>) -> impl Future<Output = T> {
    let place = Location::caller();
    async move {
        let Ok(output) = tokio::time::timeout(PATIENCE, future).await else {
            panic!("waited in vain at {place}");
        };
        output
    }
}

/// Waits for a state that nothing announces.
pub async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// The first event that fits; those before it are dropped.
///
/// # Panics
///
/// The manager went away first.
pub async fn event(events: &mut Events, fits: impl Fn(&Event) -> bool) -> Event {
    soon(async {
        loop {
            let event = events.next().await.expect("the manager is there");
            if fits(&event) {
                return event;
            }
        }
    })
    .await
}

/// Polls a future once, with a waker that wakes nobody.
pub fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Counts a future as waiting when its first poll leaves it pending: it has then asked for what it waits for.
pub async fn waiting<F: Future>(future: F, count: &AtomicUsize) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut counted = false;
    std::future::poll_fn(|cx| {
        let poll = future.as_mut().poll(cx);
        if poll.is_pending() && !std::mem::replace(&mut counted, true) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        poll
    })
    .await
}
