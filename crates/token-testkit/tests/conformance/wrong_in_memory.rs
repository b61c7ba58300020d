//! A store in memory with one flaw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use token_core::store::{
    Capabilities, Cursor, Durability, Expect, Liveness, Page, Provenance, Stamp, StoreError,
    StoreErrorKind, StoreKey, Swap, TokenStore, Versioned,
};
use token_testkit::conformance::Subject;
use tokio::sync::Notify;

const PAGE: usize = 100;
const HALF_AN_HOUR: i64 = 1800;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    StaleCache,
    TwoWinners,
    LostTellsNothing,
    AbsentReplaces,
    DoubtMixes,
    DoubtShowsTooEarly,
    RefusedApplies,
    Torn,
    LostWakeUp,
    NoTimeout,
    WatchOnce,
    ClaimsToOutlive,
    HalfWhenDropped,
    AllAreDead,
    RegressesInSilence,
    FoldsCase,
    CutsKeys,
    BytesAsText,
    CutsRecords,
    EndsByWallClock,
    NewestByWallClock,
    QuotesSecrets,
    DamageIsAbsence,
    SetsAllAside,
    RemovesThenWrites,
    ListsOnePage,
    ListsFoldedKeys,
    ListsByPosition,
}

impl Flaw {
    pub(crate) fn data(self) -> Arc<Data> {
        Arc::new(Data {
            flaw: self,
            entries: Mutex::default(),
            swapping: Mutex::default(),
            sequence: AtomicI64::new(0),
            before: Mutex::default(),
            failing: Mutex::default(),
            damaged: Mutex::default(),
            wall: AtomicI64::new(1_700_000_000),
            watching: AtomicBool::new(false),
            written: Notify::new(),
        })
    }
}

#[derive(Clone)]
struct Entry {
    key: StoreKey,
    record: Versioned,
    wall: i64,
    sequence: i64,
}

pub(crate) struct Data {
    flaw: Flaw,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Held from the last look at a record until what replaces it is written.
    swapping: Mutex<()>,
    sequence: AtomicI64,
    before: Mutex<BTreeMap<String, Entry>>,
    failing: Mutex<Option<StoreErrorKind>>,
    damaged: Mutex<BTreeSet<String>>,
    wall: AtomicI64,
    watching: AtomicBool,
    written: Notify,
}

pub(crate) struct Wrong(pub(crate) Arc<Data>);

pub(crate) struct Client {
    data: Arc<Data>,
    cache: Mutex<BTreeMap<String, Versioned>>,
}

impl Subject for Wrong {
    type Store = Client;

    async fn client(&self) -> Client {
        Client { data: Arc::clone(&self.0), cache: Mutex::default() }
    }

    fn fail(&self, kind: StoreErrorKind) -> bool {
        *self.0.failing.lock().unwrap() = Some(kind);
        true
    }

    fn recover(&self) {
        *self.0.failing.lock().unwrap() = None;
    }

    fn damage(&self, key: &StoreKey) -> bool {
        self.0.damaged.lock().unwrap().insert(self.0.name(key))
    }

    fn jump_clock(&self, seconds: i64) -> bool {
        self.0.wall.fetch_add(seconds, Ordering::Relaxed);
        true
    }

    fn regress(&self) -> bool {
        if self.0.flaw == Flaw::RegressesInSilence {
            *self.0.entries.lock().unwrap() = self.0.before.lock().unwrap().clone();
        }
        self.0.flaw == Flaw::RegressesInSilence
    }
}

impl Data {
    fn name(&self, key: &StoreKey) -> String {
        let key = key.as_str();
        match self.flaw {
            Flaw::FoldsCase => key.to_lowercase(),
            Flaw::CutsKeys => key.chars().take(64).collect(),
            _ => key.to_owned(),
        }
    }

    fn get(&self, key: &StoreKey) -> Option<Versioned> {
        let entries = self.entries.lock().unwrap();
        let entry = entries.get(&self.name(key))?;
        let age = self.wall.load(Ordering::Relaxed) - entry.wall;
        if self.flaw == Flaw::EndsByWallClock && age > HALF_AN_HOUR {
            return None;
        }
        Some(entry.record.clone())
    }

