//! Processes that are killed while they write.

use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use token_core::store::{Expect, Liveness, Stamp, StoreKey, TokenStore, Versioned};

use super::process::{Told, Writer, won};
use super::record::{expect, fresh, is_whole, key, load, swap, win};
use super::{Checked, Subject, Verdict, Violation, demand};

/// C7. Whoever reads sees whole records only, while others write and while they are killed.
pub async fn c07_no_torn_record<S: Subject>(subject: &S) -> Verdict {
    let key = key("c07");
    let stores = [subject.client().await, subject.client().await].map(Arc::new);
    win(&*stores[0], &key, Expect::Absent, &fresh()).await?;
    let readers: Vec<_> = [(); 2].map(|()| Reader::start(subject, &key)).into_iter().collect();
    let mut running = Vec::new();
    for reader in readers {
        running.push(reader.await);
    }
    let mut current: Option<Versioned> = load(&*stores[0], &key).await?;
    for n in 0..200 {
        let new = fresh();
        win(&*stores[n % 2], &key, expect(current.as_ref()), &new).await?;
        current = Some(new);
        tokio::task::yield_now().await;
    }
    for reader in running {
        reader.stop().await?;
    }
    if subject.process().is_some() {
        Storm::new(20).run(subject).await?;
    }
    Ok(Checked::Whole)
}

/// C10. What was won is there after the process was killed, however soon; else a spent refresh token is presented again.
/// Power loss is not tested.
pub async fn c10_what_was_won_survives_a_kill<S: Subject>(subject: &S) -> Verdict {
    let Some(command) = process_of(subject).await? else {
        return Ok(Checked::Without("kills: the records do not outlive the process"));
    };
    let key = key("c10");
    let store = subject.client().await;
    let again = || subject.process().ok_or_else(|| Violation::new("there is no process any more"));
    let mut command = Some(command);
    for _ in 0..10 {
        let next = match command.take() {
            Some(command) => command,
            None => again()?,
        };
        let writer = Writer::start(next, true, "c10")?;
        writer.until(|told| won(told) > 0).await?;
        let (told, _) = writer.kill();
        let found = load(&store, &key).await?;
        let won = told.iter().find_map(|told| match told {
            Told::Won(_, new) => Some(*new),
            Told::Try(..) => None,
        });
        demand!(
            found.as_ref().map(Versioned::stamp) == won,
            "{won:?} was won, its process was killed, and {found:?} is there"
        );
    }
    Storm::new(20).run(subject).await?;
    Ok(Checked::Whole)
}

/// C12. `holder` says dead only of a process that is gone; else two present one refresh token. A store that claims to
/// tell does so at once.
pub async fn c12_only_the_dead_are_dead<S: Subject>(subject: &S) -> Verdict {
    let (store, other) = (subject.client().await, subject.client().await);
    let key = key("c12");
    let tells = store.capabilities().tells_dead_holder;
    let own = fresh();
    win(&store, &key, Expect::Absent, &own).await?;
    for attempt in [own.stamp(), Stamp::random()] {
        for asked in [&store, &other] {
            let liveness = asked.holder(&key, attempt).await;
            demand!(
                liveness != Liveness::Dead,
                "a client that is alive, or nobody, is taken for dead"
            );
        }
    }
    let unwritten = other.holder(&super::record::key("c12-unwritten"), Stamp::random()).await;
    demand!(unwritten != Liveness::Dead, "the holder of what nobody wrote is dead");
    let Some(command) = process_of(subject).await? else {
        demand!(!tells, "the store tells of dead holders: implement `Subject::process`");
        return Ok(Checked::Without("dead processes: the records do not outlive the process"));
    };
    let writer = Writer::start(command, true, "c12")?;
    writer.until(|told| won(told) > 0).await?;
    let Some(record) = load(&other, &key).await? else {
        return Err(Violation::new("the record is gone"));
    };
    let alive = other.holder(&key, record.stamp()).await;
    demand!(alive != Liveness::Dead, "a process that is alive is taken for dead");
    demand!(
        !tells || alive == Liveness::Alive,
        "the store claims to tell, and says {alive:?} of a live process"
    );
    let (told, _) = writer.kill();
    demand!(
        told.iter().any(|told| matches!(told, Told::Won(_, new) if *new == record.stamp())),
        "somebody else wrote {record:?}"
    );
    let dead = other.holder(&key, record.stamp()).await;
    demand!(
        !tells || dead == Liveness::Dead,
        "the store claims to tell, and says {dead:?} of a dead process"
    );
    // Another's attempt now: that one is alive.
    let next = fresh();
    win(&store, &key, Expect::Is(record.stamp()), &next).await?;
    let alive = other.holder(&key, next.stamp()).await;
    demand!(alive != Liveness::Dead, "who writes after a dead one is taken for dead");
    Ok(Checked::Whole)
}

/// Several processes that write to one key and are killed at random moments, again and again.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    kills: usize,
    processes: usize,
}

