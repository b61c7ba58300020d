//! Ignored tests and examples prove nothing, so there are none.

use std::{fs, process::Command};

use crate::step::{Outcome, capture, root};

pub(crate) fn check() -> Outcome {
    // Files that are new and not yet added count too, else they would fail only after the commit.
    let files = capture(
        Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"])
            .args(["*.rs", "*.md"]),
    )?;
    let root = root();
    let mut found = String::new();
    for file in files.split_terminator('\0') {
        // A tracked file may be deleted in the work tree.
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for (number, line) in text.lines().enumerate().filter(|(_, line)| ignores(line)) {
            found += &format!("\n  {file}:{}: {}", number + 1, line.trim());
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!("make these run, or mark examples that cannot run `no_run`:{found}"))
}

/// Whether `line` is an ignore attribute, or opens an example that rustdoc ignores.
fn ignores(line: &str) -> bool {
    let line = line.trim_start();
    let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).unwrap_or(line);
    let fence = doc.trim_start().strip_prefix("```").unwrap_or_default();
    line.starts_with("#[ignore")
        || fence.split([',', ' ']).any(|word| word.trim().starts_with("ignore"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_attributes_and_fences() {
        let lines = ["#[ignore]", "    #[ignore = \"slow\"]", "```ignore", "/// ```rust,ignore"];
        for line in lines.into_iter().chain(["    //! ```ignore-windows", "``` rust, ignore"]) {
            assert!(ignores(line), "{line}");
        }
    }

    #[test]
    fn passes_text_about_them() {
        for line in ["// never #[ignore]", "/// ```no_run", "```", "/// ignore", "let ignore = 1;"]
        {
            assert!(!ignores(line), "{line}");
        }
    }
}
