//! The parent's side: a process of the same program that does what it is told.

use std::env;
use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::NAME;

/// How long a process may take to end once its stdin is closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Another process of this program. Orders go to its stdin, and what it tells comes from its stdout: one JSON value in
/// each line. It is killed when this is dropped, and ends by itself when this process dies.
#[derive(Debug)]
pub struct Replica {
    name: String,
    process: Child,
    orders: Option<ChildStdin>,
    told: Lines<BufReader<ChildStdout>>,
}

impl Replica {
    /// Starts this program once more, with the same arguments; there it has a [`Parent`](crate::Parent).
    ///
    /// # Errors
    ///
    /// The system did not start it.
    pub fn start(name: impl fmt::Display) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(env::args_os().skip(1));
        Self::spawn(name.to_string(), command)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends it an order.
    ///
    /// # Errors
    ///
    /// It has ended; the error says with which status.
    pub async fn tell(&mut self, order: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        let Some(orders) = &mut self.orders else { return self.lost("had ended before").await };
        match orders.write_all(&line).await {
            Ok(()) => Ok(()),
            Err(_) => self.lost("takes no more orders").await,
        }
    }

    /// The next that it tells.
    ///
    /// # Errors
    ///
    /// It has ended, or told what is no `T`: it is ended then. The error says with which status.
    ///
    /// # Cancel safety
    ///
    /// Nothing told is lost when the future is dropped.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        match self.told.next_line().await {
            Ok(Some(line)) => match serde_json::from_str(&line) {
                Ok(told) => Ok(told),
                Err(error) => self.lost(&format!("said `{line}` ({error})")).await,
            },
            Ok(None) => self.lost("said no more").await,
            Err(error) => self.lost(&format!("could not be heard ({error})")).await,
        }
    }

    /// Closes its stdin, and waits until it has ended by itself.
    ///
    /// # Errors
    ///
    /// It ended with a failure, or had to be killed.
    pub async fn dismiss(mut self) -> io::Result<()> {
        let status = self.end().await?;
        if status.success() { Ok(()) } else { Err(self.ended("was dismissed", status)) }
    }

    /// Kills it as `kill -9` does, and waits until it is gone. What it told before can still be heard.
    ///
    /// # Errors
    ///
    /// The system did not let it be killed.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.process.kill().await
    }

    fn spawn(name: String, mut command: Command) -> io::Result<Self> {
        let mut process = command
            .env(NAME, &name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = process.stdin.take().zip(process.stdout.take());
        let (orders, stdout) = pipes.ok_or_else(|| io::Error::other("a replica has no pipes"))?;
        Ok(Self { name, process, orders: Some(orders), told: BufReader::new(stdout).lines() })
    }

    async fn lost<T>(&mut self, what: &str) -> io::Result<T> {
        let status = self.end().await?;
        Err(self.ended(what, status))
    }

    fn ended(&self, what: &str, status: ExitStatus) -> io::Error {
        io::Error::other(format!("replica {} {what}, and ended with {status}", self.name))
    }

    async fn end(&mut self) -> io::Result<ExitStatus> {
        self.orders = None;
        if let Ok(status) = timeout(PATIENCE, self.process.wait()).await {
            return status;
        }
        self.process.kill().await?;
        self.process.wait().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Parent, tell_parent};

    /// Not a test of its own but the other process of those below.
    #[test]
    fn echo() {
        let Some(mut parent) = Parent::of_this_process() else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // The harness has printed the test's name, without an end of the line.
        println!("\nready");
        loop {
            let order: u32 = runtime.block_on(parent.order()).unwrap();
            match order {
                7 => println!("seven"),
                13 => std::process::exit(13),
                busy @ 1000.. => std::thread::sleep(Duration::from_secs(busy.into())),
                _ => tell_parent(&(order + 1)).unwrap(),
            }
        }
    }

    /// This test binary, which runs the test above and nothing else.
    async fn echoing() -> Replica {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "replica::tests::echo", "--nocapture", "--test-threads=1"]);
        let mut replica = Replica::spawn("one".to_owned(), command).unwrap();
        while replica.told.next_line().await.unwrap().unwrap() != "ready" {}
        replica
    }

    #[tokio::test]
    async fn orders_are_answered_until_it_is_dismissed() {
        let mut replica = echoing().await;
        for order in [1_u32, 2, 3] {
            replica.tell(&order).await.unwrap();
            assert_eq!(replica.hear::<u32>().await.unwrap(), order + 1);
        }
        replica.dismiss().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_is_busy_ends_when_its_stdin_closes() {
        let mut replica = echoing().await;
        replica.tell(&1000_u32).await.unwrap();
        replica.dismiss().await.unwrap();
    }

    #[tokio::test]
    async fn one_that_dies_is_an_error_with_its_status() {
        let mut replica = echoing().await;
        replica.tell(&13_u32).await.unwrap();
        let error = replica.hear::<u32>().await.unwrap_err().to_string();
        assert!(error.starts_with("replica one said no more, and ended with"), "{error}");
        assert!(error.ends_with("13"), "{error}");
        assert!(replica.tell(&1_u32).await.unwrap_err().to_string().ends_with("13"));
    }

    #[tokio::test]
    async fn garbage_is_an_error_that_shows_it_and_ends_the_process() {
        let mut replica = echoing().await;
        replica.tell(&7_u32).await.unwrap();
        let error = replica.hear::<u32>().await.unwrap_err().to_string();
        assert!(error.contains("said `seven`") && error.ends_with("0"), "{error}");
        assert!(replica.process.try_wait().unwrap().is_some());
    }
}