    fn put(&self, key: &StoreKey, record: Versioned) {
        let mut entries = self.entries.lock().unwrap();
        *self.before.lock().unwrap() = entries.clone();
        let wall = self.wall.load(Ordering::Relaxed);
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let entry = Entry { key: key.clone(), record, wall, sequence };
        entries.insert(self.name(key), entry);
    }

    fn met(&self, key: &StoreKey, expect: Expect) -> bool {
        let current = self.get(key);
        if self.flaw == Flaw::NewestByWallClock {
            let newest = self.entries.lock().unwrap().get(&self.name(key)).map(|entry| entry.wall);
            if newest.is_some_and(|newest| newest > self.wall.load(Ordering::Relaxed)) {
                return false;
            }
        }
        match expect {
            Expect::Absent => current.is_none() || self.flaw == Flaw::AbsentReplaces,
            Expect::Is(stamp) => current.is_some_and(|record| record.stamp() == stamp),
        }
    }

    fn corrupt(&self, key: &StoreKey) -> Option<StoreError> {
        let damaged = self.damaged.lock().unwrap().contains(&self.name(key));
        (damaged && self.flaw != Flaw::DamageIsAbsence).then(|| {
            let said = match self.flaw {
                Flaw::QuotesSecrets => format!("cannot parse {:?}", self.get(key).unwrap().bytes()),
                _ => "cannot be read".to_owned(),
            };
            StoreError::new(StoreErrorKind::Corrupt, said)
        })
    }

    /// As it comes back.
    fn kept(&self, new: &Versioned) -> Versioned {
        let bytes = match self.flaw {
            Flaw::BytesAsText => Bytes::from(String::from_utf8_lossy(new.bytes()).into_owned()),
            Flaw::CutsRecords => new.bytes().slice(..new.bytes().len().min(65_535)),
            _ => new.bytes().clone(),
        };
        Versioned::new(new.stamp(), bytes)
    }
}

fn half(record: &Versioned) -> Versioned {
    Versioned::new(record.stamp(), record.bytes().slice(..record.bytes().len() / 2))
}

