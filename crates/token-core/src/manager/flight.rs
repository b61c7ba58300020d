//! The one async shell of the protocol: performs its actions, one at a time, in a task of its own.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tracing::Instrument;

use crate::clock::Moment;
use crate::error::Error;
use crate::event::Event as Report;
use crate::flight::Flight;
use crate::protocol::{Action, Demand, Event, Failure, History, Stored, Swapped};
use crate::record::Record;
use crate::refresher::RefreshError;
use crate::store::{
    Durability, Expect, Liveness, Provenance, Stamp, StoreError, StoreErrorKind, Swap, Versioned,
};
use crate::token::{Token, TokenSet};
use crate::unsent::Unsent;

use super::first;
use super::inner::{Inner, State};

/// How often the runtime may go round before an exchange is given up. A process that stood still finds the deadline passed
/// and the answer in its socket, from where other tasks have to bring it here: thrown away, it would take the refresh
/// token with it.
const LAST_CHANCES: u32 = 100;

impl Inner {
    /// Flies one flight to its end.
    ///
    /// # Cancel safety
    ///
    /// Dropped together with its runtime, it lands with an error and leaves the attempt as unknown.
    pub(super) fn fly(
        self: Arc<Self>,
        flight: Arc<Flight>,
        demand: Demand,
    ) -> impl Future<Output = ()> + Send {
        let span = tracing::info_span!(target: "token_core", parent: None, "token_refresh", grant = %self.key);
        span.follows_from(tracing::Span::current());
        // Made here and not in the task, which may be dropped before it is polled for the first time.
        let mut watch = Wreck { inner: self, flight, armed: true };
        async move {
            let before = watch.inner.known_version();
            let result = watch.inner.perform(&watch.flight, demand).await;
            watch.armed = false;
            let news = watch.inner.known_version() != before;
            watch.inner.settle(&watch.flight, result, news);
        }
        .instrument(span)
    }

    async fn perform(&self, flight: &Flight, demand: Demand) -> Result<(), Failure> {
        let mut watched = None;
        let mut action = self.with_replica(|replica, ctx| replica.begin(demand, ctx));
        loop {
            self.report_notes();
            let event = match action {
                Action::Load => Event::Loaded(self.load().await),
                Action::Swap { expect, stamp, record } => {
                    let swapped = self.swap(expect, stamp, &record).await;
                    self.state().store_error = swapped.as_ref().err().cloned();
                    Event::Swapped(swapped)
                }
                Action::Exchange { tokens } => self.exchange(tokens.as_ref()).await,
                Action::AskHolder { attempt } => Event::Holder(self.holder(attempt).await),
                Action::Watch { since, at_most } if watched == Some(since) => {
                    // The watch ended for no reason; a store may do that, but not in a loop.
                    watched = None;
                    self.clock.sleep(at_most.min(super::driver::POLL)).await;
                    Event::Woken
                }
                Action::Watch { since, at_most } => {
                    let changed = self.store.changed(&self.store_key, since, at_most);
                    let until = self.clock.now().monotonic().saturating_add(at_most);
                    // Whether it changed, timed out or failed, the next look says.
                    let _ = first(changed, self.clock.sleep(at_most)).await;
                    watched = (self.clock.now().monotonic() < until).then_some(since);
                    Event::Woken
                }
                Action::Pause(pause) => {
                    // The answer is in memory, and that is all that its waiters need, unless the process ends with them.
                    if let Some(token) = self.published.token().filter(|_| !self.settings.one_shot)
                    {
                        flight.land(Ok(token));
                    }
                    self.clock.sleep(pause).await;
                    Event::Woken
                }
                Action::Finish(result) => return result,
            };
            if matches!(event, Event::Woken) && self.is_over() {
                return Err(Failure::ShutDown);
            }
            action = self.with_replica(|replica, ctx| replica.step(event, ctx));
        }
    }

    /// Whether a flight that has waited for others is to end there: there was a shutdown, and there is nothing to store.
    fn is_over(&self) -> bool {
        let mut state = self.state();
        let over = state.shut_down && !state.replica.needs_repair();
        if over {
            state.replica.abandon(self.clock.now());
        }
        over
    }

    /// Makes the result of a flight public: to its waiters, to latecomers, to listeners. `news`: there are newer tokens.
    fn settle(&self, flight: &Flight, result: Result<(), Failure>, news: bool) {
        let now = self.clock.now();
        let (landing, reports) = {
            let mut state = self.state();
            let state = &mut *state;
            state.flight = None;
            if std::mem::take(&mut state.drawn) {
                // Somebody else had the newer token: nothing was asked for.
                state.refusals.give_back();
            }
            match result {
                // What failed before may fail as before, and is not tried again because of this.
                Ok(()) if flight.repairs && !news => (self.landing(state), Vec::new()),
                Err(failure) if flight.repairs => (Err(self.error(&failure)), Vec::new()),
                Ok(()) => {
                    state.backoff.clear();
                    state.last_error = state.unusable.clone();
                    let landing = self.landing(state);
                    let refreshed = std::mem::take(&mut state.refreshed);
                    let reports = match &landing {
                        Ok(token) if refreshed => {
                            vec![Report::Refreshed { version: token.version() }]
                        }
                        _ => Vec::new(),
                    };
                    (landing, reports)
                }
                Err(failure) => {
                    state.refreshed = false;
                    let error = self.error(&failure);
                    state.backoff.failed(
                        failure,
                        now.monotonic(),
                        &self.settings.backoff,
                        self.dice(),
                    );
                    let wait =
                        state.backoff.blocked(now.monotonic(), false).and_then(|(_, wait)| wait);
                    let error = error.with_retry_after(wait);
                    state.last_error = Some(error.clone());
                    let reports = self.failure_reports(state, &error);
                    (Err(error), reports)
                }
            }
        };
        for report in reports {
            self.events.send(report);
        }
        flight.land(landing);
        flight.end();
        self.wake.notify_one();
    }

