//! What may be wrong with a directory or a record, each through whole services: one that runs, with a token that is still good,
//! and one that starts.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use token_core::Health;
use token_core::store::StoreErrorKind::{self, Corrupt, Insecure, Refused};
use token_store_file::FileStore;

use crate::site::{Site, failure, refreshed, tells};

pub(crate) struct Trouble {
    pub(crate) name: &'static str,
    pub(crate) cause: Cause,
    pub(crate) kind: StoreErrorKind,
    /// What happened, and what to do.
    pub(crate) says: &'static [&'static str],
    pub(crate) newcomer: Newcomer,
}

#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// The record's text becomes another, and is put back.
    Rewrites(Damage),
    /// Something is done, or cannot be done by this user or on this machine, and then what the error says.
    Does(fn(&Site) -> Possible, fn(&Site) -> Possible),
}

pub(crate) type Damage = fn(&str) -> String;

type Possible = Result<(), &'static str>;

/// What becomes of a service that starts meanwhile.
#[derive(Clone, Copy)]
pub(crate) enum Newcomer {
    HearsTheSame,
    CannotOpen(&'static [&'static str]),
    ReadsTheToken,
    /// It cannot know that there was another directory: there is none to be afraid of.
    IsNotStarted,
}

use Cause::{Does, Rewrites};
use Newcomer::{CannotOpen, HearsTheSame, IsNotStarted};

const DAMAGED: &str = "is damaged: it breaks off or goes wrong at line";
const REPAIR: &str = "Nothing was changed. Repair the file, or log in again, which sets it aside";

const TROUBLES: &[Trouble] = &[
    damaged("a corrupt record", |text| text.replacen("\"key\"", "\"key", 1), &[DAMAGED, REPAIR]),
    damaged("a truncated record", |text| text[..text.len() / 2].into(), &[DAMAGED, REPAIR]),
    damaged("an empty record", |_| String::new(), &["is empty.", REPAIR]),
    damaged(
        "a record of another grant",
        |text| text.replacen("billing-api", "payroll-api", 1),
        &["belongs to the grant \"payroll-api\": somebody moved or copied it.", REPAIR],
    ),
    damaged(
        "an envelope that is whole around a record that is not",
        |text| restamped(&text.replacen("\"epoch\"", "\"era\"", 1)),
        &[
            "the stored record cannot be read: it is damaged, or something else wrote it; repair it, or log in again",
        ],
    ),
    damaged(
        "an envelope of a newer format",
        |text| text.replacen("\"format\": 1", "\"format\": 2", 1),
        &["has format 2, which is newer than this program: update it"],
    ),
    damaged(
        "a record of a newer format",
        |text| restamped(&newer_record(text)),
        &["the stored record has format 2, this version reads up to 1: update this program"],
    ),
    Trouble {
        name: "a world-readable record",
        cause: Does(|site| mode(&site.record(), 0o644), |site| mode(&site.record(), 0o600)),
        kind: Insecure,
        says: &["others may use billing-api-", "(mode 644); find out who did, then `chmod 600` it"],
        newcomer: HearsTheSame,
    },
    Trouble {
        name: "a foreign-owned record",
        cause: Does(|site| give(&site.record(), 12345), |site| give(&site.record(), 0)),
        kind: Insecure,
        says: &[
            "belongs to user 12345 and this process runs as 0; run as that user, or `chown` it",
        ],
        newcomer: HearsTheSame,
    },
    Trouble {
        name: "a symlinked record",
        cause: Does(
            |site| {
                let record = site.record();
                fs::rename(&record, site.beside("elsewhere")).unwrap();
                done(symlink(site.beside("elsewhere"), record))
            },
            |site| done(fs::rename(site.beside("elsewhere"), site.record())),
        ),
        kind: Insecure,
        says: &["billing-api-", "is a symbolic link; put the file itself in its place"],
        newcomer: HearsTheSame,
    },
    Trouble {
        name: "a directory that others may write to",
        cause: Does(|site| mode(&site.directory, 0o777), |site| mode(&site.directory, 0o700)),
        kind: Insecure,
        says: &["others may write to the directory (mode 777)", "`chmod go-w` it"],
        newcomer: CannotOpen(&[
            "/tokens cannot be used: others may write to the directory (mode 777)",
        ]),
    },
    Trouble {
        name: "a foreign-owned directory",
        cause: Does(|site| give(&site.directory, 12345), |site| give(&site.directory, 0)),
        kind: Insecure,
        says: &["the directory belongs to user 12345 and this process runs as 0"],
        newcomer: CannotOpen(&["/tokens cannot be used: the directory belongs to user 12345"]),
    },
    Trouble {
        name: "a vanished directory",
        cause: Does(
            |site| done(fs::rename(&site.directory, site.beside("moved"))),
            |site| done(fs::rename(site.beside("moved"), &site.directory)),
        ),
        kind: Refused,
        says: &[
            "/tokens cannot be read: the directory was removed or moved since it was opened; put it back (a restart begins without its records)",
        ],
        newcomer: IsNotStarted,
    },
    Trouble {
        name: "a directory in which nothing can be written",
        cause: Does(|site| immutable(site, "+i"), |site| immutable(site, "-i")),
        kind: Refused,
        says: &[
            "was not written: Operation not permitted",
            "give this user the right to write there",
        ],
        newcomer: CannotOpen(&["/tokens cannot be used: Operation not permitted"]),
    },
];

