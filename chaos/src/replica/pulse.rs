//! Tells when the machine gave this process no time: it stood still then, as one that is stopped does.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::history::What;
use crate::time::{At, LATE};

use super::log::Log;

const BEAT: Duration = Duration::from_millis(20);

/// Begins to watch, in a thread of its own: one of the runtime's would take a refresh that blocks it for a busy machine.
pub(super) fn watch(log: &Arc<Log>) {
    let log = Arc::clone(log);
    thread::spawn(move || {
        let mut last = At::now();
        loop {
            thread::sleep(BEAT);
            let now = At::now();
            if now.since(last) > BEAT + LATE {
                log.write(None, What::Starved { since: last });
            }
            last = At::now();
        }
    });
}
