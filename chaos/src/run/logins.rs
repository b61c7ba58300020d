//! Logs a grant in again when its record says that it is dead, and looks at the records meanwhile.

use std::time::Duration;

use token_core::TokenKey;
use token_core::store::{StoreKey, TokenStore};
use tokio::runtime::Runtime;

use crate::record::{Record, State};
use crate::replica::name;
use crate::time::At;

/// A login that nobody has acknowledged for so long is made again, with new tokens.
const PATIENCE: Duration = Duration::from_secs(4);

pub(super) struct Logins<S> {
    store: S,
    keys: Vec<StoreKey>,
    /// Which process was given the login of which grant, and when.
    pending: Vec<Option<(u32, At)>>,
    next: usize,
}

impl<S: TokenStore> Logins<S> {
    pub(super) fn new(store: S, grants: u32) -> Result<Self, token_core::ConfigError> {
        let keys = (0..grants)
            .map(|grant| TokenKey::new(name(grant)).map(|key| StoreKey::from(&key)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { store, pending: vec![None; keys.len()], keys, next: 0 })
    }

    /// Looks at the next grant, and names it if somebody has to log in.
    pub(super) fn look(
        &mut self,
        runtime: &Runtime,
        now: At,
        lives: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let place = self.next;
        self.next = (place + 1) % self.keys.len();
        let waits = |(process, since): (u32, At)| lives(process) && now.since(since) < PATIENCE;
        if self.pending[place].is_some_and(waits) {
            return None;
        }
        let dead = match runtime.block_on(self.store.load(&self.keys[place])) {
            Ok(None) => true,
            Ok(Some((versioned, _))) => {
                Record::read(versioned.bytes()).is_ok_and(|record| record.state == State::Dead)
            }
            Err(_) => false,
        };
        dead.then(|| u32::try_from(place).unwrap_or_default())
    }

    pub(super) fn given(&mut self, grant: u32, to: u32, now: At) {
        self.pending[grant as usize] = Some((to, now));
    }

    pub(super) fn acknowledged(&mut self, grant: u32) {
        self.pending[grant as usize] = None;
    }

    /// The last record of each grant: its write, and what it holds.
    pub(super) fn last(
        &self,
        runtime: &Runtime,
    ) -> Vec<Result<Option<token_core::store::Versioned>, String>> {
        let load = |key| {
            let loaded =
                runtime.block_on(self.store.load(key)).map_err(|error| error.to_string())?;
            Ok(loaded.map(|(versioned, _)| versioned))
        };
        self.keys.iter().map(load).collect()
    }
}
