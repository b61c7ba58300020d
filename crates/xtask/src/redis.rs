//! A Redis server for steps that need one.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::step::Outcome;

/// How often another program may take the port that was just found free.
const TRIES: usize = 5;

/// A running server without persistence. It ends when this is dropped.
pub(crate) struct Redis {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Redis {
    pub(crate) fn start() -> Outcome<Self> {
        for _ in 0..TRIES {
            if let Some(redis) =
                Self::try_start().map_err(|error| format!("redis-server: {error}."))?
            {
                return Ok(redis);
            }
        }
        Err("redis-server found no free port.".to_owned())
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn try_start() -> std::io::Result<Option<Self>> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let directory = tempfile::tempdir()?;
        let mut process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .arg("--dir")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let log = process.stdout.take();
        let mut redis = Self { process, port, _directory: directory };
        let mut lines =
            log.into_iter().flat_map(|log| BufReader::new(log).lines().map_while(Result::ok));
        let ready = lines.any(|line| line.contains("Ready to accept connections"));
        // What it says later is read and dropped, or it would stand still once the pipe is full.
        std::thread::spawn(move || lines.for_each(drop));
        if !ready {
            redis.process.wait()?;
            return Ok(None);
        }
        Ok(Some(redis))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended before.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
