//! Who may do what on the servers: a user for each host, with the rights that the store's README names and no others, and one
//! by which the replicas follow.

use std::fs;
use std::path::{Path, PathBuf};

use redis_servers::Server;

use crate::run::HOSTS;

const README: &str = include_str!("../../../../crates/token-store-redis/README.md");

const PASSWORD: &str = "secret";

pub(super) const REPLICATOR: &str = "replicator";

/// Options of a server by which it knows them all, also after it was started again.
pub(super) fn options(directory: &Path) -> Vec<String> {
    let file = file(directory).display().to_string();
    ["--aclfile", &file, "--masteruser", REPLICATOR, "--masterauth", PASSWORD]
        .map(str::to_owned)
        .to_vec()
}

/// Writes the file that the options name.
pub(super) fn write(directory: &Path) -> std::io::Result<()> {
    let mut users = format!(
        "user default on nopass ~* &* +@all\nuser {REPLICATOR} on >{PASSWORD} +psync +replconf +ping\n"
    );
    for host in 0..=HOSTS {
        users.push_str(&format!("user {} on >{PASSWORD} {}\n", user(host), rights()));
    }
    fs::write(file(directory), users)
}

pub(super) fn user(host: u32) -> String {
    format!("host-{host}")
}

/// `user:password` of a URL.
pub(super) fn login(host: u32) -> String {
    format!("{}:{PASSWORD}", user(host))
}

/// Ends all that a user does, and takes it what it may do.
pub(super) fn revoke(server: &Server, user: &str) {
    let () = server.ask(&["ACL", "SETUSER", user, "off"]);
    let _: u32 = server.ask(&["CLIENT", "KILL", "USER", user]);
}

pub(super) fn give_back(server: &Server, user: &str) {
    let () = server.ask(&["ACL", "SETUSER", user, "on"]);
}

fn file(directory: &Path) -> PathBuf {
    directory.join("users.acl")
}

/// What the README lets its user do.
fn rights() -> &'static str {
    let line = README.lines().find_map(|line| line.strip_prefix("ACL SETUSER tokens on >secret "));
    line.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_rights_are_those_of_the_readme() {
        assert!(super::rights().contains("+eval"));
    }
}
