//! The test kit as a program, for steps that need a server of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use crate::step::{Outcome, cargo, root};

/// A running server on a free port, and what it said at its start. It ends when this is dropped.
pub(crate) struct Kit {
    process: Child,
    said: Vec<String>,
}

impl Kit {
    pub(crate) fn start(options: &str) -> Outcome<Self> {
        let line = format!("run -p token-testkit --features program -- --port 0 {options}");
        let process = cargo(&line).current_dir(root()).stdout(Stdio::piped()).spawn();
        let process = process.map_err(|error| format!("the kit did not start: {error}."))?;
        let mut kit = Self { process, said: Vec::new() };
        let out = kit.process.stdout.take().ok_or("the kit has no output.")?;
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let last = line.ends_with("/control/history");
            kit.said.push(line);
            if last {
                return Ok(kit);
            }
        }
        Err(format!("the kit ended after {:?}.", kit.said))
    }

    /// What stands behind these words in the introduction.
    pub(crate) fn said(&self, words: &str) -> Outcome<&str> {
        let line = self.said.iter().find_map(|line| line.strip_prefix(words));
        line.map(str::trim).ok_or_else(|| format!("the kit said no {words}: {:?}.", self.said))
    }
}

impl Drop for Kit {
    fn drop(&mut self) {
        // On Unix cargo becomes the program that it runs. It may have ended before.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
