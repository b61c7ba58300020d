//! The run: starts the server and the processes, disturbs them until enough were killed, and hands over what happened.

use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use token_core::store::TokenStore;
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, Held};
use tokio::runtime::Runtime;

use crate::history::{Entry, Heard, What};
use crate::mark::Mark;
use crate::options::Run;
use crate::request::Request;
use crate::step::Step;
use crate::time::{ACCESS_LIFETIME, At};

mod disturb;
mod ending;
mod logins;
mod network;
pub(crate) mod plan;
mod process;

use self::disturb::Disturber;
use self::logins::Logins;
use self::network::Network;
use self::plan::{Manner, Plan};
use self::process::Process;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const TICK: Duration = Duration::from_millis(5);
const PROGRESS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// What reaches the run's one loop.
pub(crate) enum Message {
    Told(Entry),
    Unreadable {
        process: u32,
        why: String,
    },
    Ended(u32),
    /// The server holds a request at a step, where this is to be done to its sender.
    Held(Step, Manner, Held),
}

/// All that is known after a run.
pub(crate) struct Outcome {
    pub(crate) entries: Vec<Entry>,
    pub(crate) requests: Vec<Request>,
    /// The last record of each grant: its write and its bytes' mark.
    pub(crate) last: Vec<Result<Option<(Mark, Mark)>, String>>,
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    pub(crate) met: Vec<(Step, Manner, u64)>,
    /// What went wrong with the run itself.
    pub(crate) faults: Vec<String>,
    pub(crate) took: Duration,
}

/// Runs until so many processes were killed and every step was met, or until the patience is at its end.
pub(crate) fn run(options: &Run, seed: u64, directory: &Path) -> Result<Outcome, BoxError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let server = AuthorizationServer::builder().access_lifetime(ACCESS_LIFETIME).start()?;
    let store = options.store.open(directory)?;
    let (to, messages) = mpsc::channel();
    let mut run = Running {
        options: options.clone(),
        logins: Logins::new(store, options.grants)?,
        network: Network::new(&server, options.protocol, seed),
        disturber: Disturber::new(Plan::new(seed), seed, directory),
        slots: (0..options.processes).map(|_| Slot { process: None, due: At(0) }).collect(),
        entries: Vec::new(),
        faults: Vec::new(),
        buried: Vec::new(),
        started: At::now(),
        refreshed: vec![At(0); options.grants as usize],
        server,
        runtime,
        to,
        messages,
        ids: 0,
        kills: 0,
        stops: 0,
    };
    run.disturb_until_enough()?;
    run.calm()?;
    Ok(run.finish())
}

struct Slot {
    process: Option<Process>,
    /// When the next process is started here.
    due: At,
}

struct Running<S> {
    options: Run,
    server: AuthorizationServer,
    runtime: Runtime,
    logins: Logins<S>,
    network: Network,
    disturber: Disturber,
    slots: Vec<Slot>,
    to: Sender<Message>,
    messages: Receiver<Message>,
    entries: Vec<Entry>,
    faults: Vec<String>,
    buried: Vec<JoinHandle<()>>,
    started: At,
    /// When each grant was refreshed last.
    refreshed: Vec<At>,
    ids: u32,
    kills: u64,
    stops: u64,
}

impl<S: TokenStore> Running<S> {
    fn disturb_until_enough(&mut self) -> Result<(), BoxError> {
        // Several times what it takes on two cores.
        let patience =
            Duration::from_secs(120) + Duration::from_secs(3) * self.options.kills as u32;
        let (mut progress, mut look) = (self.started, self.started);
        while self.kills < self.options.kills || !self.disturber.plan.is_complete() {
            let now = self.turn()?;
            self.disturb(now);
            self.network.tick(&self.server, now);
            if now >= look {
                look = now.after(LOOK);
                self.log_in(now);
            }
            if now.since(progress) >= PROGRESS {
                progress = now;
                self.progress(now);
            }
            if now.since(self.started) > patience {
                let missing = self.disturber.plan.missing();
                self.faults.push(format!(
                    "after {patience:?} there were {} kills, and these steps were not met: {missing:?}",
                    self.kills
                ));
                break;
            }
            if self.faults.len() > 20 {
                break;
            }
        }
        Ok(())
    }

