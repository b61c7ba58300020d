//! The places where records are kept, if servers keep them: real ones, to which something is done again and again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use redis_servers::Server;

use crate::history::{Entry, Injected, Out, What};
use crate::options::Store;
use crate::server_fault::ServerFault;
use crate::time::At;

use super::{HOSTS, Message};

mod cluster;
mod rights;
mod sentinel;
mod single;

/// The places are left alone for so long between two faults, so that refreshes get through too.
const QUIET: std::ops::Range<u64> = 1_500..4_500;

/// What was acknowledged so long before a master's end has reached its replicas, if nobody cut their link.
const LAG: Duration = Duration::from_secs(1);

const LOOK: Duration = Duration::from_millis(20);

/// How often to look whether all is as it should be.
const WATCH: Duration = Duration::from_millis(100);

/// Servers that keep records together.
trait Place: Send {
    /// What can be done to them.
    fn faults(&self) -> &'static [ServerFault];

    /// Where this host finds them: each has a user of its own.
    fn url(&self, host: u32) -> String;

    /// Does it, and returns once the place can be used again.
    fn inject(&mut self, fault: ServerFault, dice: &mut fastrand::Rng) -> Effect;

    /// Makes it whole for the next fault.
    fn mend(&mut self);

    /// Whether there is another master than when this was asked last, or one was made by a fault.
    fn has_moved(&mut self) -> bool;
}

/// What a fault meant.
#[derive(Clone, Copy, Default)]
struct Effect {
    out: Option<Out>,
    lost_since: Option<At>,
}

/// Writes what the servers of this store are to find in the run's directory.
pub(super) fn prepare(store: Store, directory: &Path) -> std::io::Result<()> {
    if store == Store::File {
        return Ok(());
    }
    std::fs::create_dir_all(directory)?;
    rights::write(directory)
}

/// All places, each with a thread that disturbs it.
pub(super) struct Servers {
    threads: Vec<JoinHandle<Watched>>,
    calm: Arc<AtomicBool>,
    /// All that is left, once it is calm.
    places: Vec<Watched>,
    urls: Vec<Vec<String>>,
    /// What can be done, and to which place.
    pub(super) faults: Vec<(u32, ServerFault)>,
}

impl Servers {
    /// Starts those that this store is made of, and begins to disturb them.
    pub(super) fn start(store: Store, seed: u64, directory: &Path, to: &Sender<Message>) -> Self {
        let sentinel = || -> Box<dyn Place> { Box::new(sentinel::Sentinels::start(directory)) };
        let places: Vec<Box<dyn Place>> = match store {
            Store::File => Vec::new(),
            Store::Redis => vec![
                Box::new(single::Single::start(directory)),
                sentinel(),
                Box::new(cluster::Nodes::start(directory)),
            ],
            Store::RedisSentinel => vec![sentinel(), sentinel(), sentinel()],
        };
        let numbered = || (0..).zip(&places);
        let faults = numbered()
            .flat_map(|(place, it)| it.faults().iter().map(move |fault| (place, *fault)))
            .collect();
        let urls = places.iter().map(|place| (0..=HOSTS).map(|host| place.url(host)).collect());
        let (urls, calm) = (urls.collect(), Arc::new(AtomicBool::new(false)));
        let threads = (0..)
            .zip(places)
            .map(|(number, place)| {
                let dice = fastrand::Rng::with_seed(seed.wrapping_add(u64::from(number) + 2));
                let calm = Arc::clone(&calm);
                let watched = Watched { number, place, sane: At::now(), to: to.clone() };
                thread::spawn(move || watched.disturb(dice, &calm))
            })
            .collect();
        Self { threads, calm, places: Vec::new(), urls, faults }
    }

    /// Whether Sentinels watch this place.
    pub(super) fn has_sentinels(&self, place: u32) -> bool {
        self.urls.get(place as usize).is_some_and(|urls| urls[0].starts_with("redis+sentinel:"))
    }

    /// How many places there are.
    pub(super) fn places(&self) -> u32 {
        u32::try_from(self.urls.len()).unwrap_or(u32::MAX)
    }

