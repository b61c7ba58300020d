//! Errors that say what happened, to which grant on which server, and what to do now. None quotes what is stored, or the
//! URL, which may hold a password.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use token_core::store::{StoreError, StoreErrorKind, StoreKey};

use crate::link::{Trouble, is_a_replicas};
use crate::record::{FORMAT, Unreadable};
use crate::server::REPLICA;

/// Where a record is: the server, as host and port, and the key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) server: &'a str,
    pub(crate) key: &'a str,
    pub(crate) grant: &'a StoreKey,
}

/// The store cannot be opened with these settings.
pub(crate) fn settings(what: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Refused, what)
}

/// The server as a whole cannot be used.
pub(crate) fn server(server: &str, trouble: Trouble) -> StoreError {
    about("the token store cannot be used", StoreErrorKind::Refused, server, trouble)
}

pub(crate) fn read(place: Place<'_>, trouble: Trouble) -> StoreError {
    let Place { server, key, grant } = place;
    let what = format!("the record of the grant {grant} (key {key}) cannot be read");
    about(&what, StoreErrorKind::Refused, server, trouble)
}

/// Whether it was written is unknown only where the server was asked and did not answer, or not in its own words.
pub(crate) fn write(place: Place<'_>, trouble: Trouble) -> StoreError {
    let Place { server, key, grant } = place;
    if matches!(trouble, Trouble::Unanswered(_) | Trouble::Odd) {
        let what = format!(
            "the record of the grant {grant} (key {key}) may have been written, which the next look tells"
        );
        return about(&what, StoreErrorKind::Indeterminate, server, trouble);
    }
    let what = format!("the record of the grant {grant} (key {key}) was not written");
    about(&what, StoreErrorKind::Refused, server, trouble)
}

/// The server is a replica, so what it shows may be old.
pub(crate) fn replica(place: Place<'_>) -> StoreError {
    read(place, Trouble::Unsuitable(REPLICA.to_owned()))
}

pub(crate) fn unreadable(place: Place<'_>, why: &Unreadable) -> StoreError {
    let Place { server, key, grant } = place;
    let what = match why {
        Unreadable::Foreign => {
            return foreign(place);
        }
        Unreadable::Newer { format } => format!(
            "has format {format}, which is newer than {FORMAT}, the newest that this program reads: update it. Nothing was changed"
        ),
        Unreadable::Damaged { field } => {
            format!("is damaged: its field `{field}` is missing or wrong. {WHAT_TO_DO}")
        }
        Unreadable::OtherGrant { found } => {
            // The text comes out of a key that anything may have written.
            let found: String = found.chars().take(80).collect();
            format!("belongs to the grant {found:?}: somebody renamed or copied it. {WHAT_TO_DO}")
        }
    };
    corrupt(format!("the record of the grant {grant}, key {key} of {server}, {what}"))
}

/// A key that has no grant to it, in a listing.
pub(crate) fn nameless(server: &str, key: &str) -> StoreError {
    corrupt(format!(
        "the key {key} of {server} is in this store's namespace, and does not name its grant, so the listing is not whole. It \
         is damaged, or another program's: move it away, or give one of the two another namespace. Nothing was changed"
    ))
}

const WHAT_TO_DO: &str = "Nothing was changed. Repair the key, or log in again, which sets it aside; what it holds may be the only \
                          live refresh token";

fn foreign(Place { server, key, grant }: Place<'_>) -> StoreError {
    corrupt(format!(
        "the key {key} of {server}, which is the record's of the grant {grant}, was written by another program. Nothing was \
         changed. Give this store a namespace of its own (`RedisStore::builder(url).namespace(..)`), or remove the key if \
         nothing needs it"
    ))
}

fn corrupt(message: String) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

