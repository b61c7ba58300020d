//! A disk that fails at each step.

use std::io;
use std::sync::Mutex;

use crate::directory::Step;

/// The error that a step ends with, once.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<Option<(Step, i32)>>);

impl Faults {
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

mod aside;
mod disk;
#[cfg(unix)]
mod intruders;
mod waiting;