    /// Where a host finds each place. Beyond the last host is the run itself.
    pub(super) fn urls(&self, host: u32) -> impl Iterator<Item = &str> {
        self.urls.iter().map(move |urls| urls[host as usize].as_str())
    }

    /// Ends all disturbance, once every place is whole.
    pub(super) fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// Whether that is so.
    pub(super) fn are_calm(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for it. The servers go on.
    pub(super) fn join(&mut self) -> Result<(), String> {
        let threads = self.threads.drain(..).map(JoinHandle::join);
        let (places, failed): (Vec<_>, Vec<_>) = threads.partition(Result::is_ok);
        self.places = places.into_iter().flatten().collect();
        if failed.is_empty() {
            Ok(())
        } else {
            Err("a server did not do what it was told".to_owned())
        }
    }

    /// Tells what has happened since it became calm: a busy machine asks nobody.
    pub(super) fn look_again(&mut self) -> Result<(), String> {
        let look = |mut watched: Watched| {
            // A server that never gets there ends a thread, and not the run.
            thread::spawn(move || {
                watched.look();
                watched
            })
        };
        self.threads = self.places.drain(..).map(look).collect();
        self.join()
    }

    /// Whether servers did not do what they were told, of which the thread's panic has told.
    pub(super) fn have_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

/// A place, and who hears of what befalls it.
struct Watched {
    number: u32,
    place: Box<dyn Place>,
    /// When it was last seen to be as it should be.
    sane: At,
    to: Sender<Message>,
}

impl Watched {
    /// One fault after the other, each as often as the others.
    fn disturb(mut self, mut dice: fastrand::Rng, calm: &AtomicBool) -> Self {
        let mut faults: Vec<ServerFault> = Vec::new();
        loop {
            let next = At::now().after(Duration::from_millis(dice.u64(QUIET)));
            while At::now() < next {
                if calm.load(Ordering::Relaxed) {
                    return self;
                }
                self.look();
                thread::sleep(WATCH);
            }
            if faults.is_empty() {
                faults = self.place.faults().to_vec();
                dice.shuffle(&mut faults);
            }
            let Some(fault) = faults.pop() else { return self };
            let began = At::now();
            let effect = self.place.inject(fault, &mut dice);
            self.sane = At::now();
            self.tell(began, fault, effect);
            self.place.mend();
        }
    }

    /// Tells if another master is there that nobody asked for.
    fn look(&mut self) {
        let looked = At::now();
        if self.place.has_moved() {
            let lost_since = Some(self.sane.before(LAG));
            let out = Some(Out { host: None, from: self.sane, until: At::now() });
            self.tell(self.sane, ServerFault::Unasked, Effect { out, lost_since });
            self.place.mend();
        }
        self.sane = looked;
    }

    fn tell(&self, began: At, fault: ServerFault, Effect { out, lost_since }: Effect) {
        let injected = Injected { place: self.number, fault, began, out, lost_since };
        let entry =
            Entry { at: At::now(), process: 0, grant: None, what: What::Injected(injected) };
        // The run may be over.
        let _ = self.to.send(Message::Told(entry));
    }
}

fn pause(dice: &mut fastrand::Rng, milliseconds: std::ops::Range<u64>) {
    thread::sleep(Duration::from_millis(dice.u64(milliseconds)));
}

/// Waits until this is so. A server that never gets there ends the run; a Sentinel that was late itself does nothing for half a
/// minute.
fn until(what: &str, so: impl Fn() -> bool) {
    let late = At::now().after(Duration::from_secs(180));
    while !so() {
        assert!(At::now() < late, "after three minutes it is not so: {what}");
        thread::sleep(LOOK);
    }
}

fn is_master(server: &Server) -> bool {
    says(server, &["role:master"])
}

/// Whether it takes no writes: not so where it does not answer, for it may take some a moment later.
fn is_replica(server: &Server) -> bool {
    says(server, &["role:slave"])
}

/// Whether it follows a master and has caught up.
fn follows(server: &Server) -> bool {
    says(server, &["role:slave", "master_link_status:up"])
}

fn says(server: &Server, words: &[&str]) -> bool {
    let info: Option<String> = server.try_ask(&["INFO", "replication"]);
    info.is_some_and(|info| words.iter().all(|word| info.contains(word)))
}
