//! Real servers for tests: each on a port and in a directory of its own, and gone with the test.
//!
//! `redis-server` has to be in the `PATH`. What cannot be done panics: in a test that is the report.

#![expect(clippy::expect_used, reason = "a panic is the report of a test")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use redis::{Client, Connection, FromRedisValue};
use tempfile::TempDir;

mod cluster;
mod sentinel;

pub use self::cluster::Cluster;
pub use self::sentinel::Watch;

/// How long a server may take to begin, or to do what was asked, on a busy machine. A Sentinel that was late itself does nothing
/// for half a minute.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ends with its standard input, so also with a test that is killed.
const UNTIL_ORPHANED: &str = r#"command -v "$1" > /dev/null || exit; "$@" & server=$!; echo $server; read -r _; kill -9 $server; wait"#;

/// A `redis-server`, without persistence unless asked for.
#[derive(Debug)]
pub struct Server {
    port: u16,
    directory: TempDir,
    options: Vec<String>,
    /// The file of a Sentinel, which writes into it what it learns.
    sentinel: Option<String>,
    /// Where a node of a cluster talks to the others.
    bus: u16,
    process: Option<Child>,
    pid: String,
    password: Option<String>,
}

impl Server {
    /// One without options.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// With options of `redis-server`, such as `["--maxmemory", "1mb"]`.
    pub fn with(options: &[&str]) -> Self {
        Self::configured(options, None)
    }

    fn configured(options: &[&str], sentinel: Option<String>) -> Self {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let password = options
            .iter()
            .position(|option| option == "--requirepass")
            .map(|at| options[at + 1].clone());
        let pid = String::new();
        let mut server =
            Self { port: 0, directory, options, sentinel, bus: 0, process: None, pid, password };
        let start = Instant::now();
        // Between the look for a free port and its use somebody else may take it.
        while !server.try_start_anew() {
            assert!(start.elapsed() < PATIENCE, "no redis-server starts: {}", server.log());
        }
        server
    }

    fn try_start_anew(&mut self) -> bool {
        self.bus = free_port();
        self.try_start(free_port())
    }

    fn try_start(&mut self, port: u16) -> bool {
        self.port = port;
        let path = self.directory.path();
        // What it said the last time is no matter now.
        _ = fs::remove_file(path.join("log"));
        let mut command = Command::new("sh");
        command.args(["-c", UNTIL_ORPHANED, "sh", "redis-server"]);
        if let Some(config) = &self.sentinel {
            let file = path.join("sentinel.conf");
            fs::write(&file, config).expect("the directory is ours");
            command.arg(file).arg("--sentinel");
        } else {
            command.args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
        }
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        if self.options.iter().any(|option| option == "--cluster-enabled") {
            command.args(["--cluster-port", &self.bus.to_string()]);
        }
        command.arg("--dir").arg(path).arg("--logfile").arg(path.join("log"));
        command.args(&self.options).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a shell starts");
        let mut pid = String::new();
        let said = process.stdout.take().expect("its output is a pipe");
        BufReader::new(said).read_line(&mut pid).expect("the shell tells the server's number");
        assert!(
            !pid.is_empty(),
            "there is no redis-server in the PATH; `cargo xtask test` installs it"
        );
        self.process = Some(process);
        self.pid = pid.trim().to_owned();
        let (start, mine) = (Instant::now(), format!("process_id:{}\r", self.pid));
        while start.elapsed() < PATIENCE {
            let told: Option<String> = self.try_ask(&["INFO", "server"]);
            if told.is_some_and(|info| info.contains(&mine)) {
                return true;
            }
            if self.log().contains("Failed listening") {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        false
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The port by which the nodes of a cluster know it.
    pub const fn bus(&self) -> u16 {
        self.bus
    }

    /// Where it keeps its data.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Its address, with its password.
    pub fn url(&self) -> String {
        url(self.port, self.password.as_deref())
    }

    /// A connection of an administrator.
    pub fn connection(&self) -> Connection {
        self.try_connect().expect("the server answers")
    }

    fn try_connect(&self) -> redis::RedisResult<Connection> {
        Client::open(self.url())?.get_connection_with_timeout(PATIENCE)
    }

    /// One command, as an administrator.
    pub fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        command(words).query(&mut self.connection()).expect("the server does what it is told")
    }

    /// One command to a server that may be gone, or not want to.
    pub fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> Option<T> {
        command(words).query(&mut self.try_connect().ok()?).ok()
    }

    /// One command, and what the server says to it.
    pub fn try_command(&self, words: &[&str]) -> Result<redis::Value, redis::RedisError> {
        command(words).query(&mut self.connection())
    }

    /// Makes it a replica of another, and waits until it has caught up.
    pub fn follow(&self, master: &Self) {
        let () = self.ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        self.until("replication", |info| info.contains("master_link_status:up"));
        master.until("replication", |info| info.contains("state=online"));
    }

    /// The only key of records there is.
    pub fn only_key(&self) -> String {
        let keys: Vec<String> = self.ask(&["KEYS", "*"]);
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0].clone()
    }

    /// Waits until the server says this of itself.
    pub fn until(&self, section: &str, said: impl Fn(&str) -> bool) {
        self.until_answer(&["INFO", section], said);
    }

    /// Waits until the server answers this.
    pub fn until_answer(&self, question: &[&str], said: impl Fn(&str) -> bool) {
        let start = Instant::now();
        loop {
            let info: Option<String> = self.try_ask(question);
            if info.as_deref().is_some_and(&said) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the server never says so: {info:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // The shell kills it, and waits for it.
            drop(process.stdin.take());
            process.wait().expect("it is our child");
        }
    }

    /// Whether it was started, and not killed since.
    pub const fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Stops it: it keeps its connections and answers nobody.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal} does not work");
    }

    /// Starts it again, on the same port and in the same directory.
    pub fn restart(&mut self) {
        self.kill();
        let start = Instant::now();
        while !self.try_start(self.port) {
            assert!(start.elapsed() < PATIENCE, "it does not start again: {}", self.log());
        }
        if !self.options.iter().any(|option| option == "--key-load-delay") {
            self.until("persistence", |info| info.contains("\nloading:0"));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The address of a server on this machine.
pub fn url(port: u16, password: Option<&str>) -> String {
    let login = password.map(|password| format!(":{password}@")).unwrap_or_default();
    format!("redis://{login}127.0.0.1:{port}")
}

/// A port that nobody uses, and that the system gives to nobody who asks for any: those are from 32,768 on. It is this process's
/// own also while nothing listens there, such as between the end of a server and its next start.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_000;
    const PORTS: u32 = 20_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Far from those of other processes.
    let mine = std::process::id().wrapping_mul(97);
    let next = || {
        let port = FIRST + mine.wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        u16::try_from(port).expect("they are fewer than 65,536")
    };
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    (0..PORTS).map(|_| next()).find(is_free).expect("a port is free")
}

fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}
