//! The run: starts the server and the processes, disturbs them until enough were killed, and hands over what happened.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use token_store_file::FileStore;
use token_store_redis::RedisStore;
use token_testkit::{AuthorizationServer, DEFAULT_CLIENT_ID, Held};
use tokio::runtime::Runtime;

use crate::history::{Entry, Found, Heard, Injected, What};
use crate::mark::Mark;
use crate::options::{CONTROL, Run, Store};
use crate::record::Version;
use crate::server_fault::ServerFault;
use crate::step::Step;
use crate::stores::{Open, Stores, place_of};
use crate::time::{ACCESS_LIFETIME, At};

mod disturb;
mod ending;
mod enough;
mod logins;
mod network;
mod outcome;
pub(crate) mod plan;
mod process;
mod servers;

use self::disturb::Disturber;
use self::logins::Logins;
use self::network::Network;
pub(crate) use self::outcome::{LastRecord, Outcome};
use self::plan::{Manner, Plan};
use self::process::Process;
use self::servers::Servers;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const TICK: Duration = Duration::from_millis(5);

/// How many hosts the processes belong to, in turn.
pub(crate) const HOSTS: u32 = 4;

/// The host of a process.
pub(crate) const fn host(process: u32) -> u32 {
    process % HOSTS
}

/// What reaches the run's one loop.
pub(crate) enum Message {
    Told(Entry),
    Unreadable {
        process: u32,
        why: String,
    },
    Ended(u32),
    /// The record of a grant is dead, or `forgotten`: the version that was there is gone, since then.
    LoginNeeded {
        grant: u32,
        forgotten: Option<(Version, At)>,
    },
    /// The server holds a request at a step, where this is to be done to its sender.
    Held(Step, Manner, Held),
}

/// Runs until so many processes were killed and all was done that can be, or until the patience is at its end.
pub(crate) fn run(options: &Run, seed: u64, directory: &Path) -> Result<Outcome, BoxError> {
    match options.store {
        Store::File => run_over::<FileStore>(options, seed, directory),
        Store::Redis | Store::RedisSentinel => run_over::<RedisStore>(options, seed, directory),
    }
}

fn run_over<S: Open>(options: &Run, seed: u64, directory: &Path) -> Result<Outcome, BoxError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let server = AuthorizationServer::builder().access_lifetime(ACCESS_LIFETIME).start()?;
    let (to, messages) = mpsc::channel();
    servers::prepare(options.store, directory)?;
    let servers = Servers::start(options.store, seed, directory, &to);
    let files = (options.store == Store::File).then(|| directory.display().to_string());
    let stores_of = |host: u32| {
        Stores::new(files.iter().cloned().chain(servers.urls(host).map(str::to_owned)).collect())
    };
    let grants = options.grants + CONTROL;
    let mut run = Running {
        options: options.clone(),
        logins: Logins::start::<S>(stores_of(HOSTS)?, grants, &runtime, &to)?,
        stores: (0..HOSTS).map(stores_of).collect::<Result<_, _>>()?,
        network: Network::new(&server, seed),
        disturber: Disturber::new(Plan::new(seed), seed, directory),
        slots: (0..options.processes).map(|_| Slot { process: None, due: At(0) }).collect(),
        entries: Vec::new(),
        faults: Vec::new(),
        buried: Vec::new(),
        started: At::now(),
        refreshed: vec![At(0); options.grants as usize],
        server_faults: BTreeMap::new(),
        control_looked: At(0),
        servers,
        server,
        runtime,
        to,
        messages,
        reached: HashMap::new(),
        ids: 0,
        kills: 0,
        stops: 0,
    };
    run.disturb_until_enough()?;
    run.calm()?;
    Ok(run.finish::<S>())
}

struct Slot {
    process: Option<Process>,
    /// When the next process is started here.
    due: At,
}

struct Running {
    options: Run,
    server: AuthorizationServer,
    runtime: Runtime,
    logins: Logins,
    /// Where the processes of each host find their stores.
    stores: Vec<Stores>,
    servers: Servers,
    /// How often each thing was done to each place.
    server_faults: BTreeMap<(u32, ServerFault), u64>,
    /// When it was last looked whether the control has lost something.
    control_looked: At,
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
    /// When each process last reached each place.
    reached: HashMap<(u32, u32), At>,
    ids: u32,
    kills: u64,
    stops: u64,
}

impl Running {
    /// How many places the grants are in.
    fn places(&self) -> u32 {
        self.stores[0].places()
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
        for slot in 0..self.slots.len() {
            if self.slots[slot].process.is_none() && now >= self.slots[slot].due {
                self.start(slot)?;
            }
            let stopped = self.slots[slot].process.as_ref().and_then(|p| p.stopped.as_ref());
            if stopped.is_some_and(|stopped| now >= stopped.until) {
                self.go_on(slot);
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
                    What::Loaded { began, found } if !matches!(found, Found::Failed { .. }) => {
                        let place = place_of(grant.unwrap_or_default(), self.places());
                        self.reached.insert((id, place), *began);
                    }
                    What::Injected(Injected { place, fault, .. }) => {
                        *self.server_faults.entry((*place, *fault)).or_default() += 1;
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
            Message::LoginNeeded { grant, forgotten } => self.log_in(grant, forgotten),
            Message::Ended(id) => {
                self.judge_within_swap(id);
                if let Some(slot) = self.slot(id) {
                    self.faults.push(format!("process {id} ended by itself"));
                    if let Some(process) = self.slots[slot].process.take() {
                        let now = At::now();
                        self.note(now, id, None, What::Killed { gone: now });
                        self.buried.push(process.bury());
                    }
                }
            }
        }
    }

    fn start(&mut self, slot: usize) -> io::Result<()> {
        self.ids += 1;
        let mut command = Command::new(std::env::current_exe()?);
        let Run { store, grants, .. } = &self.options;
        command.arg("replica").arg("--id").arg(self.ids.to_string());
        command.arg("--origin").arg(self.server.origin());
        command.arg("--store").arg(store.to_string());
        for address in self.stores[host(self.ids) as usize].addresses() {
            command.arg("--place").arg(address);
        }
        command.arg("--grants").arg(grants.to_string());
        self.note(At::now(), self.ids, None, What::Started);
        let process = Process::start(self.ids, command, self.to.clone())?;
        self.slots[slot].process = Some(process);
        Ok(())
    }

    /// Logs in to a grant, unless that is under way.
    fn log_in(&mut self, grant: u32, forgotten: Option<(Version, At)>) {
        let now = At::now();
        let live: Vec<u32> = self.running().map(|process| process.id).collect();
        if live.is_empty() || !self.logins.is_due(grant, now, |id| live.contains(&id)) {
            return;
        }
        let to = live[fastrand::usize(..live.len())];
        let login = self.server.sign_in(DEFAULT_CLIENT_ID);
        let (family, refresh) = (login.family(), Mark::of(login.refresh_token()));
        let what = What::SignedIn { family, refresh, forgotten };
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
        let slot = self.slot(id)?;
        self.slots[slot].process.as_mut()
    }

    fn slot(&self, id: u32) -> Option<usize> {
        let has = |slot: &Slot| slot.process.as_ref().is_some_and(|process| process.id == id);
        self.slots.iter().position(has)
    }

    /// Those that have started, and do not stand still.
    fn running(&self) -> impl Iterator<Item = &Process> {
        let processes = self.slots.iter().filter_map(|slot| slot.process.as_ref());
        processes.filter(|process| process.ready && process.stopped.is_none())
    }
}
