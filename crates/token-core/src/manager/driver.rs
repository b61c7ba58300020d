//! Refreshes ahead of time, with or without traffic, and follows what others write to the store.

use std::sync::{Arc, Weak};
use std::time::{Duration, UNIX_EPOCH};

use tokio::runtime::Handle;

use crate::days_left::days_between;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::protocol::{Demand, Warning, cannot_refresh, logs_in, warning};
use crate::record::State as RecordState;
use crate::store::Stamp;
use crate::token::TokenSet;

use super::boarding::{Boarding, Cause};
use super::first;
use super::inner::Inner;

/// How long to leave the store alone where it cannot say when something changed.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// The longest sleep. Timers stand still in suspend and know nothing of a wall clock that was set, so the clocks are
/// looked at this often at least.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// What the driver does next.
enum Plan {
    Refresh(Demand),
    Wait { at_most: Duration, since: Option<Stamp> },
    Warn(Event),
    Stop,
}

/// Whether the store is watched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Watch {
    On,
    /// A store that says "changed" of what is known is left alone for a while: this process's own writes are among the
    /// changes, and a plan made meanwhile must not wait for that while to pass.
    Paused,
    /// It cannot watch, or cannot be reached.
    Failed,
    /// It could not be read either.
    Away,
}

impl Inner {
    /// Starts the driver if there is none and this is a place where one can live.
    pub(super) fn start_driver(self: &Arc<Self>) {
        if self.settings.one_shot || self.driving.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        if self.driving.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return;
        }
        let driver = Driver { inner: Arc::downgrade(self) };
        let wake = Arc::clone(&self.wake);
        runtime.spawn(async move { driver.drive(&wake).await });
    }

    fn plan(&self) -> Plan {
        let now = self.clock.now();
        let mut state = self.state();
        if state.shut_down {
            return Plan::Stop;
        }
        let since = state.replica.stamp();
        let mut longest = LONGEST_SLEEP;
        let wait = |at_most: Duration| Plan::Wait { at_most, since };
        if state.flight.is_some() {
            return wait(LONGEST_SLEEP);
        }
        if state.replica.needs_repair() {
            // At once, and whatever became of the last refresh: others wait behind the settle barrier for it.
            return Plan::Refresh(Demand { repair: true, ..Demand::default() });
        }
        let Some(known) = state.replica.known() else { return wait(longest) };
        let spends = |tokens: Option<&TokenSet>| self.refresher.spends(tokens);
        let (before, warned) = (self.settings.warn_before, state.warned);
        match warning(&known.record, &spends, before, warned, now.wall()) {
            Warning::Now { ends, warned } => {
                state.warned = Some(warned);
                return Plan::Warn(ends_soon(ends, now.wall()));
            }
            Warning::In(time) => longest = longest.min(time),
            Warning::Never => {}
        }
        let wait = |at_most: Duration| Plan::Wait { at_most: at_most.min(longest), since };
        let dead = matches!(known.record.state, RecordState::Dead { .. })
            && !logs_in(&known.record, &spends);
        // What cannot be replaced is served to its end, which is then told.
        let last = cannot_refresh(&known.record, &spends);
        let due = if last { known.deadlines.expired } else { known.deadlines.stale };
        let Some(stale) = due.filter(|_| !dead) else { return wait(longest) };
        if let Some((_, blocked)) = state.backoff.blocked(now.monotonic(), false) {
            return wait(blocked.unwrap_or(longest));
        }
        if stale.passed(now) {
            return Plan::Refresh(Demand {
                newer_than: Some(known.record.version),
                ..Demand::default()
            });
        }
        wait(stale.remaining(now))
    }

    /// Takes in what the store holds now. Returns whether that was news.
    pub(super) async fn look(&self) -> bool {
        let (seen, asked) = (self.state().replica.stamp(), self.clock.now());
        let Ok(current) = self.load().await else { return false };
        let (news, adopted) = {
            let mut state = self.state();
            if state.replica.stamp() != seen {
                // A flight has looked since, and knows better.
                return true;
            }
            // Its write is there before its answer is: the flight will tell.
            let own = current.as_ref().is_some_and(|found| state.replica.is_writing(found.stamp));
            let before = state.replica.known_version();
            let news = state.replica.observe(current, asked, self.clock.now());
            let after = state.replica.known_version();
            if after != before {
                // What failed for the tokens before may work for these. Another's failure is a write too, and no news.
                state.backoff.clear();
                state.last_error = None;
            }
            self.publish(&mut state);
            (news, after.filter(|_| after != before && !own))
        };
        if let Some(version) = adopted {
            self.events.send(Event::Adopted { version });
        }
        news
    }

    /// Looks whether a store that failed answers again. If it does, nothing waits for the end of a backoff that it had caused;
    /// where it refuses writes alone, that goes on.
    async fn watch_after(&self, pause: Watch) -> Watch {
        if pause == Watch::Paused {
            return Watch::On;
        }
        if self.load().await.is_err() {
            return Watch::Away;
        }
        if pause == Watch::Away {
            self.state().backoff.store_is_back();
        }
        Watch::On
    }
}

