//! System tools: what is missing is installed by the system's package manager.

use std::{env, process::Command};

use crate::step::{Outcome, capture, run};

/// The linker. Whoever built this task had one, but its binary may come from a cache.
pub(crate) const CC: Tool = Tool {
    command: "cc",
    purpose: "links every Rust binary",
    packages: &[
        ("apt-get", "gcc libc6-dev"),
        ("dnf", "gcc"),
        ("apk", "gcc musl-dev"),
        ("pacman", "gcc"),
    ],
    by_hand: "install gcc or clang; on macOS run `xcode-select --install`",
};

pub(crate) const GIT: Tool = Tool {
    command: "git",
    purpose: "lists the project's files",
    packages: &[
        ("apt-get", "git"),
        ("dnf", "git"),
        ("apk", "git"),
        ("pacman", "git"),
        ("brew", "git"),
    ],
    by_hand: "see https://git-scm.com/downloads",
};

pub(crate) const CURL: Tool = Tool {
    command: "curl",
    purpose: "talks to the kit's program as its users do",
    packages: &[
        ("apt-get", "curl"),
        ("dnf", "curl"),
        ("apk", "curl"),
        ("pacman", "curl"),
        ("brew", "curl"),
    ],
    by_hand: "see https://curl.se/download.html",
};

pub(crate) const NODE: Tool = Tool {
    command: "node",
    purpose: "runs the authorization server of the end-to-end tests",
    packages: &[
        ("apt-get", "nodejs"),
        ("dnf", "nodejs"),
        ("apk", "nodejs"),
        ("pacman", "nodejs"),
        ("brew", "node"),
    ],
    by_hand: "see https://nodejs.org/en/download",
};

pub(crate) const NPM: Tool = Tool {
    command: "npm",
    purpose: "installs that server",
    packages: &[
        ("apt-get", "npm"),
        ("dnf", "npm"),
        ("apk", "npm"),
        ("pacman", "npm"),
        ("brew", "node"),
    ],
    by_hand: "it comes with Node.js: see https://nodejs.org/en/download",
};

pub(crate) const REDIS: Tool = Tool {
    command: "redis-server",
    purpose: "is what the tests of the Redis store start",
    packages: &[
        ("apt-get", "redis-server"),
        ("dnf", "redis"),
        ("apk", "redis"),
        ("pacman", "redis"),
        ("brew", "redis"),
    ],
    by_hand: "see https://redis.io/docs/latest/operate/oss_and_stack/install/ (7.0 or later)",
};

pub(crate) const SPIN: Tool = Tool {
    command: "spin",
    purpose: "checks the model of the protocol",
    packages: &[("apt-get", "spin"), ("brew", "spin")],
    by_hand: "build it from https://github.com/nimble-code/Spin",
};

pub(crate) struct Tool {
    command: &'static str,
    purpose: &'static str,
    /// What to install, by package manager. One that is not named does not offer the tool.
    packages: &'static [(&'static str, &'static str)],
    by_hand: &'static str,
}

struct Manager {
    command: &'static str,
    /// The arguments of the calls that lead to an installation; the packages follow the last.
    calls: &'static [&'static str],
    needs_root: bool,
}

const MANAGERS: &[Manager] = &[
    // A fresh container knows no packages before the update.
    Manager { command: "apt-get", calls: &["update", "install -y"], needs_root: true },
    Manager { command: "dnf", calls: &["install -y"], needs_root: true },
    Manager { command: "apk", calls: &["add --update-cache"], needs_root: true },
    Manager { command: "pacman", calls: &["-S --noconfirm"], needs_root: true },
    Manager { command: "brew", calls: &["install"], needs_root: false },
];

/// Makes each of `tools` available, or says what to do.
pub(crate) fn ensure(tools: &[Tool]) -> Outcome {
    for tool in tools.iter().filter(|tool| !on_path(tool.command)) {
        install(tool).map_err(|why| {
            let Tool { command, purpose, by_hand, .. } = tool;
            format!("`{command}`, which {purpose}, is missing, and {why} By hand: {by_hand}.")
        })?;
    }
    Ok(())
}

fn install(tool: &Tool) -> Outcome {
    for line in install_lines(tool, on_path, is_root())? {
        println!("`{}` is missing; running `{line}`", tool.command);
        let mut words = line.split(' ');
        run(Command::new(words.next().unwrap_or_default()).args(words))?;
    }
    if on_path(tool.command) { Ok(()) } else { Err("its package did not bring it.".into()) }
}

/// The commands that install `tool` here.
fn install_lines(tool: &Tool, has: impl Fn(&str) -> bool, root: bool) -> Outcome<Vec<String>> {
    let mut choices =
        MANAGERS.iter().filter(|manager| has(manager.command)).filter_map(|manager| {
            let (_, packages) = tool.packages.iter().find(|(name, _)| *name == manager.command)?;
            Some((manager, packages))
        });
    let Some((Manager { command, calls, needs_root }, packages)) = choices.next() else {
        return Err("no package manager known here offers it.".into());
    };
    let sudo = match (needs_root, root, has("sudo")) {
        (false, ..) | (_, true, _) => "",
        (.., true) => "sudo ",
        (.., false) => return Err(format!("{command} needs root, but there is no sudo.")),
    };
    let mut lines: Vec<_> = calls.iter().map(|call| format!("{sudo}{command} {call}")).collect();
    if let Some(last) = lines.last_mut() {
        *last += &format!(" {packages}");
    }
    Ok(lines)
}

pub(crate) fn on_path(command: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(command).is_file())
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(tool: &Tool, present: &[&str], root: bool) -> Outcome<Vec<String>> {
        install_lines(tool, |command| present.contains(&command), root)
    }

    #[test]
    fn root_installs_directly_and_others_by_sudo() {
        let direct = lines(&CC, &["apt-get", "sudo"], true).unwrap();
        assert_eq!(direct, ["apt-get update", "apt-get install -y gcc libc6-dev"]);
        let sudo = lines(&CC, &["apt-get", "sudo"], false).unwrap();
        assert_eq!(sudo, ["sudo apt-get update", "sudo apt-get install -y gcc libc6-dev"]);
        assert!(lines(&CC, &["apt-get"], false).is_err());
    }

    #[test]
    fn homebrew_never_runs_by_sudo_and_comes_last() {
        assert_eq!(lines(&GIT, &["brew", "sudo"], false).unwrap(), ["brew install git"]);
        assert_eq!(lines(&GIT, &["brew", "apk"], true).unwrap(), ["apk add --update-cache git"]);
    }

    #[test]
    fn a_tool_that_no_manager_here_offers_is_an_error() {
        assert!(lines(&CC, &["brew"], false).is_err());
        assert!(lines(&GIT, &["zypper", "sudo"], false).is_err());
    }

    #[test]
    fn packages_name_known_managers() {
        for (name, _) in
            [CC, GIT, CURL, NODE, NPM, REDIS, SPIN].iter().flat_map(|tool| tool.packages)
        {
            assert!(MANAGERS.iter().any(|manager| manager.command == *name), "{name}");
        }
    }
}
