//! Looks at the records, and asks for a login where one is dead, or where the store has had none for long.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::time::Duration;

use token_core::TokenKey;
use token_core::store::{StoreKey, TokenStore as _, Versioned};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::record::{Record, State, Version};
use crate::replica::name;
use crate::stores::{Open, Stores, place_of};
use crate::time::{At, FORGOTTEN, STORE_DEADLINE};

use super::Message;

/// A login that nobody has acknowledged for so long is made again, with new tokens.
const PATIENCE: Duration = Duration::from_secs(4);

const PAUSE: Duration = Duration::from_millis(10);

pub(super) struct Logins {
    stores: Stores,
    grants: u32,
    /// Which process was given the login of which grant, and when.
    pending: HashMap<u32, (u32, At)>,
    looks: Vec<JoinHandle<()>>,
}

impl Logins {
    /// Begins to look at the records of so many grants.
    pub(super) fn start<S: Open>(
        stores: Stores,
        grants: u32,
        runtime: &Runtime,
        to: &Sender<Message>,
    ) -> Result<Self, token_core::ConfigError> {
        let mut looks = Vec::new();
        for place in 0..stores.places() {
            let own = (0..grants).filter(|grant| place_of(*grant, stores.places()) == place);
            let own = own.map(|grant| Ok((grant, store_key(grant)?))).collect::<Result<_, _>>()?;
            let (stores, to) = (stores.clone(), to.clone());
            looks.push(runtime.spawn(look::<S>(place, stores, own, to)));
        }
        Ok(Self { stores, grants, pending: HashMap::new(), looks })
    }

    /// Whether somebody is to log in now: nobody else who lives has been told to a moment ago.
    pub(super) fn is_due(&self, grant: u32, now: At, lives: impl Fn(u32) -> bool) -> bool {
        let waits = |(process, since): &(u32, At)| lives(*process) && now.since(*since) < PATIENCE;
        !self.pending.get(&grant).is_some_and(waits)
    }

    pub(super) fn given(&mut self, grant: u32, to: u32, now: At) {
        self.pending.insert(grant, (to, now));
    }

    pub(super) fn acknowledged(&mut self, grant: u32) {
        self.pending.remove(&grant);
    }

    /// The last record of each grant.
    pub(super) fn last<S: Open>(
        &mut self,
        runtime: &Runtime,
    ) -> Vec<(u32, Result<Option<Versioned>, String>)> {
        self.looks.drain(..).for_each(|look| look.abort());
        let stores = &self.stores;
        let load = |grant| async move {
            let key = store_key(grant).map_err(|error| error.to_string())?;
            let place = place_of(grant, stores.places());
            let opened = timeout(STORE_DEADLINE, stores.open::<S>(place)).await;
            let store = opened.map_err(|_| "its place is out of reach".to_owned())?;
            let loaded = store.load(&key).await.map_err(|error| error.to_string())?;
            Ok(loaded.map(|(versioned, _)| versioned))
        };
        (0..self.grants).map(|grant| (grant, runtime.block_on(load(grant)))).collect()
    }
}

fn store_key(grant: u32) -> Result<StoreKey, token_core::ConfigError> {
    Ok(StoreKey::from(&TokenKey::new(name(grant))?))
}

/// Looks at the grants of a place in turn, for ever.
async fn look<S: Open>(
    place: u32,
    stores: Stores,
    grants: Vec<(u32, StoreKey)>,
    to: Sender<Message>,
) {
    let store = stores.open::<S>(place).await;
    let mut seen: HashMap<u32, Seen> = HashMap::new();
    loop {
        for (grant, key) in &grants {
            sleep(PAUSE).await;
            let now = At::now();
            let loaded = timeout(STORE_DEADLINE, store.load(key)).await;
            let seen = seen.entry(*grant).or_default();
            let Ok(Ok(loaded)) = loaded else {
                seen.nothing(now);
                continue;
            };
            let record = loaded.and_then(|(found, _)| Record::read(found.bytes()).ok());
            if let Some(Needed { forgotten }) = seen.record(now, record)
                && to.send(Message::LoginNeeded { grant: *grant, forgotten }).is_err()
            {
                return;
            }
        }
    }
}