fn about(what: &str, kind: StoreErrorKind, server: &str, trouble: Trouble) -> StoreError {
    let (said, below) = match trouble {
        Trouble::Unsuitable(why) => (format!("will not do: {why}"), None),
        Trouble::Unreached(error) => (unreached(&error), Some(error)),
        Trouble::Unanswered(error) if error.is_timeout() => {
            ("did not answer in time: it hangs, or the network does".to_owned(), Some(error))
        }
        Trouble::Unanswered(error) => {
            (format!("did not answer ({error}): it stopped, or closed the connection"), Some(error))
        }
        Trouble::Odd => (
            "gave an answer that is none of Redis's: is something else behind the address?"
                .to_owned(),
            None,
        ),
        Trouble::Refused(error) => (refused(&error), None),
    };
    let error = StoreError::new(kind, format!("{what}: the Redis server {server} {said}"));
    match below.filter(|below| !repeats_the_command(below)) {
        Some(below) => error.with_source(below),
        None => error,
    }
}

fn unreached(error: &RedisError) -> String {
    if error.is_timeout() {
        "could not be reached in time: its host is down, a firewall drops what is sent, or only one side speaks TLS (`rediss://` does, \
         `redis://` does not)"
            .to_owned()
    } else if error.is_connection_refusal() {
        "refused the connection: start it, or correct host and port of the URL".to_owned()
    } else if error.to_string().contains("fatal alert") {
        format!(
            "ended the TLS handshake ({error}): if it asks for a certificate, show one that it trusts \
             (`RedisStore::builder(url).client_certificate(..)`)"
        )
    } else if error.to_string().contains("PEM") {
        format!(
            "was not asked, because the certificates that this host trusts cannot be read ({error}): correct `SSL_CERT_FILE` or \
             `SSL_CERT_DIR`, where they are set"
        )
    } else if error.to_string().contains("certificate") {
        format!(
            "is not the one that the certificate is for, or it is not trusted ({error}): correct the host of the URL, or name whom to \
             trust (`RedisStore::builder(url).root_certificates(..)`, or a file of certificates in `SSL_CERT_FILE`)"
        )
    } else if error.kind() == ErrorKind::Parse {
        // What it said instead goes over several lines.
        "does not answer as Redis does: correct host and port of the URL; a port that expects TLS wants `rediss://`, one that does \
         not `redis://`"
            .to_owned()
    } else if error.kind() == ErrorKind::Io {
        format!(
            "could not be reached ({error}): correct host and port of the URL; a port that expects TLS wants `rediss://`, one that \
             does not `redis://`"
        )
    } else {
        refused(error)
    }
}

/// What the server answered instead, by its code. Its own words are quoted except where they may repeat what was sent.
fn refused(error: &RedisError) -> String {
    let quoted = error.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    match (error.kind(), error.code().unwrap_or_default()) {
        (ErrorKind::AuthenticationFailed, _) | (_, "WRONGPASS") => {
            "refuses the user or the password: correct them in the URL, or make the user there (again, if the server has lost it)"
                .to_owned()
        }
        (ErrorKind::RESP3NotSupported, _) => {
            "is older than Redis 6: this store needs Redis 7.0 or later, or Valkey; update it".to_owned()
        }
        (_, "NOAUTH") => {
            "wants a password: put it into the URL, as in `redis://user:password@host:6379`".to_owned()
        }
        (ErrorKind::Server(ServerErrorKind::NoPerm), _) => denied(&quoted),
        // Of a command within a script, as Redis 7.0 says it, and as later ones and Valkey do.
        _ if quoted.contains("The user executing the script can't")
            || quoted.contains("ACL failure in script") =>
        {
            denied(&quoted)
        }
        _ if is_a_replicas(error) => format!("will not do: {REPLICA}"),
        (ErrorKind::Server(ServerErrorKind::MasterDown), _) => {
            "is a replica that has lost its master: use the master's address, or wait for the failover".to_owned()
        }
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => {
            "is still reading its data from the disk: it will be there by itself".to_owned()
        }
        (ErrorKind::Server(ServerErrorKind::ClusterDown), _) => format!(
            "is part of a cluster that is not whole{quoted}: bring its nodes back, or wait for the failover"
        ),
        (
            ErrorKind::Server(
                ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain,
            ),
            code,
        ) => format!(
            "has the key on another node, or is moving it ({code}): it will be found by itself where the URL begins with \
             `redis+cluster://`"
        ),
        (_, "OOM") => {
            "has no memory left (`maxmemory`): give it more, or remove other keys".to_owned()
        }
        (_, "NOREPLICAS") => {
            "takes no writes, because too few replicas are connected to it (`min-replicas-to-write`): bring them back, or let the \
             address lead to the new master, if there is one"
                .to_owned()
        }
        (_, "MISCONF") => {
            "takes no writes, because it cannot save to its disk: its log says why; it goes on by itself once a save has worked".to_owned()
        }
        (_, "WRONGTYPE") => "has a value of another type there, so another program wrote it. Give this store a namespace of its own \
                             (`RedisStore::builder(url).namespace(..)`), or remove the key if nothing needs it"
            .to_owned(),
        (_, "BUSY") => {
            "is busy with a script of somebody else's: end that with `SCRIPT KILL`, or wait".to_owned()
        }
        _ if quoted.contains("DB index is out of range") => {
            "has fewer databases: correct the number of the database of the URL".to_owned()
        }
        _ if repeats_the_command(error) => {
            "does not know a command that this store needs: it was renamed or disabled there, or this is no Redis".to_owned()
        }
        (_, code) => format!("answered with the error {code}{quoted}"),
    }
}

