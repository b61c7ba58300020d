//! Looks at the records, and asks for a login where one is dead, or where the store has had none for long.

use std::collections::HashMap;
use std::sync::mpsc::Sender;
use std::time::Duration;

use token_core::TokenKey;
use token_core::store::{StoreKey, Versioned};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::record::{Record, State, Version};
use crate::replica::name;
use crate::stores::{Open, Stores};
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
            let own = (0..grants).filter(|grant| stores.place_of(*grant) == place);
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
            let opened = timeout(STORE_DEADLINE, stores.open::<S>(stores.place_of(grant))).await;
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

/// What a store showed of a grant, and shows no more.
#[derive(Clone, Copy)]
struct Gone {
    since: At,
    /// For how long it has answered since then: whoever knows it gets this time to bring it back.
    answered: Duration,
    looked: At,
}

/// Looks at the grants of a place in turn, for ever.
async fn look<S: Open>(
    place: usize,
    stores: Stores,
    grants: Vec<(u32, StoreKey)>,
    to: Sender<Message>,
) {
    let store: S = stores.open(place).await;
    let mut highest: HashMap<u32, Version> = HashMap::new();
    let mut gone: HashMap<u32, Gone> = HashMap::new();
    loop {
        for (grant, key) in &grants {
            sleep(PAUSE).await;
            let now = At::now();
            let Ok(Ok(loaded)) = timeout(STORE_DEADLINE, store.load(key)).await else {
                gone.entry(*grant).and_modify(|gone| gone.looked = now);
                continue;
            };
            let record = loaded.and_then(|(found, _)| Record::read(found.bytes()).ok());
            let known = highest.get(grant).copied();
            let (dead, version) = match record {
                Some(record) => (record.state == State::Dead, Some(record.version)),
                None => (true, None),
            };
            let forgotten = known.filter(|_| version < known);
            if forgotten.is_none() {
                gone.remove(grant);
                highest.extend(version.map(|version| (*grant, version)));
            }
            if !dead {
                continue;
            }
            let mut forgotten_since = None;
            if let Some(version) = forgotten {
                let new = Gone { since: now, answered: Duration::ZERO, looked: now };
                let gone = gone.entry(*grant).or_insert(new);
                gone.answered += now.since(gone.looked);
                gone.looked = now;
                if gone.answered < FORGOTTEN {
                    continue;
                }
                forgotten_since = Some((version, gone.since));
            }
            let needed = Message::LoginNeeded { grant: *grant, forgotten: forgotten_since };
            if to.send(needed).is_err() {
                return;
            }
        }
    }
}
