//! The checks of `cargo xtask ci` that run before the tests.

use crate::{
    dependencies, ignored,
    step::{Outcome, Step, cargo, run},
    tools,
};

/// The version that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

pub(crate) const STEPS: &[Step] = &[
    Step { name: "format", run: || run(&mut cargo("fmt --all --check")) },
    Step { name: "clippy, all features", run: || clippy("--all-features") },
    Step { name: "clippy, no default features", run: || clippy("--no-default-features") },
    Step { name: "docs", run: docs },
    Step { name: "no ignored tests", run: no_ignored_tests },
    Step { name: "cargo-deny", run: deny },
    Step { name: "dependency promises", run: dependencies::check },
];

fn clippy(features: &str) -> Outcome {
    run(&mut cargo(&format!("clippy --workspace --all-targets {features} -- -D warnings")))
}

fn docs() -> Outcome {
    run(cargo("doc --workspace --all-features --no-deps --document-private-items")
        .env("RUSTDOCFLAGS", "-D warnings"))
}

fn no_ignored_tests() -> Outcome {
    tools::ensure(&[tools::GIT])?;
    ignored::check()
}

fn deny() -> Outcome {
    if !tools::on_path("cargo-deny") {
        println!("cargo-deny is missing; installing it with cargo, which takes some minutes");
        run(&mut cargo(&format!("install cargo-deny --locked --version {CARGO_DENY}")))?;
    }
    run(&mut cargo("deny check bans licenses sources"))
}
