//! What the tests share: a disk that fails at a step, and the grant.

use std::io;
use std::sync::Mutex;

use bytes::Bytes;
use token_core::TokenKey;
use token_core::store::{Stamp, StoreKey, Versioned};

use crate::directory::Step;

/// The error that a step ends with, once.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Option<(Step, i32)>>);

impl Faults {
    #[cfg(unix)]
    pub(crate) fn set(&self, fault: Option<(Step, i32)>) {
        *self.0.lock().unwrap() = fault;
    }

    pub(crate) fn trip(&self, step: Step) -> io::Result<()> {
        match *self.0.lock().unwrap() {
            Some((at, code)) if at == step => Err(io::Error::from_raw_os_error(code)),
            _ => Ok(()),
        }
    }
}

/// Held to start a process, and shared by who needs a lock to end with its file: until it runs its own program, a new process has
/// this one's open files, and with them their locks.
#[cfg(unix)]
static STARTING: tokio::sync::RwLock<()> = tokio::sync::RwLock::const_new(());

fn key() -> StoreKey {
    StoreKey::from(&TokenKey::new("grant").unwrap())
}

fn record() -> Versioned {
    Versioned::new(Stamp::random(), Bytes::from_static(b"{}"))
}

mod aside;
#[cfg(unix)]
mod disk;
#[cfg(unix)]
mod intruders;
mod waiting;
