//! Login, update and logout: changes by hand, which win over whatever is under way.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::protocol::{Change, Demand, History, Stored, Swapped};
use crate::record::{Record, RecordError};
use crate::store::{Expect, Stamp, StoreError, StoreErrorKind, Versioned};

use super::boarding::{Boarding, Cause};
use super::driver::POLL;
use super::first;
use super::flight::history;
use super::inner::Inner;

/// How often a change tries again when others write at the same time.
const TRIES: usize = 32;

/// How often a change that goes on from the newest tokens looks whether the store has them, a poll apart.
const REPAIR_LOOKS: usize = 8;

/// Why a change has nothing to go on from.
enum NotFound {
    /// There is something that no version of us wrote; its stamp, if the store at least knows that.
    Unreadable(Option<Stamp>, StoreError),
    Failed(StoreError),
}

fn too_many_tries() -> StoreError {
    let what = format!("{TRIES} tries met another write each");
    StoreError::new(StoreErrorKind::Refused, what)
}

fn newest_not_taken() -> StoreError {
    let what = "it has not taken the newest tokens yet, from which the change would go on";
    StoreError::new(StoreErrorKind::Refused, what)
}

impl Inner {
    /// Makes a change in a task of its own, so that a caller who goes away does not stop it half way.
    pub(super) async fn change(self: Arc<Self>, change: Change) -> Result<(), Error> {
        if let Change::Login(tokens) | Change::Update(tokens) = &change {
            tokens.check_brought().map_err(|error| {
                let message =
                    format!("the tokens were not taken, and nothing was changed: {error}");
                Error::new(&self.key, ErrorKind::Configuration, message)
            })?;
        }
        let Ok(runtime) = Handle::try_current() else { return Err(self.no_runtime()) };
        let inner = Arc::clone(&self);
        match runtime.spawn(async move { inner.make(&change).await }).await {
            Ok(result) => result,
            Err(_) => Err(self.interrupted()),
        }
    }

    async fn make(self: &Arc<Self>, change: &Change) -> Result<(), Error> {
        let keeps = change.keeps_refresh_token();
        for _ in 0..TRIES {
            if keeps {
                self.settle_to_keep().await?;
            }
            let asked = self.clock.now();
            let (current, unreadable) = match self.find().await {
                Ok(current) => (current, None),
                // An update or a logout goes on from what is there.
                Err(NotFound::Unreadable(stamp, _)) if matches!(change, Change::Login(_)) => {
                    (None, Some(stamp))
                }
                Err(NotFound::Unreadable(_, error) | NotFound::Failed(error)) => {
                    return Err(self.not_made(error));
                }
            };
            let expect = current.as_ref().map_or(Expect::Absent, |stored| Expect::Is(stored.stamp));
            let now = self.clock.now();
            let changed =
                self.state().replica.changed(change, current.as_ref(), unreadable.is_some(), now);
            // It fell back since it had settled.
            let Some(mut record) = changed else { continue };
            let mut stamp = Stamp::random();
            let Some(replaced) = self.write(expect, unreadable, stamp, &record).await? else {
                continue;
            };
            let seen = self.state().replica.history().cloned().unwrap_or(History::Untold);
            if keeps && replaced.is_news_after(&seen) {
                // The store fell back in between: let those who know a newer refresh token say so.
                record = record.settling(true);
                let expect = Expect::Is(std::mem::replace(&mut stamp, Stamp::random()));
                if self.write(expect, None, stamp, &record).await?.is_none() {
                    continue;
                }
            }
            let version = record.version;
            {
                let mut state = self.state();
                let written = Stored { stamp, record, history: History::Unbroken };
                state.replica.observe(Some(written), asked, self.clock.now());
                state.backoff.clear();
                state.last_error = None;
                self.publish(&mut state);
            }
            self.events.send(Event::Changed { version });
            self.wake.notify_one();
            return Ok(());
        }
        Err(self.not_made(too_many_tries()))
    }