fn ends_soon(ends: Duration, now: Duration) -> Event {
    let ends_at = UNIX_EPOCH.checked_add(ends).unwrap_or(UNIX_EPOCH);
    Event::EndsSoon { ends_at, days_left: days_between(now, ends) }
}

struct Driver {
    inner: Weak<Inner>,
}

impl Driver {
    async fn drive(self, wake: &tokio::sync::Notify) {
        if let Some(inner) = self.inner.upgrade() {
            inner.look().await;
        }
        let mut watch = Watch::On;
        loop {
            let Some(inner) = self.inner.upgrade() else { return };
            let (at_most, since) = match inner.plan() {
                Plan::Stop => return,
                Plan::Warn(event) => {
                    inner.events.send(event);
                    continue;
                }
                Plan::Refresh(demand) => {
                    let boarded = inner.board(demand, Cause::Need);
                    let clock = inner.clock.clone();
                    drop(inner);
                    match boarded {
                        // Failure and success are reported by the flight; the next plan takes both into account.
                        Ok(Boarding::Flight(flight)) => {
                            flight.ended().await;
                            // A runtime that shuts down lands each flight at once, and takes back control only here.
                            tokio::task::yield_now().await;
                            let failed = flight.landed().await.err();
                            let interrupted = |error: Error| error.kind() == ErrorKind::Interrupted;
                            // A store whose reads lag shows the old record again at once.
                            if flight.repairs || failed.is_some_and(interrupted) {
                                clock.sleep(POLL).await;
                            }
                        }
                        Ok(Boarding::Ready(_)) => {}
                        // Something came between the plan and this.
                        Err(_) => clock.sleep(POLL).await,
                    }
                    continue;
                }
                Plan::Wait { at_most, since } => (at_most, since),
            };
            let (store, clock, key) =
                (inner.store.clone(), inner.clock.clone(), inner.store_key.clone());
            // Only the handles keep a manager alive.
            drop(inner);
            if watch != Watch::On {
                let _ = first(clock.sleep(at_most.min(POLL)), wake.notified()).await;
                let Some(inner) = self.inner.upgrade() else { return };
                watch = inner.watch_after(watch).await;
                continue;
            }
            let changed = store.changed(&key, since, at_most);
            let pause = first(clock.sleep(at_most), wake.notified());
            let Ok(changed) = first(changed, pause).await else { continue };
            let Some(inner) = self.inner.upgrade() else { return };
            watch = match changed {
                Ok(()) if inner.look().await => Watch::On,
                Ok(()) => Watch::Paused,
                Err(_) => Watch::Failed,
            };
        }
    }
}

impl Drop for Driver {
    /// Also when its runtime goes away: the next call on another one starts a new driver.
    fn drop(&mut self) {
        // After a shutdown there is nothing left to drive.
        if let Some(inner) = self.inner.upgrade()
            && !inner.state().shut_down
        {
            inner.driving.store(false, std::sync::atomic::Ordering::Release);
        }
    }
}
