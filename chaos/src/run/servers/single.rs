//! One server without replicas, which writes each command to its disk.

use std::fs;
use std::io;
use std::path::Path;

use redis_servers::Server;

use crate::history::Out;
use crate::run::HOSTS;
use crate::server_fault::ServerFault;
use crate::time::At;

use super::{Effect, Place, pause, rights};

/// Where Redis 7 and later keep what was written.
const DATA: &str = "appendonlydir";

pub(super) struct Single {
    server: Server,
}

impl Single {
    pub(super) fn start(directory: &Path) -> Self {
        let rights = rights::options(directory);
        let mut options: Vec<&str> = rights.iter().map(String::as_str).collect();
        options.extend(["--appendonly", "yes", "--appendfsync", "always"]);
        // It would change the files while they are copied.
        options.extend(["--auto-aof-rewrite-percentage", "0"]);
        Self { server: Server::with(&options) }
    }

    fn set(&self, name: &str, value: &str) {
        let () = self.server.ask(&["CONFIG", "SET", name, value]);
    }

    /// Puts a copy of the data, or nothing, in the place of what is there.
    fn replace_data(&self, copy: Option<&Path>) -> io::Result<()> {
        let data = self.server.directory().join(DATA);
        fs::remove_dir_all(&data)?;
        copy.map_or(Ok(()), |copy| fs::rename(copy, &data))
    }
}

impl Place for Single {
    fn faults(&self) -> &'static [ServerFault] {
        &[
            ServerFault::Killed,
            ServerFault::Emptied,
            ServerFault::Rewound,
            ServerFault::Stopped,
            ServerFault::Paused,
            ServerFault::MemoryFull,
            ServerFault::ScriptsFlushed,
            ServerFault::ConnectionsCut,
            ServerFault::RightsRevoked,
        ]
    }

    fn url(&self, host: u32) -> String {
        format!("redis://{}@127.0.0.1:{}", rights::login(host), self.server.port())
    }

    #[expect(clippy::expect_used, reason = "without its data a server proves nothing")]
    fn inject(&mut self, fault: ServerFault, dice: &mut fastrand::Rng) -> Effect {
        let began = At::now();
        let out = |from: At, host, lost_since| Effect {
            out: Some(Out { host, from, until: At::now() }),
            lost_since,
        };
        match fault {
            ServerFault::Emptied => {
                self.server.kill();
                self.replace_data(None).expect("the data can be removed");
                pause(dice, 0..800);
                self.server.restart();
                out(began, None, Some(At(0)))
            }
            ServerFault::Rewound => {
                let (since, copy) = (At::now(), self.server.directory().join("copy"));
                copy_all(&self.server.directory().join(DATA), &copy).expect("the data is there");
                pause(dice, 200..3000);
                let killed = At::now();
                self.server.kill();
                self.replace_data(Some(&copy)).expect("the data can be replaced");
                self.server.restart();
                out(killed, None, Some(since))
            }
            ServerFault::Stopped => {
                self.server.stop();
                pause(dice, 200..4000);
                self.server.go_on();
                out(began, None, None)
            }
            ServerFault::Paused => {
                let time = dice.u64(200..4000);
                let () = self.server.ask(&["CLIENT", "PAUSE", &time.to_string(), "ALL"]);
                pause(dice, time..time + 1);
                out(began, None, None)
            }
            ServerFault::MemoryFull => {
                self.set("maxmemory", "1");
                pause(dice, 500..2500);
                self.set("maxmemory", "0");
                Effect::default()
            }
            ServerFault::ScriptsFlushed => {
                let () = self.server.ask(&["SCRIPT", "FLUSH"]);
                Effect::default()
            }
            ServerFault::ConnectionsCut => {
                for kind in ["normal", "pubsub"] {
                    let _: u32 = self.server.ask(&["CLIENT", "KILL", "TYPE", kind]);
                }
                Effect::default()
            }
            ServerFault::RightsRevoked => {
                let host = dice.u32(..HOSTS);
                rights::revoke(&self.server, &rights::user(host));
                pause(dice, 300..4000);
                rights::give_back(&self.server, &rights::user(host));
                out(began, Some(host), None)
            }
            ServerFault::Killed => {
                self.server.kill();
                pause(dice, 0..800);
                self.server.restart();
                out(began, None, None)
            }
            ServerFault::Handover
            | ServerFault::MasterKilled
            | ServerFault::MasterStopped
            | ServerFault::LinkCut
            | ServerFault::Unasked => Effect::default(),
        }
    }

    fn mend(&mut self) {}

    fn has_moved(&mut self) -> bool {
        false
    }
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
