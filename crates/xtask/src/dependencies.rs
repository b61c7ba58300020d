//! What the crates promise about what they pull in.

use serde::Deserialize;

use crate::step::{Outcome, capture, cargo};

/// HTTP clients, TLS stacks and store drivers: their choice is the user's, so none reaches `token-core`.
const NOT_IN_CORE: &[&str] = &[
    "h2",
    "hyper",
    "hyper-util",
    "native-tls",
    "openssl",
    "openssl-sys",
    "redis",
    "reqwest",
    "rustls",
];

pub(crate) fn check() -> Outcome {
    let tree = "tree --package token-core --edges normal --all-features --target all --prefix none";
    core_is_light(&capture(&mut cargo(tree))?)?;

    // Its default features: the suite for stores, which needs the trait, is one to ask for.
    let tree = "tree --package token-testkit --edges normal --target all --prefix none";
    kit_stands_alone(&capture(&mut cargo(tree))?)?;

    let metadata = capture(&mut cargo("metadata --no-deps --format-version 1"))?;
    let metadata = serde_json::from_str(&metadata)
        .map_err(|error| format!("`cargo metadata` printed something unexpected: {error}."))?;
    crates_meet_in_core(&metadata)
}

/// `tree` has one line for each package: its name, a space, its version.
fn core_is_light(tree: &str) -> Outcome {
    let mut names = tree.lines().filter_map(|line| line.split(' ').next());
    match names.find(|name| NOT_IN_CORE.contains(name)) {
        None => Ok(()),
        Some(name) => Err(format!(
            "token-core must not depend on {name}; `cargo tree -e normal -p token-core -i {name}` \
             shows where it comes from."
        )),
    }
}

/// The kit judges the other crates from outside, and their users' own.
fn kit_stands_alone(tree: &str) -> Outcome {
    let mut names = tree.lines().filter_map(|line| line.split(' ').next());
    match names.find(|name| *name == "token-core") {
        None => Ok(()),
        Some(_) => {
            Err("token-testkit must depend on token-core with its feature `conformance` only."
                .to_owned())
        }
    }
}

/// Adapters and stores know `token-core`, never each other, so that each is chosen alone.
fn crates_meet_in_core(metadata: &Metadata) -> Outcome {
    for package in metadata.packages.iter().filter(|package| package.is_published()) {
        let mut others = package.dependencies.iter().filter(|other| other.is_normal_and_ours());
        if let Some(other) = others.find(|other| other.name != "token-core") {
            return Err(format!(
                "{} must not depend on {}: token-core is the only crate of this workspace that a \
                 published crate may depend on.",
                package.name, other.name
            ));
        }
    }
    Ok(())
}

/// The part of `cargo metadata` that is judged here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    /// The registries it may go to; nothing stands for all of them.
    publish: Option<Vec<String>>,
    dependencies: Vec<Dependency>,
}

impl Package {
    fn is_published(&self) -> bool {
        self.publish.as_ref().is_none_or(|registries| !registries.is_empty())
    }
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing for a normal one.
    kind: Option<String>,
    /// Where it lies, if it is a member of this workspace.
    path: Option<String>,
}

impl Dependency {
    fn is_normal_and_ours(&self) -> bool {
        self.kind.is_none() && self.path.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_tree_match_as_a_whole() {
        let tree = "token-core v0.1.0 (/src)\nhttp v1.3.0\nhyper-like v1.0.0\nhttp v1.3.0 (*)\n";
        assert_eq!(core_is_light(tree), Ok(()));
        assert!(core_is_light(&format!("{tree}hyper v1.7.0\n")).is_err());
    }

    #[test]
    fn the_kit_without_features_knows_no_other_crate_of_ours() {
        assert_eq!(
            kit_stands_alone("token-testkit v0.1.0 (/src)\ntoken-core-like v1.0.0\n"),
            Ok(())
        );
        assert!(
            kit_stands_alone("token-testkit v0.1.0 (/src)\ntoken-core v0.1.0 (/src)\n").is_err()
        );
    }

    #[test]
    fn a_published_crate_may_depend_on_token_core_only() {
        let judge = |publish: &str, name: &str, kind: &str, path: &str| {
            let json = format!(
                r#"{{"packages":[{{"name":"a","publish":{publish},"dependencies":
                    [{{"name":"{name}","kind":{kind},"path":{path}}}]}}]}}"#
            );
            crates_meet_in_core(&serde_json::from_str(&json).unwrap())
        };
        assert!(judge("null", "b", "null", r#""/b""#).is_err());
        assert_eq!(judge("null", "token-core", "null", r#""/core""#), Ok(()));
        assert_eq!(judge("null", "b", r#""dev""#, r#""/b""#), Ok(()));
        assert_eq!(judge("null", "http", "null", "null"), Ok(()));
        assert_eq!(judge("[]", "b", "null", r#""/b""#), Ok(()));
    }
}
