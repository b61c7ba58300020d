//! Named steps that run in order until one fails, and the commands they are made of.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Instant,
};

/// The error is a sentence for the person who ran the command.
pub(crate) type Outcome<T = ()> = Result<T, String>;

pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) run: fn() -> Outcome,
}

pub(crate) fn run_all(lists: &[&[Step]]) -> Outcome {
    let start = Instant::now();
    for Step { name, run } in lists.iter().copied().flatten() {
        println!("==> {name}");
        let start = Instant::now();
        run().map_err(|why| {
            format!("{name} failed after {:.1} s: {why}", start.elapsed().as_secs_f32())
        })?;
        println!("<== {name}: {:.1} s", start.elapsed().as_secs_f32());
    }
    println!("All steps passed in {:.1} s.", start.elapsed().as_secs_f32());
    Ok(())
}

/// The cargo that runs this task, with the arguments of `line`, which are separated by spaces.
pub(crate) fn cargo(line: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(line.split_whitespace());
    command
}

/// Runs `command`, its output going where ours goes.
pub(crate) fn run(command: &mut Command) -> Outcome {
    prepare(command).stdout(Stdio::inherit());
    output(command).map(drop)
}

/// Runs `command`, its output going where ours goes, and leaves it to the caller what its status means.
pub(crate) fn status(command: &mut Command) -> Outcome<ExitStatus> {
    prepare(command).status().map_err(|error| not_started(command, &error))
}

/// Runs `command` and returns what it printed to stdout.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    prepare(command).stdout(Stdio::piped());
    let stdout = output(command)?;
    String::from_utf8(stdout)
        .map_err(|_| format!("`{}` printed text that is not UTF-8.", shown(command)))
}

/// A command answers no questions, and stands at the root of the workspace wherever the task was called, unless it was
/// given another place.
fn prepare(command: &mut Command) -> &mut Command {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    command.stdin(Stdio::null()).stderr(Stdio::inherit())
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn output(command: &mut Command) -> Outcome<Vec<u8>> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => Err(format!("`{}` ended with {}.", shown(command), output.status)),
        Err(error) => Err(not_started(command, &error)),
    }
}

fn not_started(command: &Command, error: &io::Error) -> String {
    format!("`{}` did not start: {error}.", shown(command))
}

/// The command as one would type it: without the path of the program.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = [program.file_name().unwrap_or(program.as_os_str())];
    let words = words.into_iter().chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
