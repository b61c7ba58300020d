//! A process of the run, as its parent has it.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::history::Entry;
use crate::step::Step;
use crate::time::At;

use super::Message;
use super::plan::Manner;

pub(super) struct Process {
    pub(super) id: u32,
    pub(super) ready: bool,
    /// The step that it was told to wait at, what is to be done to it there, and since when.
    pub(super) armed: Option<(Step, Manner, At)>,
    pub(super) stopped: Option<Stopped>,
    child: Child,
    orders: ChildStdin,
    reader: JoinHandle<()>,
}

/// A process that stands still.
pub(super) struct Stopped {
    pub(super) until: At,
    /// Whether it waits at a step besides, and is let go only when it goes on.
    pub(super) waits: bool,
}

impl Process {
    /// Starts it. What it tells is sent on; whatever it wrote before its end is, too.
    pub(super) fn start(id: u32, mut command: Command, to: Sender<Message>) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(orders), Some(told)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let reader = thread::spawn(move || {
            let mut told = BufReader::new(told);
            let mut line = String::new();
            // A kill leaves no half lines, for each is one small write; a half one would be of no use.
            while told.read_line(&mut line).is_ok_and(|n| n > 0) && line.ends_with('\n') {
                let message = match serde_json::from_str::<Entry>(&line) {
                    Ok(entry) => Message::Told(Entry { process: id, ..entry }),
                    Err(error) => Message::Unreadable { process: id, why: error.to_string() },
                };
                // The run may be over.
                let _ = to.send(message);
                line.clear();
            }
            let _ = to.send(Message::Ended(id));
        });
        Ok(Self { id, ready: false, armed: None, stopped: None, child, orders, reader })
    }

    /// Gives an order. One to a process that has just died is lost, like all else that it had to do.
    pub(super) fn order(&mut self, order: &str) {
        let _ = self.orders.write_all(format!("{order}\n").as_bytes());
    }

    /// Sends `kill -9`; [`bury`](Self::bury) waits for the end.
    pub(super) fn kill(&mut self) {
        // It fails only if the process has ended by itself, which its reader reports.
        let _ = self.child.kill();
    }

    /// Waits until the system has taken it away. What is returned ends when all that it told was read.
    pub(super) fn bury(mut self) -> JoinHandle<()> {
        let _ = self.child.wait();
        self.reader
    }

    /// Sends SIGSTOP, and waits until it stands.
    pub(super) fn stop(&mut self, stopped: Stopped) {
        self.signal(Signal::STOP);
        let _ = waitpid(self.pid(), WaitOptions::UNTRACED);
        self.stopped = Some(stopped);
    }

    /// Sends SIGCONT.
    pub(super) fn go_on(&mut self) {
        self.signal(Signal::CONT);
        if self.stopped.take().is_some_and(|stopped| stopped.waits) {
            self.order("go");
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid() {
            // It fails only if the process has ended by itself, which its reader reports.
            let _ = kill_process(pid, signal);
        }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }
}