/// What came of a storm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Weathered {
    /// Processes killed.
    pub kills: usize,
    /// Writes that were acknowledged, all found again in the chain of writes.
    pub won: usize,
    /// Records that were read meanwhile, all whole.
    pub read: usize,
}

impl Storm {
    /// So many kills, of four processes at a time, and at least as many writes.
    pub const fn new(kills: usize) -> Self {
        Self { kills, processes: 4 }
    }

    /// Runs it. From the last record back to the first every acknowledged write must be there once: none lost, none won
    /// twice; and every record that is read meanwhile must be whole.
    ///
    /// # Errors
    ///
    /// What the store did wrong, or the subject has no [`process`](Subject::process).
    pub async fn run<S: Subject>(self, subject: &S) -> Result<Weathered, Violation> {
        let command =
            || subject.process().ok_or_else(|| Violation::new("the subject has no process"));
        let name = "storm";
        let store = subject.client().await;
        let reader = Reader::start(subject, &key(name)).await;
        let before = load(&store, &key(name)).await?.as_ref().map(Versioned::stamp);
        let mut told = Vec::new();
        let mut writers = Vec::new();
        for _ in 0..self.processes {
            writers.push(Writer::start(command()?, false, name)?);
        }
        for kill in 0..self.kills {
            let writer = writers.remove(fastrand::usize(..writers.len()));
            let others = || won(&told) + writers.iter().map(Writer::won).sum::<usize>();
            // However slow its disk is, there is something to lose.
            writer.until(|told| !told.is_empty() && won(told) + others() > kill).await?;
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..20_000))).await;
            told.extend(writer.kill().0);
            if kill + self.processes < self.kills {
                writers.push(Writer::start(command()?, false, name)?);
            }
            if writers.is_empty() {
                break;
            }
        }
        drop(writers);
        let read = reader.stop().await?;
        let last = load(&store, &key(name)).await?;
        let won = chain(before, last.as_ref().map(Versioned::stamp), &told)?;
        // No lock stays behind.
        let end = fresh();
        swap(&store, &key(name), expect(last.as_ref()), &end).await?;
        let found = load(&store, &key(name)).await?;
        demand!(
            found.as_ref() == Some(&end),
            "after all processes were killed nothing can be written"
        );
        Ok(Weathered { kills: self.kills, won, read })
    }
}

/// Walks back from the last record to the first, over all that was tried, and finds everything that was won.
fn chain(first: Option<Stamp>, last: Option<Stamp>, told: &[Told]) -> Result<usize, Violation> {
    let mut replaced = HashMap::new();
    let mut won = HashMap::new();
    for told in told {
        match *told {
            Told::Try(old, new) => {
                replaced.insert(new, old);
            }
            Told::Won(old, new) => {
                let rival = won.insert(old, new);
                demand!(rival.is_none(), "{rival:?} and {new} have both replaced {old:?}");
            }
        }
    }
    let mut path = HashSet::new();
    let mut at = last;
    while at != first {
        let Some(stamp) = at else { break };
        demand!(path.insert(stamp), "{stamp} has replaced itself");
        let Some(old) = replaced.get(&stamp) else {
            return Err(Violation::new(format!("{stamp} is there, and nobody tried to write it")));
        };
        at = *old;
    }
    demand!(at == first, "what was there at the beginning, {first:?}, was never replaced");
    for new in won.values() {
        demand!(path.contains(new), "{new} was won, and its successors know nothing of it");
    }
    Ok(won.len())
}

/// Reads all the time, in a task, and looks whether what it reads is whole.
struct Reader {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<usize, Violation>>,
}

impl Reader {
    async fn start<S: Subject>(subject: &S, key: &StoreKey) -> Self {
        let store = subject.client().await;
        let (stop, key) = (Arc::new(AtomicBool::new(false)), key.clone());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let (mut count, mut seen) = (0, false);
            while !stopped.load(Ordering::Relaxed) {
                match load(&store, &key).await? {
                    Some(record) => {
                        demand!(
                            is_whole(&record),
                            "a record was read that is not whole: {record:?}"
                        );
                        seen = true;
                    }
                    None => demand!(!seen, "a record that was there is read as none"),
                }
                count += 1;
                // A store that never waits would otherwise leave no room for the writers.
                tokio::task::yield_now().await;
            }
            Ok(count)
        });
        Self { stop, task }
    }

    async fn stop(self) -> Result<usize, Violation> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.map_err(|error| Violation::new(format!("a load panicked: {error}")))?
    }
}

/// The subject's process, which a store whose records outlive it must have.
async fn process_of<S: Subject>(subject: &S) -> Result<Option<Command>, Violation> {
    let command = subject.process();
    let outlives = subject.client().await.capabilities().outlives_process;
    demand!(
        command.is_some() || !outlives,
        "the records outlive the process: implement `Subject::process`"
    );
    Ok(command)
}
