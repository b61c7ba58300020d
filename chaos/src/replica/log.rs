//! The pipe to the parent. What was written before `kill -9` is in it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use crate::history::{Entry, What};
use crate::time::At;

/// Writes entries to standard output. Each is one `write` of less than `PIPE_BUF` bytes: there as a whole or not at all.
pub(super) struct Log {
    pipe: Mutex<File>,
}

impl Log {
    pub(super) fn on_stdout() -> io::Result<Self> {
        let pipe = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        Ok(Self { pipe: Mutex::new(pipe) })
    }

    pub(super) fn write(&self, grant: Option<u32>, what: What) {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        // Within the lock, so that the lines of a process are in the order of their times.
        let entry = Entry { at: At::now(), process: 0, grant, what };
        let Ok(mut line) = serde_json::to_vec(&entry) else { return };
        line.push(b'\n');
        if pipe.write_all(&line).is_err() {
            // Nobody listens any more: the run is over.
            std::process::exit(0);
        }
    }
}