    /// What keeps a refresh token must not keep one that a store has fallen back to: the newest is brought back first, by
    /// whoever has it. A store that does not take it ends the change: it would wait as long as the store fails.
    async fn settle_to_keep(self: &Arc<Self>) -> Result<(), Error> {
        let mut looks = 0;
        let mut failed = None;
        loop {
            self.look().await;
            let (repair, unsettled) = {
                let replica = &self.state().replica;
                (replica.needs_repair(), replica.unsettled(self.clock.now()))
            };
            if !repair {
                let Some(wait) = unsettled else { return Ok(()) };
                self.clock.sleep(wait.min(POLL)).await;
                continue;
            }
            if looks == REPAIR_LOOKS {
                return Err(failed.unwrap_or_else(|| self.not_made(newest_not_taken())));
            }
            looks += 1;
            let demand = Demand { repair: true, ..Demand::default() };
            if let Boarding::Flight(flight) = self.board(demand, Cause::Need)? {
                // Not until it lands: one that serves from memory has landed, and tries to store on.
                let ended = first(flight.ended(), self.clock.sleep(POLL)).await.is_ok();
                if !ended || !self.state().replica.needs_repair() {
                    continue;
                }
                if flight.repairs {
                    failed = flight.landed().await.err();
                }
            }
            self.clock.sleep(POLL).await;
        }
    }

    async fn find(&self) -> Result<Option<Stored>, NotFound> {
        let (versioned, provenance) = match self.in_time(self.store.load(&self.store_key)).await {
            Ok(Some(loaded)) => loaded,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                return Err(NotFound::Unreadable(None, error));
            }
            Err(error) => return Err(NotFound::Failed(error)),
        };
        let stamp = versioned.stamp();
        Record::decode(versioned.bytes(), &self.store_key)
            .map(|record| Some(Stored { stamp, record, history: history(&provenance) }))
            .map_err(|why| {
                let error = StoreError::new(why.kind(), why.to_string());
                match why {
                    // Others can read it and go on with it.
                    RecordError::Newer { .. } | RecordError::Sealed => NotFound::Failed(error),
                    RecordError::Unreadable | RecordError::OtherKey { .. } => {
                        NotFound::Unreadable(Some(stamp), error)
                    }
                }
            })
    }

    /// Makes one write once, though its answers may be lost: it is tried again as the very same write, because one that
    /// comes late could bring back a refresh token that was used meanwhile. Returns what the store
    /// said of the record that it replaced, if it was made.
    async fn write(
        &self,
        expect: Expect,
        unreadable: Option<Option<Stamp>>,
        stamp: Stamp,
        record: &Record,
    ) -> Result<Option<History>, Error> {
        let mut doubt = None;
        for _ in 0..TRIES {
            let written = match unreadable {
                None => self.swap(expect, stamp, record).await.map(|swapped| match swapped {
                    Swapped::Won { history, .. } => Some(history),
                    Swapped::Lost(_) => None,
                }),
                Some(unreadable) => {
                    let done = self.set_aside(unreadable, stamp, record).await;
                    done.map(|done| done.then_some(History::Untold))
                }
            };
            match (written, &doubt) {
                (Ok(Some(replaced)), _) => return Ok(Some(replaced)),
                (Ok(None), None) => return Ok(None),
                (Ok(None), Some(_)) => {}
                (Err(error), _) if error.kind() == StoreErrorKind::Indeterminate => {
                    doubt = Some(error);
                }
                (Err(error), _) => return Err(self.not_made(error)),
            }
            let found = self.load().await.map_err(|error| self.not_made(error))?;
            let found = found.map(|stored| stored.stamp);
            if found == Some(stamp) {
                return Ok(Some(History::Untold));
            }
            if found.map_or(Expect::Absent, Expect::Is) != expect {
                break;
            }
        }
        // Somebody may have gone on from it.
        Err(self.not_made(doubt.unwrap_or_else(too_many_tries)))
    }

    async fn set_aside(
        &self,
        unreadable: Option<Stamp>,
        stamp: Stamp,
        record: &Record,
    ) -> Result<bool, StoreError> {
        let new = Versioned::new(stamp, record.encode(&self.store_key));
        let place = self.in_time(self.store.set_aside(&self.store_key, unreadable, &new)).await?;
        let done = place.is_some();
        if let Some(place) = place {
            self.events.send(Event::RecordSetAside { place });
        }
        Ok(done)
    }

    fn not_made(&self, error: StoreError) -> Error {
        let message = format!(
            "the store did not confirm the change: {error}; see that the store works and try again"
        );
        Error::store(&self.key, message, error)
    }
}
