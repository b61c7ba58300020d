//! What is logged, as much as there is: at `TRACE`, with the spans, that of the `log` crate as well.

use std::cell::RefCell;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, Once, PoisonError};

use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

std::thread_local! {
    static OF_THIS_THREAD: RefCell<Option<Log>> = const { RefCell::new(None) };
}

/// A log in memory.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What all threads log from now on.
    ///
    /// # Panics
    ///
    /// The process has a subscriber already.
    pub fn of_this_process() -> Self {
        let log = Self::default();
        let all = log.clone();
        install(move || Some(all.clone()));
        log
    }

    /// What this thread logs from now on. The subscriber is the process's: what threads without one ask for first would
    /// else count as unwanted for all.
    ///
    /// # Panics
    ///
    /// The process has another subscriber.
    pub fn of_this_thread() -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| install(|| OF_THIS_THREAD.with_borrow(Option::clone)));
        let log = Self::default();
        OF_THIS_THREAD.set(Some(log.clone()));
        log
    }

    /// All that was logged so far.
    ///
    /// # Panics
    ///
    /// It is no text.
    pub fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).expect("text")
    }
}

fn install(log: impl Fn() -> Option<Log> + Clone + Send + Sync + 'static) {
    let wanted = log.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || Writer(log()))
        // Others need not even be put into words.
        .with_filter(dynamic_filter_fn(move |_, _| wanted().is_some()));
    tracing_subscriber::registry().with(lines).init();
}

struct Writer(Option<Log>);

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(Log(log)) => log.lock().unwrap_or_else(PoisonError::into_inner).write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
