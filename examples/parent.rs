//! The replica's side: who started this process, and tells it what to do.

use std::env;
use std::io::{self, Write};
use std::process;
use std::thread;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::NAME;

/// The process that started this one as a [`Replica`](crate::Replica).
#[derive(Debug)]
pub struct Parent {
    name: String,
    orders: UnboundedReceiver<String>,
}

impl Parent {
    /// `None` in a process that somebody else started. Otherwise this process ends from now on when its stdin closes,
    /// whatever it is doing: it does not outlive its parent.
    pub fn of_this_process() -> Option<Self> {
        let name = env::var(NAME).ok()?;
        let (sender, orders) = mpsc::unbounded_channel();
        // A thread and not tokio's stdin: that one would hold up the end of the runtime.
        thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                // Who takes no more orders may still be at work.
                let _ = sender.send(line);
            }
            process::exit(0);
        });
        Some(Self { name, orders })
    }

    /// The name that the parent gave this process.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next order.
    ///
    /// # Errors
    ///
    /// It is no `T`.
    ///
    /// # Cancel safety
    ///
    /// No order is lost when the future is dropped.
    pub async fn order<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        let line = self.orders.recv().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// Tells the parent something, from any task or thread.
///
/// # Errors
///
/// The parent is gone.
pub fn tell_parent(what: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    io::stdout().lock().write_all(&line)
}
