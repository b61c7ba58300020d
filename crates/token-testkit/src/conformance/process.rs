//! Processes that write until they are killed, and the side of the suite that starts them.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use token_core::store::{Durability, Expect, Stamp, Swap, TokenStore};

use super::Violation;
use super::record::{fresh, key};

/// Names the key, and before it what to do.
const ROLE: &str = "TOKEN_TESTKIT_CONFORMANCE";

/// Lines of the protocol begin with it; test harnesses print others.
const MARK: &str = "@conformance ";

/// How long a process may take to begin.
const START: Duration = Duration::from_secs(60);

/// Whether this process is one that the suite has started: then give its client of the store to [`write_until_killed`].
pub fn started_by_the_suite() -> bool {
    std::env::var_os(ROLE).is_some()
}

/// Writes, and tells the suite about each write, until the suite kills this process or is gone itself. Returns at once in
/// a process that the suite has not [started](started_by_the_suite).
///
/// A test binary can start itself, with `["--exact", "process", "--nocapture"]` and the place of the data in the
/// environment, for a test `process` that does nothing in an ordinary run.
pub fn write_until_killed(store: &impl TokenStore) {
    let Ok(role) = std::env::var(ROLE) else { return };
    thread::spawn(|| {
        // It ends with the suite, which never writes to it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let (once, name) = match role.split_once(' ') {
        Some(("once", name)) => (true, name),
        Some((_, name)) => (false, name),
        None => return,
    };
    let key = key(name);
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return println!("{MARK}error no runtime: {error}"),
        };
    runtime.block_on(async {
        let mut expect = None;
        loop {
            let expected = match expect.take() {
                Some(expect) => expect,
                None => match store.load(&key).await {
                    Ok(current) => {
                        current.map_or(Expect::Absent, |(record, _)| Expect::Is(record.stamp()))
                    }
                    Err(error) => {
                        println!("{MARK}error load: {error}");
                        continue;
                    }
                },
            };
            let new = fresh();
            println!("{MARK}try {} {}", text(expected), new.stamp());
            match store.compare_and_swap(&key, expected, &new, Durability::Durable).await {
                Ok(Swap::Won { durable, .. }) => {
                    println!("{MARK}won {} {} {durable}", text(expected), new.stamp());
                    if once {
                        std::future::pending::<()>().await;
                    }
                }
                Ok(Swap::Lost(current)) => {
                    expect =
                        Some(current.map_or(Expect::Absent, |record| Expect::Is(record.stamp())));
                }
                Err(error) => println!("{MARK}error {:?}: {error}", error.kind()),
            }
        }
    });
}

fn text(expect: Expect) -> String {
    match expect {
        Expect::Absent => "absent".to_owned(),
        Expect::Is(stamp) => stamp.to_string(),
    }
}

/// What a process has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It is about to replace one by the other.
    Try(Option<Stamp>, Stamp),
    /// It has.
    Won(Option<Stamp>, Stamp),
}

/// How many writes were acknowledged.
pub(super) fn won(told: &[Told]) -> usize {
    told.iter().filter(|told| matches!(told, Told::Won(..))).count()
}

#[derive(Default)]
struct Log {
    told: Vec<Told>,
    errors: Vec<String>,
}

/// A process under the suite. Dropping it kills it.
pub(super) struct Writer {
    child: Child,
    log: Arc<Mutex<Log>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(mut command: Command, once: bool, name: &str) -> Result<Self, Violation> {
        let role = format!("{} {name}", if once { "once" } else { "always" });
        let failed =
            |error| Violation::new(format!("the subject's process does not start: {error}"));
        let mut child = command
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(failed)?;
        let log = Arc::new(Mutex::new(Log::default()));
        let output = child.stdout.take();
        let into = Arc::clone(&log);
        let reader = thread::spawn(move || {
            let Some(output) = output else { return };
            let mut output = BufReader::new(output);
            let mut line = String::new();
            // A kill may leave a last line that is not whole.
            while output.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
                into.lock().unwrap_or_else(PoisonError::into_inner).take_in(&line);
                line.clear();
            }
        });
        Ok(Self { child, log, reader: Some(reader) })
    }

    /// Waits until the process has told something that this is true of.
    pub(super) async fn until(&self, wanted: impl Fn(&[Told]) -> bool) -> Result<(), Violation> {
        let start = Instant::now();
        while !wanted(&self.log().told) {
            if start.elapsed() > START {
                let errors = self.log().errors.join("; ");
                return Err(Violation::new(format!(
                    "the subject's process has not written within {START:?}: does it call `write_until_killed`? {errors}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// How many of its writes were acknowledged.
    pub(super) fn won(&self) -> usize {
        won(&self.log().told)
    }

    /// Kills it as `kill -9` does, and returns all that it told and which operations failed.
    pub(super) fn kill(mut self) -> (Vec<Told>, Vec<String>) {
        self.end();
        let mut log = self.log();
        (std::mem::take(&mut log.told), std::mem::take(&mut log.errors))
    }

    fn end(&mut self) {
        // It fails only if the process is gone already, and waiting then returns at once.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

impl Log {
    fn take_in(&mut self, line: &str) {
        let Some((_, told)) = line.trim_end().split_once(MARK) else { return };
        let mut words = told.split(' ');
        let what = words.next();
        let mut stamp = || words.next().map(|word| word.parse::<Stamp>().ok());
        match (what, stamp(), stamp()) {
            (Some("try"), Some(old), Some(Some(new))) => self.told.push(Told::Try(old, new)),
            (Some("won"), Some(old), Some(Some(new))) => self.told.push(Told::Won(old, new)),
            _ => self.errors.push(told.to_owned()),
        }
    }
}
