//! The npm packages of the end-to-end tests: exactly those of the lock file.

use std::{fs, process::Command};

use crate::step::{Outcome, capture, root, run};

const FOLDER: &str = "tests/oidc-provider";

/// What oidc-provider 9 runs on: an older Node lacks `URL.parse`.
const OLDEST: (u32, u32) = (20, 19);

pub(crate) fn packages() -> Outcome {
    check_version(&capture(Command::new("node").arg("--version"))?)?;
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

    /// A mirror's address in the lock file would be one that others cannot reach.
    #[test]
    fn the_lock_file_names_the_public_registry_and_a_hash_for_each_package() {
        let text = fs::read_to_string(root().join(FOLDER).join("package-lock.json")).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&text).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        assert!(packages.contains_key("node_modules/oidc-provider"));
        // The one without a name is the folder itself.
        for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
            let from = package["resolved"].as_str().unwrap_or_default();
            assert!(from.starts_with("https://registry.npmjs.org/"), "{name}: {from}");
            assert!(package["integrity"].is_string(), "{name}");
        }
    }
}