    fn landing(&self, state: &State) -> Result<Token, Error> {
        match (self.published.token(), &state.unusable) {
            (Some(token), _) => Ok(token),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(self.interrupted()),
        }
    }

    pub(super) async fn load(&self) -> Result<Option<Stored>, StoreError> {
        let loaded = self.in_time(self.store.load(&self.store_key)).await?;
        loaded.map(|(found, provenance)| self.decode(&found, history(&provenance))).transpose()
    }

    pub(super) async fn swap(
        &self,
        expect: Expect,
        stamp: Stamp,
        record: &Record,
    ) -> Result<Swapped, StoreError> {
        let new = Versioned::new(stamp, record.encode(&self.store_key));
        let swap = self.store.compare_and_swap(&self.store_key, expect, &new, Durability::Durable);
        match self.in_time(swap).await? {
            // To try again would be for ever.
            Swap::Lost(Some(current)) if expect == Expect::Is(current.stamp()) => {
                Err(StoreError::new(
                    StoreErrorKind::Refused,
                    format!(
                        "the store does not write over the record of the grant {} that it shows itself: a part of it that the store \
                         compares is damaged, or the store does not keep its promises",
                        self.store_key
                    ),
                ))
            }
            Swap::Won { durable, replaced } => {
                Ok(Swapped::Won { durable, history: history(&replaced) })
            }
            Swap::Lost(current) => current
                .map(|current| self.decode(&current, History::Untold))
                .transpose()
                .map(Swapped::Lost),
        }
    }

    async fn holder(&self, attempt: Stamp) -> Liveness {
        let asked = async { Ok(self.store.holder(&self.store_key, attempt).await) };
        self.in_time(asked).await.unwrap_or(Liveness::Unknown)
    }

    fn decode(&self, versioned: &Versioned, history: History) -> Result<Stored, StoreError> {
        let record = Record::decode(versioned.bytes(), &self.store_key)
            .map_err(|error| StoreError::new(error.kind(), error.to_string()))?;
        Ok(Stored { stamp: versioned.stamp(), record, history })
    }

    pub(super) async fn in_time<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match first(operation, self.clock.sleep(self.settings.store_deadline)).await {
            Ok(result) => result,
            Err(()) => Err(StoreError::new(
                StoreErrorKind::Indeterminate,
                format!("the store did not answer within {:?}", self.settings.store_deadline),
            )),
        }
    }

    async fn exchange(&self, tokens: Option<&TokenSet>) -> Event {
        let sent = self.clock.now();
        let unsent = Unsent::default();
        let exchange = unsent.watch(caught(async { self.refresher.refresh(tokens).await }));
        let deadline = self.settings.exchange_deadline;
        let overrun = async {
            self.clock.sleep(deadline).await;
            for _ in 0..LAST_CHANCES {
                tokio::task::yield_now().await;
            }
            unsent.waits_for()
        };
        let result = match first(exchange, overrun).await {
            Ok(Some(result)) => result,
            Ok(None) => Err(RefreshError::ambiguous("the refresher panicked")),
            Err(None) => Err(RefreshError::ambiguous(format!(
                "the token endpoint did not answer within {deadline:?}"
            ))),
            Err(Some(what)) => Err(RefreshError::not_sent(format!(
                "{what} was not there within {deadline:?}, so nothing was sent"
            ))),
        };
        {
            let mut state = self.state();
            state.refreshed = result.is_ok();
            state.drawn = false;
        }
        Event::Exchanged { sent, result }
    }
}

pub(super) fn history(provenance: &Provenance) -> History {
    if !provenance.is_broken() {
        return History::Unbroken;
    }
    History::Broken(provenance.read_in.clone())
}

/// Lands a flight whose task was dropped: the waiters must not wait for a runtime that is gone.
struct Wreck {
    inner: Arc<Inner>,
    flight: Arc<Flight>,
    armed: bool,
}

impl Drop for Wreck {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let now: Moment = self.inner.clock.now();
        {
            let mut state = self.inner.state();
            state.replica.abandon(now);
            state.flight = None;
            state.refreshed = false;
            state.drawn = false;
        }
        let error: Error = self.inner.interrupted();
        self.inner.events.send(Report::RefreshFailed { error: error.clone(), failures: 1 });
        self.flight.land(Err(error));
        self.flight.end();
        self.inner.wake.notify_one();
    }
}

/// The output of a future, or `None` if it panicked. What it left behind is dropped with it.
async fn caught<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}