/// Whether the server's words have the arguments of the command in them, such as a password or a token.
fn repeats_the_command(error: &RedisError) -> bool {
    error.to_string().contains("unknown command")
}

fn denied(quoted: &str) -> String {
    format!(
        "denies a right{quoted}: give the user those that the README of token-store-redis names, with `ACL SETUSER`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, detail: &str) -> String {
        let error = redis::make_extension_error(code.to_owned(), Some(detail.to_owned()));
        server("localhost:6379", Trouble::Refused(error)).to_string()
    }

    #[test]
    fn what_the_server_repeats_of_a_command_is_not_told() {
        let told = said("ERR", "unknown command 'EVAL', with args beginning with: 'rt-5ecret'");
        assert!(!told.contains("5ecret") && told.contains("does not know a command"), "{told}");
        let detail =
            "unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'user' 'pa55word'";
        let error = redis::make_extension_error("ERR".to_owned(), Some(detail.to_owned()));
        let error = server("localhost:6379", Trouble::Unreached(error));
        assert!(!format!("{error:?}").contains("pa55word"), "nor by what is below it: {error:?}");
    }

    #[test]
    fn certificates_that_cannot_be_read_are_no_matter_of_the_server() {
        let error = RedisError::from((ErrorKind::Io, "failed to read PEM from file"));
        let told = server("localhost:6379", Trouble::Unreached(error)).to_string();
        assert!(told.contains("was not asked") && told.contains("`SSL_CERT_FILE`"), "{told}");
    }

    #[test]
    fn a_right_that_is_missing_in_a_script_is_told_by_any_version() {
        for detail in [
            "The user executing the script can't run this command or subcommand script: 0, on @user_script:1.",
            "ACL failure in script: User tokens has no permissions to run the 'copy' command script: on @user_script:1.",
            "ACL failure in script: No permissions to access a key script: 0, on @user_script:1.",
        ] {
            let told = said("ERR", detail);
            assert!(told.contains("denies a right") && told.contains("`ACL SETUSER`"), "{told}");
        }
    }

    #[test]
    fn a_replica_is_known_by_what_any_version_says() {
        let detail = "Can not run script with write flag on readonly replica";
        for code in ["ERR", "READONLY"] {
            assert!(said(code, detail).contains("it is a replica"), "{}", said(code, detail));
            let error = redis::make_extension_error(code.to_owned(), Some(detail.to_owned()));
            assert!(crate::link::is_about_the_server(&error), "{error}");
        }
    }

    #[test]
    fn errors_that_no_test_provokes_say_what_to_do() {
        for (code, advice) in [
            // The scripts may go on at `maxmemory`; what speaks like Redis may know no such thing.
            ("OOM", "give it more"),
            ("WRONGPASS", "correct them in the URL"),
        ] {
            let told = said(code, "x");
            assert!(told.contains(advice) && told.contains("localhost:6379"), "{told}");
        }
        assert!(said("STRANGE", "indeed").ends_with("the error STRANGE (indeed)"));
    }
}