/// What a store has shown of a grant.
#[derive(Default)]
struct Seen {
    highest: Option<Version>,
    gone: Option<Gone>,
}

/// The highest version is there no more.
#[derive(Clone, Copy)]
struct Gone {
    since: At,
    /// For how long the store has answered since then: whoever knows the version gets this time to bring it back.
    answered: Duration,
    looked: At,
}

/// Somebody is to log in. `forgotten`: the version that was there is gone, since then.
#[derive(Debug, PartialEq, Eq)]
struct Needed {
    forgotten: Option<(Version, At)>,
}

impl Seen {
    /// The store does not answer: this time is nobody's.
    fn nothing(&mut self, now: At) {
        if let Some(gone) = &mut self.gone {
            gone.looked = now;
        }
    }

    /// The store has this record, or none.
    fn record(&mut self, now: At, record: Option<Record>) -> Option<Needed> {
        let version = record.map(|record| record.version);
        let dead = record.is_none_or(|record| record.state == State::Dead);
        let Some(forgotten) = self.highest.filter(|highest| version < Some(*highest)) else {
            self.gone = None;
            self.highest = version;
            return dead.then_some(Needed { forgotten: None });
        };
        if !dead {
            return None;
        }
        let new = Gone { since: now, answered: Duration::ZERO, looked: now };
        let gone = self.gone.get_or_insert(new);
        gone.answered += now.since(gone.looked);
        gone.looked = now;
        let forgotten = Some((forgotten, gone.since));
        (gone.answered >= FORGOTTEN).then_some(Needed { forgotten })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record { version: Version(1, 1), state: State::Idle, refresh: None };
    const DEAD: Record = Record { state: State::Dead, ..RECORD };
    const AT_ONCE: Option<Needed> = Some(Needed { forgotten: None });

    fn at(seconds: u64) -> At {
        At(0).after(Duration::from_secs(seconds))
    }

    fn forgotten(since: u64) -> Option<Needed> {
        Some(Needed { forgotten: Some((RECORD.version, at(since))) })
    }

    #[test]
    fn who_is_dead_or_was_never_there_is_logged_in_at_once() {
        assert_eq!(Seen::default().record(at(1), None), AT_ONCE);
        assert_eq!(Seen::default().record(at(1), Some(RECORD)), None);
        let mut seen = Seen::default();
        seen.record(at(1), Some(RECORD));
        assert_eq!(seen.record(at(2), Some(DEAD)), AT_ONCE);
    }

    #[test]
    fn what_is_gone_is_waited_for_as_long_as_the_store_answers() {
        let mut seen = Seen::default();
        seen.record(at(1), Some(RECORD));
        assert_eq!(seen.record(at(2), None), None);
        assert_eq!(seen.record(at(6), None), None);
        seen.nothing(at(7));
        assert_eq!(seen.record(at(8), None), forgotten(2), "since then it has answered for 5 s");
        let mut seen = Seen::default();
        seen.record(at(1), Some(RECORD));
        seen.record(at(2), None);
        seen.nothing(at(6));
        assert_eq!(seen.record(at(7), None), None, "it has answered for 1 s");
    }

    #[test]
    fn what_comes_back_is_forgotten_no_more() {
        let mut seen = Seen::default();
        seen.record(at(1), Some(RECORD));
        seen.record(at(2), None);
        seen.record(at(3), Some(RECORD));
        assert_eq!(seen.record(at(9), None), None, "it begins anew");
        let older = Record { version: Version(1, 0), ..RECORD };
        assert_eq!(seen.record(at(20), Some(older)), None, "it is refreshed, or brought back");
        let older = Record { state: State::Dead, ..older };
        assert_eq!(seen.record(at(21), Some(older)), forgotten(9));
    }
}
