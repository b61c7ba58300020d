//! Services in processes of their own: this binary again, which does what it reads and tells what happens.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use integration_tests::{Kit, soon};
use token_core::endpoint::TokenEndpoint;
use token_core::event::Event;
use token_core::{Error, Token, TokenKey, TokenManager, TokenSet};
use token_store_file::FileStore;
use token_testkit::Fingerprint;
use tokio::sync::mpsc;

use crate::site::{GRANT, Site};

/// Place, token endpoint and seed, in lines.
const ROLE: &str = "TOKEN_FILE_STORE_TEST";

/// Ours begin with it; the test harness prints others.
const MARK: &str = "@service ";

/// A user other than root, without a name.
pub(crate) const NOBODY: u32 = 65_534;

/// A service in another process. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    orders: ChildStdin,
    told: mpsc::UnboundedReceiver<(Instant, String)>,
    /// Told, and not asked for yet.
    events: Vec<(Instant, String)>,
}

impl Process {
    pub(crate) fn start(site: &Site) -> Self {
        Self::start_as(site, &mut this_binary())
    }

    pub(crate) fn start_as(site: &Site, command: &mut Command) -> Self {
        let seed = site.kit.login.refresh_token();
        let place = site.directory.display();
        let mut child = command
            .env(ROLE, format!("{place}\n{}\n{seed}", site.kit.server.token_url()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
                if let Some((_, text)) = line.trim_end().split_once(MARK) {
                    let _ = tell.send((Instant::now(), text.to_owned()));
                }
                line.clear();
            }
        });
        Self { child, orders, told, events: Vec::new() }
    }

    pub(crate) fn id(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Gives an order and waits for its answer.
    pub(crate) async fn ask(&mut self, order: &str) -> String {
        self.order(order);
        loop {
            let (at, told) = self.next().await;
            match told.strip_prefix("answer ") {
                Some(answer) => return answer.to_owned(),
                None => self.events.push((at, told)),
            }
        }
    }

    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// Waits until it has told of an event that contains this, and says when it did.
    pub(crate) async fn event(&mut self, part: &str) -> (Instant, String) {
        loop {
            if let Some(n) = self.events.iter().position(|(_, event)| event.contains(part)) {
                return self.events.remove(n);
            }
            let told = self.next().await;
            self.events.push(told);
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    async fn next(&mut self) -> (Instant, String) {
        soon(self.told.recv()).await.expect("the process is there")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This binary, to run as a service.
pub(crate) fn this_binary() -> Command {
    as_service(&std::env::current_exe().unwrap())
}

/// The same as another user, who may not come to where it is built.
pub(crate) fn this_binary_as(site: &Site, user: u32) -> Command {
    let copy = site.beside("service");
    std::fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = as_service(&copy);
    command.uid(user).gid(user);
    command
}

fn as_service(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["--exact", "process", "--nocapture"]);
    command
}

/// Does as told until nobody tells any more, in a process that was started for it.
pub(crate) fn run_if_told() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let [place, url, seed] = role.lines().collect::<Vec<_>>().try_into().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = match FileStore::open(place) {
            Ok(store) => store,
            Err(error) => return tell(&format!("event cannot open: {error}")),
        };
        let tokens =
            TokenManager::builder(TokenEndpoint::refresh_token(Kit::http(), url, Kit::auth()))
                .key(TokenKey::new(GRANT).unwrap())
                .seed(TokenSet::from_refresh_token(seed))
                .store(store)
                .backoff(Duration::from_millis(100), Duration::from_secs(1))
                .build()
                .unwrap();
        tokio::spawn(tell_events(tokens.clone()));
        let (give, mut orders) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for order in std::io::stdin().lines() {
                let _ = give.send(order.unwrap());
            }
        });
        while let Some(order) = orders.recv().await {
            let words: Vec<&str> = order.split(' ').collect();
            if let ["updates", access] = words[..] {
                while orders.is_empty() && !orders.is_closed() {
                    let update = TokenSet::new(access).with_expires_in(Duration::from_secs(3600));
                    tokens.update(update).await.unwrap();
                }
                continue;
            }
            tell(&format!("answer {}", carry_out(&tokens, &words).await));
        }
    });
}

async fn carry_out(tokens: &TokenManager, words: &[&str]) -> String {
    let hour = Duration::from_secs(3600);
    let done = |result: Result<(), Error>| match result {
        Ok(()) => "done".to_owned(),
        Err(error) => shown(&error),
    };
    let token = |result: Result<Token, Error>| match result {
        Ok(token) => format!("token {}", Fingerprint::of(token.expose_secret())),
        Err(error) => shown(&error),
    };
    match words {
        ["token"] => token(tokens.token().await),
        ["refresh"] => token(tokens.refresh_now().await),
        ["login", access, refresh] => {
            let login = TokenSet::new(*access).with_refresh_token(*refresh).with_expires_in(hour);
            done(tokens.login(login).await)
        }
        ["update", access] => {
            done(tokens.update(TokenSet::new(*access).with_expires_in(hour)).await)
        }
        ["logout"] => done(tokens.logout().await),
        _ => panic!("{words:?} is no order"),
    }
}

async fn tell_events(tokens: TokenManager) {
    let mut events = tokens.events();
    while let Some(event) = events.next().await {
        tell(&match event {
            Event::Adopted { version } => format!("event adopted {version};"),
            Event::Refreshed { version } => format!("event refreshed {version};"),
            Event::RefreshFailed { error, .. } => format!("event failed {}", shown(&error)),
            _ => continue,
        });
    }
}

fn shown(error: &Error) -> String {
    format!("{:?} {error}", error.kind())
}

fn tell(text: &str) {
    println!("{MARK}{}", text.replace('\n', " "));
}
