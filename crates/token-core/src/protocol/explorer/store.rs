//! The real memory store, without its futures: a clone goes ways of its own.

use std::fmt::Debug;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::key::{StoreKey, TokenKey};
use crate::protocol::action::Swapped;
use crate::protocol::replica::{History, Stored};
use crate::record::Record;
use crate::store::{Durability, Expect, MemoryStore, Stamp, Swap, TokenStore, Versioned};

#[derive(Debug)]
pub(super) struct Store {
    memory: MemoryStore,
    key: StoreKey,
}

impl Store {
    pub(super) fn new() -> Self {
        let key = TokenKey::new("explored").unwrap().to_store_key();
        Self { memory: MemoryStore::new(), key }
    }

    pub(super) fn swap(&self, expect: Expect, stamp: Stamp, record: &Record) -> Swapped {
        let new = Versioned::new(stamp, record.encode(&self.key));
        match ready(self.memory.compare_and_swap(&self.key, expect, &new, Durability::Durable))
            .unwrap()
        {
            Swap::Won { .. } => Swapped::Won { durable: true, history: History::Unbroken },
            Swap::Lost(_) => Swapped::Lost(self.stored()),
        }
    }

    pub(super) fn stored(&self) -> Option<Stored> {
        let (versioned, _) = ready(self.memory.load(&self.key)).unwrap()?;
        let record = Record::decode(versioned.bytes(), &self.key).unwrap();
        Some(Stored { stamp: versioned.stamp(), record, history: History::Unbroken })
    }
}

impl Clone for Store {
    fn clone(&self) -> Self {
        Self { memory: self.memory.fork(), key: self.key.clone() }
    }
}

/// The output of a future that never waits, as those of a memory store do not.
fn ready<F: Future<Output: Debug>>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a memory store answers at once"),
    }
}