    /// Takes in what was told, starts processes that are due, and lets those go on that have stood long enough.
    fn turn(&mut self) -> io::Result<At> {
        if let Ok(first) = self.messages.recv_timeout(TICK) {
            self.take(first);
            while let Ok(next) = self.messages.try_recv() {
                self.take(next);
            }
        }
        let now = At::now();
        for place in 0..self.slots.len() {
            if self.slots[place].process.is_none() && now >= self.slots[place].due {
                self.start(place)?;
            }
            let stopped = self.slots[place].process.as_ref().and_then(|p| p.stopped.as_ref());
            if stopped.is_some_and(|stopped| now >= stopped.until) {
                self.go_on(place);
            }
        }
        Ok(now)
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Told(entry) => {
                let (id, at, grant) = (entry.process, entry.at, entry.grant);
                match &entry.what {
                    What::Ready => {
                        if let Some(process) = self.process(id) {
                            process.ready = true;
                        }
                    }
                    What::LoggedIn { .. } => self.logins.acknowledged(grant.unwrap_or_default()),
                    What::Event(Heard::Refreshed { .. }) => {
                        self.refreshed[grant.unwrap_or_default() as usize] = at;
                    }
                    _ => {}
                }
                let reached = if let What::Reached(step) = entry.what { Some(step) } else { None };
                self.entries.push(entry);
                if let Some(step) = reached {
                    self.reached(id, grant.unwrap_or_default(), step);
                }
            }
            Message::Held(step, manner, held) => self.held(step, manner, held),
            Message::Unreadable { process, why } => {
                self.faults.push(format!("process {process} told what cannot be read: {why}"));
            }
            Message::Ended(id) => {
                if self.process(id).is_some() {
                    self.faults.push(format!("process {id} ended by itself"));
                    if let Some(place) = self.place(id)
                        && let Some(process) = self.slots[place].process.take()
                    {
                        let now = At::now();
                        self.note(now, id, None, What::Killed { gone: now });
                        self.buried.push(process.bury());
                    }
                }
            }
        }
    }

    fn start(&mut self, place: usize) -> io::Result<()> {
        self.ids += 1;
        let mut command = Command::new(std::env::current_exe()?);
        let Run { store, protocol, grants, .. } = &self.options;
        command.arg("replica").arg("--id").arg(self.ids.to_string());
        command.arg("--directory").arg(self.disturber.directory());
        command.arg("--origin").arg(self.server.origin());
        command.arg("--store").arg(store.to_string());
        command.arg("--protocol").arg(protocol.to_string());
        command.arg("--grants").arg(grants.to_string());
        self.note(At::now(), self.ids, None, What::Started);
        let process = Process::start(self.ids, command, self.to.clone())?;
        self.slots[place].process = Some(process);
        Ok(())
    }

    /// Logs in to the next grant if its record is dead.
    fn log_in(&mut self, now: At) {
        let live: Vec<u32> = self.running().map(|process| process.id).collect();
        let Some(grant) = self.logins.look(&self.runtime, now, |id| live.contains(&id)) else {
            return;
        };
        if live.is_empty() {
            return;
        }
        let to = live[fastrand::usize(..live.len())];
        let login = self.server.sign_in(DEFAULT_CLIENT_ID);
        let what =
            What::SignedIn { family: login.family(), refresh: Mark::of(login.refresh_token()) };
        self.note(At::now(), 0, Some(grant), what);
        let order = format!("login {grant} {} {}", login.refresh_token(), login.access_token());
        if let Some(process) = self.process(to) {
            process.order(&order);
            self.logins.given(grant, to, now);
        }
    }

    fn note(&mut self, at: At, process: u32, grant: Option<u32>, what: What) {
        self.entries.push(Entry { at, process, grant, what });
    }

    fn process(&mut self, id: u32) -> Option<&mut Process> {
        let place = self.place(id)?;
        self.slots[place].process.as_mut()
    }

    fn place(&self, id: u32) -> Option<usize> {
        let has = |slot: &Slot| slot.process.as_ref().is_some_and(|process| process.id == id);
        self.slots.iter().position(has)
    }

    /// Those that have started, and do not stand still.
    fn running(&self) -> impl Iterator<Item = &Process> {
        let processes = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        processes.filter(|process| process.ready && process.stopped.is_none())
    }

    fn progress(&self, now: At) {
        let counters = self.server.counters();
        eprintln!(
            "{:5.0} s  {} of {} kills, {} stops, {} refreshes, {} families revoked",
            now.since(self.started).as_secs_f64(),
            self.kills,
            self.options.kills,
            self.stops,
            counters.tokens_issued,
            counters.families_revoked,
        );
    }
}
