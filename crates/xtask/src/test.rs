//! `cargo xtask test`: everything that proves the project works.

use std::process::Command;

use redis_servers::Server;
use serde::Deserialize;

use crate::{
    chaos,
    kit::Kit,
    model, node,
    step::{Outcome, Step, capture, cargo, run},
    tools,
};

/// A new kind of test is one more entry; a system tool that it needs goes into the first one.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "system tools",
        run: || {
            tools::ensure(&[
                tools::CC,
                tools::CURL,
                tools::NODE,
                tools::NPM,
                tools::REDIS,
                tools::SPIN,
            ])
        },
    },
    Step { name: "npm packages", run: node::packages },
    Step {
        name: "unit and integration tests",
        run: || run(&mut cargo("test --workspace --all-features --lib --bins --tests")),
    },
    Step { name: "doc tests", run: || run(&mut cargo("test --workspace --all-features --doc")) },
    Step { name: "model of the protocol, quick variants", run: model::check_quick },
    Step {
        name: "example stampede",
        run: || stampede("--requests 2000 --seconds 3", "memory", 4_000),
    },
    Step {
        name: "example stampede over reqwest",
        run: || stampede("--requests 2000 --seconds 3 --adapter reqwest", "memory", 4_000),
    },
    Step {
        name: "example stampede, 8 processes, 20 expiries and 3 s of load",
        run: || shared_stampede("--processes 8 --requests 50 --rounds 20 --seconds 3", 8_000),
    },
    Step {
        name: "example stampede, 32 processes of 250 tasks",
        run: || shared_stampede("--processes 32 --requests 250 --rounds 3", 24_000),
    },
    Step {
        name: "example stampede, 8 processes, grants that use nothing up",
        run: || {
            ["pos-connector", "jwt-refresh", "nocturna-service"].iter().try_for_each(|profile| {
                let line = format!("--processes 8 --requests 50 --rounds 20 --profile {profile}");
                shared_stampede(&line, 8_000)
            })
        },
    },
    Step {
        name: "example stampede over Redis, 32 processes of 250 tasks and 100 expiries",
        run: || {
            let redis = Server::start();
            let line = "--processes 32 --requests 250 --rounds 100";
            stampede(line, &redis.url(), 800_000)
        },
    },
    Step {
        name: "example replicas over Redis",
        run: || {
            let redis = Server::start();
            run(cargo("run --release --example replicas -- --store").arg(redis.url()))
        },
    },
    Step {
        name: "example stampede, every profile",
        run: || {
            PROFILES.iter().try_for_each(|profile| {
                stampede(&format!("--requests 2000 --profile {profile}"), "memory", 4_000)
            })
        },
    },
    Step { name: "example stampede, a profile's file and a server apart", run: stampede_by_file },
    Step {
        name: "examples of five APIs",
        run: || EXAMPLES.iter().try_for_each(|name| example(name)),
    },
    Step { name: "example replicas", run: || run(&mut cargo("run --release --example replicas")) },
    // It fails if ours is not as promised, whatever became of the other.
    Step { name: "example by_hand", run: || run(&mut cargo("run --release --example by_hand")) },
    Step { name: "chaos, 200 kills", run: chaos::over_files },
    Step {
        name: "chaos over Redis, 200 kills and all faults of its servers",
        run: chaos::over_redis,
    },
];

/// Those of which the kit has the server.
const PROFILES: &[&str] =
    &["akuvox", "highlevel", "jwt-refresh", "nocturna", "nocturna-service", "pos-connector"];

/// Each fails by itself unless what it claims holds.
const EXAMPLES: &[&str] = &["akuvox", "highlevel", "jwt_refresh", "nocturna", "pos_connector"];

fn example(name: &str) -> Outcome {
    run(&mut cargo(&format!("run --release --example {name}")))
}

/// At least so many requests have to succeed.
fn stampede(options: &str, store: &str, least: u64) -> Outcome {
    let line = format!("run --release --example stampede -- --json {options}");
    report(cargo(&line).args(["--store", store]), least)
}

fn report(stampede: &mut Command, least: u64) -> Outcome {
    let line = capture(stampede)?;
    println!("{}", line.trim_end());
    Stampede::parse(&line)?.check(least)
}

/// A stampede at a server that was started apart, by a profile in a file.
fn stampede_by_file() -> Outcome {
    let kit = Kit::start("--dialect high-level")?;
    let api_url = kit.said("API")?;
    let base_url = api_url.strip_suffix("/api").unwrap_or(api_url);
    let profile = "crates/token-core/src/endpoint/profile/shipped/highlevel.toml";
    let line = format!(
        "run --release --example stampede -- --json --requests 2000 --profile {profile} --base-url {base_url} --api-url {api_url}"
    );
    let mut stampede = cargo(&line);
    for (variable, said) in [
        ("GHL_CLIENT_ID", "client id"),
        ("GHL_CLIENT_SECRET", "client secret"),
        ("REFRESH_TOKEN", "refresh token"),
    ] {
        stampede.env(variable, kit.said(said)?);
    }
    report(&mut stampede, 2_000)
}

/// A stampede of processes, which share a directory.
fn shared_stampede(options: &str, least: u64) -> Outcome {
    let directory = tempfile::tempdir()
        .map_err(|error| format!("there is no temporary directory: {error}."))?;
    stampede(options, &format!("file:{}", directory.path().display()), least)
}

/// The part of the example's JSON line that is judged here.
#[derive(Deserialize)]
struct Stampede {
    ok: u64,
    failed: u64,
    token_requests: u64,
    expiries: u64,
    reuse_detected: u64,
}

impl Stampede {
    fn parse(line: &str) -> Outcome<Self> {
        serde_json::from_str(line)
            .map_err(|error| format!("stampede --json must print one JSON line: {error}."))
    }

    fn check(&self, least: u64) -> Outcome {
        let Self { ok, failed, token_requests, expiries, reuse_detected } = self;
        if *failed > 0 || *ok < least {
            return Err(format!(
                "{failed} requests failed, and {ok} succeeded of at least {least}."
            ));
        }
        if *reuse_detected > 0 {
            return Err(format!("the server saw {reuse_detected} used refresh tokens again."));
        }
        if token_requests != expiries {
            return Err(format!(
                "{expiries} occasions required a new token, but {token_requests} were requested."
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_run_passes_and_each_kind_of_defect_fails() {
        let clean = r#"{"requests":9,"ok":9,"failed":0,"token_requests":2,"expiries":2,"reuse_detected":0}"#;
        assert_eq!(Stampede::parse(clean).unwrap().check(9), Ok(()));

        for (good, bad) in [
            (r#""ok":9"#, r#""ok":8"#),
            (r#""failed":0"#, r#""failed":1"#),
            (r#""token_requests":2"#, r#""token_requests":3"#),
            (r#""reuse_detected":0"#, r#""reuse_detected":1"#),
        ] {
            let line = clean.replace(good, bad);
            assert!(Stampede::parse(&line).unwrap().check(9).is_err(), "{line}");
        }
    }

    #[test]
    fn a_line_that_lacks_a_counter_or_is_followed_by_another_is_an_error() {
        assert!(Stampede::parse(r#"{"ok":1}"#).is_err());
        let line = r#"{"ok":1,"failed":0,"token_requests":1,"expiries":1,"reuse_detected":0}"#;
        assert!(Stampede::parse(&format!("{line}\n")).is_ok());
        assert!(Stampede::parse(&format!("{line}\n{line}\n")).is_err());
    }
}