#[tokio::test]
async fn each_trouble_is_told_and_survived_and_over_when_it_is_mended() {
    for trouble in TROUBLES {
        walk(&Site::new(), trouble).await;
    }
}

/// From a service that runs, through the trouble, and out of it.
pub(crate) async fn walk(site: &Site, trouble: &Trouble) {
    let name = trouble.name;
    let tokens = site.start_timed();
    let token = tokens.token().await.unwrap();
    let mut events = tokens.events();
    let whole = fs::read_to_string(site.record()).unwrap();
    match trouble.cause {
        Rewrites(damage) => fs::write(site.record(), damage(&whole)).unwrap(),
        Does(cause, _) => {
            if let Err(why) = cause(site) {
                println!("not tested: {name}: {why}");
                return;
            }
        }
    }
    let before = contents(&site.directory);

    // The time for the next token comes.
    site.until_stale();
    let error = failure(&mut events).await;
    println!("{name}:\n    {error}");
    tells(&error, trouble.kind, trouble.says);
    let served = tokens.token().await.unwrap();
    assert_eq!(served.version(), token.version(), "{name}: the good token is served on");
    let status = tokens.status();
    assert_eq!((status.health(), status.needs_login()), (Health::Stale, false), "{name}");
    assert_eq!(status.last_error().map(ToString::to_string), Some(error.to_string()), "{name}");

    // The seed was used: it is not the answer to a record that cannot be had. One shot: nothing is left under way.
    let newcomer = || site.service().clock(site.clock.clone()).one_shot().build().unwrap();
    match trouble.newcomer {
        Newcomer::HearsTheSame => {
            let error = newcomer().token().await.unwrap_err();
            tells(&error, trouble.kind, trouble.says);
        }
        Newcomer::CannotOpen(says) => {
            let error = FileStore::open(&site.directory).unwrap_err().to_string();
            assert!(says.iter().all(|part| error.contains(part)), "{name}: {error}");
        }
        Newcomer::ReadsTheToken => {
            assert_eq!(newcomer().token().await.unwrap().version(), token.version(), "{name}");
        }
        Newcomer::IsNotStarted => {}
    }
    assert_eq!(site.kit.token_requests(), 1, "{name}: nothing was sent");
    assert_eq!(contents(&site.directory), before, "{name}: all is as it was");

    match trouble.cause {
        Rewrites(_) => fs::write(site.record(), whole).unwrap(),
        Does(_, mend) => mend(site).unwrap(),
    }
    site.clock.advance(error.retry_after().unwrap());
    refreshed(&mut events).await;
    assert!(tokens.token().await.unwrap().version() > token.version(), "{name}");
    assert!(tokens.status().last_error().is_none(), "{name}");
    let counters = site.kit.server.counters();
    assert_eq!((counters.token_requests, counters.reuse_detected), (2, 0), "{name}");
}

const fn damaged(name: &'static str, damage: Damage, says: &'static [&'static str]) -> Trouble {
    Trouble { name, cause: Rewrites(damage), kind: Corrupt, says, newcomer: HearsTheSame }
}

/// As another write has it. One with the same stamp is the write that services know, whatever became of it since.
pub(crate) fn restamped(text: &str) -> String {
    let (before, after) = text.split_once("\"stamp\": \"").unwrap();
    format!("{before}\"stamp\": \"{}{}", "7".repeat(32), &after[32..])
}

/// The second format in a file is the record's; the first is that of the envelope.
pub(crate) fn newer_record(text: &str) -> String {
    let record = text.find("\"record\"").unwrap();
    let (envelope, record) = text.split_at(record);
    format!("{envelope}{}", record.replacen("\"format\": 1", "\"format\": 2", 1))
}

fn done(result: std::io::Result<()>) -> Possible {
    result.map_err(|_| "the file system does not do it")
}

fn mode(path: &Path, mode: u32) -> Possible {
    done(fs::set_permissions(path, Permissions::from_mode(mode)))
}

fn give(path: &Path, user: u32) -> Possible {
    chown(path, Some(user), None).map_err(|_| "only root gives files away")
}

fn immutable(site: &Site, flag: &str) -> Possible {
    let changed = Command::new("chattr").arg(flag).arg(&site.directory).output();
    let changed = changed.is_ok_and(|output| output.status.success());
    if changed { Ok(()) } else { Err("`chattr` takes root, and a file system that has flags") }
}

/// All that is in a directory but the signs of life, which come and go.
fn contents(directory: &Path) -> Vec<(String, u32, u32, Vec<u8>)> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut contents: Vec<_> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| !name.starts_with("alive-"))
        .map(|(name, path)| {
            let metadata = fs::symlink_metadata(&path).unwrap();
            (name, metadata.mode(), metadata.uid(), fs::read(path).unwrap())
        })
        .collect();
    contents.sort_unstable();
    contents
}