impl TokenStore for Client {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.outlives_process = self.data.flaw == Flaw::ClaimsToOutlive;
        capabilities
    }

    async fn load(&self, key: &StoreKey) -> Result<Option<(Versioned, Provenance)>, StoreError> {
        if let Some(error) = self.data.corrupt(key) {
            return Err(error);
        }
        if self.data.damaged.lock().unwrap().contains(&self.data.name(key)) {
            return Ok(None);
        }
        let mut found = self.data.get(key);
        if self.data.flaw == Flaw::StaleCache
            && let Some(new) = found
        {
            let mut cache = self.cache.lock().unwrap();
            found = Some(cache.entry(self.data.name(key)).or_insert(new).clone());
        }
        Ok(found.map(|record| (record, Provenance::default())))
    }

    async fn compare_and_swap(
        &self,
        key: &StoreKey,
        expect: Expect,
        new: &Versioned,
        _: Durability,
    ) -> Result<Swap, StoreError> {
        let (data, flaw) = (&*self.data, self.data.flaw);
        if let Some(error) = data.corrupt(key) {
            return Err(error);
        }
        let failing = *data.failing.lock().unwrap();
        if let Some(kind) = failing {
            match (kind, flaw, data.get(key)) {
                (StoreErrorKind::Indeterminate, Flaw::DoubtMixes, Some(old)) => {
                    data.put(key, Versioned::new(new.stamp(), old.bytes().clone()));
                }
                // In doubt, and shown to who loads, but not to who swaps.
                (StoreErrorKind::Indeterminate, Flaw::DoubtShowsTooEarly, _) => {}
                (StoreErrorKind::Indeterminate, ..) if data.met(key, expect) => {
                    data.put(key, data.kept(new))
                }
                (StoreErrorKind::Refused, Flaw::RefusedApplies, _) => data.put(key, data.kept(new)),
                _ => {}
            }
            return Err(StoreError::new(kind, "told to fail"));
        }
        let mut met = data.met(key, expect);
        if flaw == Flaw::TwoWinners {
            tokio::time::sleep(Duration::from_millis(1)).await;
        } else if flaw == Flaw::DoubtShowsTooEarly && data.sequence.load(Ordering::Relaxed) > 0 {
            met = false;
        }
        if !met {
            return Ok(Swap::Lost(data.get(key).filter(|_| flaw != Flaw::LostTellsNothing)));
        }
        if matches!(flaw, Flaw::Torn | Flaw::HalfWhenDropped) {
            data.put(key, half(new));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        // Looked at again by all but the one that is to be wrong about it.
        let _swapping = data.swapping.lock().unwrap();
        if !matches!(flaw, Flaw::TwoWinners | Flaw::Torn | Flaw::HalfWhenDropped)
            && !data.met(key, expect)
        {
            return Ok(Swap::Lost(data.get(key)));
        }
        data.put(key, data.kept(new));
        data.written.notify_waiters();
        Ok(Swap::Won { durable: true, replaced: Provenance::default() })
    }

    async fn set_aside(
        &self,
        key: &StoreKey,
        unreadable: Option<Stamp>,
        new: &Versioned,
    ) -> Result<Option<String>, StoreError> {
        let (data, name) = (&*self.data, self.data.name(key));
        let found = match unreadable {
            None => data.damaged.lock().unwrap().remove(&name),
            Some(stamp) => data.met(key, Expect::Is(stamp)),
        };
        if !found && data.flaw != Flaw::SetsAllAside {
            return Ok(None);
        }
        if data.flaw == Flaw::RemovesThenWrites {
            data.entries.lock().unwrap().remove(&name);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        data.put(key, data.kept(new));
        Ok(Some("elsewhere".to_owned()))
    }

    async fn changed(
        &self,
        key: &StoreKey,
        since: Option<Stamp>,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let flaw = self.data.flaw;
        let deaf = flaw == Flaw::WatchOnce && self.data.watching.swap(true, Ordering::Relaxed);
        let change = async {
            loop {
                let mut written = std::pin::pin!(self.data.written.notified());
                written.as_mut().enable();
                if flaw == Flaw::LostWakeUp {
                    return written.await;
                }
                if !deaf && self.data.get(key).map(|record| record.stamp()) != since {
                    return;
                }
                written.await;
            }
        };
        if flaw == Flaw::NoTimeout {
            change.await;
        } else {
            let _ = tokio::time::timeout(timeout, change).await;
        }
        self.data.watching.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn holder(&self, _: &StoreKey, _: Stamp) -> Liveness {
        if self.data.flaw == Flaw::AllAreDead { Liveness::Dead } else { Liveness::Unknown }
    }

    async fn list(&self, after: Option<Cursor>) -> Result<Page, StoreError> {
        let flaw = self.data.flaw;
        let mut entries: Vec<Entry> = self.data.entries.lock().unwrap().values().cloned().collect();
        let start = match &after {
            None => 0,
            Some(cursor) if flaw == Flaw::ListsByPosition => cursor.as_str().parse().unwrap(),
            Some(cursor) => entries.partition_point(|entry| entry.key.as_str() <= cursor.as_str()),
        };
        if flaw == Flaw::ListsByPosition {
            entries.sort_by_key(|entry| entry.sequence);
        }
        let page: Vec<&Entry> = entries.iter().skip(start).take(PAGE).collect();
        let more = start + page.len() < entries.len() && flaw != Flaw::ListsOnePage;
        let next = page.last().filter(|_| more).map(|last| match flaw {
            Flaw::ListsByPosition => Cursor::new((start + PAGE).to_string()),
            _ => Cursor::new(last.key.as_str()),
        });
        let shown = |entry: &&Entry| match flaw {
            Flaw::ListsFoldedKeys => {
                entry.key.as_str().to_lowercase().replace("%2f", "%2F").parse().unwrap()
            }
            _ => entry.key.clone(),
        };
        Ok(Page::new(page.iter().map(shown).collect(), next))
    }
}
