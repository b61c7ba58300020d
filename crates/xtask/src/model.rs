//! `cargo xtask model`: the Spin model of the refresh protocol (`model/refresh.pml`), with and without each of its rules.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use crate::{
    step::{Outcome, capture, root, run},
    tools,
};

use Verdict::{Fails, Holds};

const MODEL: &str = "model/refresh.pml";

/// Deeper than any variant goes (some 250 steps) and larger than any needs (some 30 MiB). A search that hits a bound
/// counts as failed.
const DEPTH: &str = "-m100000";
const MEGABYTES: &str = "-DMEMLIM=512";

/// A new variant is one more entry, and a row of `model/README.md`.
const VARIANTS: &[Variant] = &[
    // How an answer is committed, and when an intent is taken over.
    quick("blind-set", "COMMIT_BLIND", AVOIDABLE),
    quick("owner-fence", "COMMIT_BY_OWNER", Fails("live_token_dropped")),
    quick("no-quarantine", "", AVOIDABLE),
    quick("quarantine", "QUARANTINE CRASHES=3 GENERATIONS=5", Holds),
    quick("require-login", "REQUIRE_LOGIN CRASHES=3 GENERATIONS=5", Holds),
    // The sender may pause before it sends, and the request may be delayed.
    slow("delayed-request", "QUARANTINE_ANSWER", AVOIDABLE),
    slow("assertion", "QUARANTINE_ANSWER ASSERTION_EXPIRES CRASHES=3 GENERATIONS=5", Holds),
    slow("assertion-alone", "ASSERTION_EXPIRES", AVOIDABLE),
    // The store falls back to its replica.
    slow("failover", "QUARANTINE CRASHES=1 FAILOVERS=1", AVOIDABLE),
    slow("failover-wait", "QUARANTINE WAIT_INTENT CRASHES=1 FAILOVERS=1", AVOIDABLE),
    slow("failover-settle", "QUARANTINE SETTLE CRASHES=1 FAILOVERS=1", AVOIDABLE),
    quick(
        "failover-both",
        "QUARANTINE WAIT_INTENT SETTLE CRASHES=3 FAILOVERS=3 GENERATIONS=6",
        Holds,
    ),
    slow(
        "failover-assertion",
        "QUARANTINE_ANSWER ASSERTION_EXPIRES WAIT_INTENT SETTLE CRASHES=3 FAILOVERS=2 GENERATIONS=5",
        Holds,
    ),
    slow("failover-login", "REQUIRE_LOGIN CRASHES=1 FAILOVERS=1", AVOIDABLE),
    slow(
        "failover-login-wait",
        "REQUIRE_LOGIN WAIT_INTENT CRASHES=3 FAILOVERS=3 GENERATIONS=6",
        Holds,
    ),
    // The searches that hold are not empty: they come as far as a loss that nobody could have avoided, and to the end.
    slow(
        "loss-reached",
        "QUARANTINE CRASHES=3 GENERATIONS=5 NEVER_REVOKED",
        Fails("family_revoked"),
    ),
    slow(
        "login-never-loses",
        "REQUIRE_LOGIN WAIT_INTENT CRASHES=3 FAILOVERS=3 GENERATIONS=6 NEVER_REVOKED",
        Holds,
    ),
    slow(
        "both-reaches-end",
        "QUARANTINE WAIT_INTENT SETTLE CRASHES=3 FAILOVERS=3 GENERATIONS=6 NEVER_LAST",
        Fails("last_reached"),
    ),
    slow(
        "assertion-reaches-end",
        "QUARANTINE_ANSWER ASSERTION_EXPIRES WAIT_INTENT SETTLE CRASHES=3 FAILOVERS=2 GENERATIONS=5 NEVER_LAST",
        Fails("last_reached"),
    ),
    slow(
        "login-reaches-end",
        "REQUIRE_LOGIN WAIT_INTENT CRASHES=3 FAILOVERS=3 GENERATIONS=6 NEVER_LAST",
        Fails("last_reached"),
    ),
];

/// The family is revoked while the live token still exists.
const AVOIDABLE: Verdict<&str> = Fails("avoidable_loss");

struct Variant {
    name: &'static str,
    /// What is defined for the model, separated by spaces: rules in force, and the scope.
    flags: &'static str,
    expected: Verdict<&'static str>,
    /// Whether it is part of `cargo xtask test`.
    quick: bool,
}

const fn quick(
    name: &'static str,
    flags: &'static str,
    expected: Verdict<&'static str>,
) -> Variant {
    Variant { name, flags, expected, quick: true }
}

const fn slow(name: &'static str, flags: &'static str, expected: Verdict<&'static str>) -> Variant {
    Variant { name, flags, expected, quick: false }
}

/// What a search comes to; a failure has the name of what is asserted never to be.
#[derive(Debug, PartialEq, Eq)]
enum Verdict<Name> {
    Holds,
    Fails(Name),
}

impl<Name: AsRef<str>> Verdict<Name> {
    fn words(&self) -> String {
        match self {
            Holds => "holds".into(),
            Fails(name) => format!("fails: {}", name.as_ref().replace('_', " ")),
        }
    }
}

/// What a search that was exhaustive, or ended at an assertion, has seen.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    verdict: Verdict<String>,
    states: u64,
}

/// Checks every variant.
pub(crate) fn check_all() -> Outcome {
    check(VARIANTS.iter())
}

/// Checks those variants that show in a few seconds that the model and its rules still belong together.
pub(crate) fn check_quick() -> Outcome {
    check(VARIANTS.iter().filter(|variant| variant.quick))
}

fn check(variants: impl Iterator<Item = &'static Variant>) -> Outcome {
    tools::ensure(&[tools::CC, tools::SPIN])?;
    // Other programs have the name too.
    if !capture(Command::new("spin").arg("-V"))?.starts_with("Spin Version") {
        return Err(
            "the `spin` on the PATH is not the model checker of https://spinroot.com.".into()
        );
    }
    let folder = Folder::new()?;
    println!(
        "| variant | rules and scope | expected | seen | states | s |\n|---|---|---|---|---:|---:|"
    );
    let mut wrong = String::new();
    for variant in variants {
        let start = Instant::now();
        let seen = search(variant.flags, &folder.0).and_then(|report| parse(&report));
        let (words, states) = match &seen {
            Ok(Seen { verdict, states }) => (verdict.words(), states.to_string()),
            Err(_) => ("no verdict".into(), "?".into()),
        };
        let Variant { name, flags, expected, .. } = variant;
        let (expected, time) = (expected.words(), start.elapsed().as_secs_f32());
        println!("| {name} | {flags} | {expected} | {words} | {states} | {time:.1} |");
        match seen {
            Ok(_) if words == expected => {}
            Ok(_) => wrong += &format!("\n  {name}: expected `{expected}`, saw `{words}`."),
            Err(why) => wrong += &format!("\n  {name}: {why}"),
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not as expected (model/README.md says how to see the steps of a counterexample):{wrong}"
    ))
}

/// Builds the checker for the model with `flags` in `folder`, runs it, and returns its report.
fn search(flags: &str, folder: &Path) -> Outcome<String> {
    let defines = flags.split_whitespace().map(|flag| format!("-D{flag}"));
    // Spin's own choice of preprocessor is a gcc.
    run(Command::new("spin")
        .args(["-Pcc -E -x c", "-a"])
        .args(defines)
        .arg(root().join(MODEL))
        .current_dir(folder))?;
    // The generated C has warnings. More optimization takes longer than it saves.
    run(Command::new("cc")
        .args(["-w", "-O1", "-DSAFETY", MEGABYTES, "-o", "pan", "pan.c"])
        .current_dir(folder))?;
    // The status says nothing: it is 0 after an error and after half a search. The report says all.
    let output =
        Command::new(folder.join("pan")).args([DEPTH, "-w20"]).current_dir(folder).output();
    let output = output.map_err(|error| format!("`pan` did not start: {error}."))?;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8(text).map_err(|_| "`pan` printed text that is not UTF-8.".into())
}

/// Reads the report of `pan`. A search that left anything out is an error, whatever it saw.
fn parse(report: &str) -> Outcome<Seen> {
    let failed = |why: &str| Err(format!("{why}:\n{}", report.trim()));
    // "errors: 0" stands below each of these all the same.
    for sign in ["max search depth too small", "MEMLIM", "out of memory", "VECTORSZ"] {
        if report.contains(sign) {
            return failed("the search hit a bound");
        }
    }
    // Bit-state and hash-compact searches, which leave out states at random, have other headings.
    if !report.lines().any(|line| line == "Full statespace search for:") {
        return failed("this is no report of a full search");
    }
    let errors = report.split_once("errors: ").and_then(|(_, rest)| rest.lines().next());
    let states = report.lines().find_map(|line| line.strip_suffix(" states, stored"));
    let states = states.and_then(|number| number.trim().parse().ok());
    let (Some(errors), Some(states @ 1..)) = (errors, states) else {
        return failed("the report lacks its figures");
    };
    match errors.trim() {
        "0" if report.contains("Search not completed") => failed("the search was not completed"),
        "0" => Ok(Seen { verdict: Holds, states }),
        "1" => match violated(report) {
            Some(name) => Ok(Seen { verdict: Fails(name.to_owned()), states }),
            None => failed("the error is none of the model's assertions"),
        },
        _ => failed("the number of errors is odd"),
    }
}

/// The name of what was asserted not to be.
fn violated(report: &str) -> Option<&str> {
    let (_, rest) = report.split_once("assertion violated")?;
    let (text, _) = rest.split_once(" (at depth")?;
    text.trim().strip_prefix("!(")?.strip_suffix(')')
}

/// Where the checkers are built: beside this task, below the target folder. It goes when this does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Outcome<Self> {
        let task = env::current_exe()
            .map_err(|error| format!("the path of this task is unknown: {error}."))?;
        let folder = task.with_file_name(format!("model-{}", process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| format!("{} cannot be made: {error}.", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies below the target folder, which nobody keeps.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPLETE: &str = "\n(Spin Version 6.5.2 -- 6 December 2019)\n\t+ Partial Order Reduction\n\n\
        Full statespace search for:\n\tnever claim         \t- (none specified)\n\n\
        State-vector 68 byte, depth reached 202, errors: 0\n   183039 states, stored\n   \
        611040 states, matched\n\npan: elapsed time 0.4 seconds\n";

    fn stopped() -> String {
        let warning = "\n(Spin Version 6.5.2 -- 6 December 2019)\nWarning: Search not completed\n";
        let report = COMPLETE.replace("\n(Spin Version 6.5.2 -- 6 December 2019)\n", warning);
        format!(
            "pan:1: assertion violated  !(avoidable_loss) (at depth 101)\npan: wrote refresh.pml.trail\n{}",
            report.replace("errors: 0", "errors: 1")
        )
    }

    #[test]
    fn a_full_search_holds_and_a_violated_assertion_is_named() {
        assert_eq!(parse(COMPLETE), Ok(Seen { verdict: Holds, states: 183_039 }));
        let verdict = Fails("avoidable_loss".to_owned());
        assert_eq!(parse(&stopped()), Ok(Seen { verdict, states: 183_039 }));
    }

    #[test]
    fn a_search_that_left_anything_out_is_an_error() {
        for sign in [
            "error: max search depth too small\n",
            "pan: reached -DMEMLIM bound\n",
            "pan: out of memory\n",
            "pan: VECTORSZ is too small, edit pan.h\n",
        ] {
            assert!(parse(&format!("{sign}{COMPLETE}")).is_err(), "{sign}");
            assert!(parse(&format!("{}{sign}", stopped())).is_err(), "{sign}");
        }
        for (whole, part) in [
            ("Full statespace", "Bit statespace"),
            ("\t+ Partial", "Warning: Search not completed\n\t+ Partial"),
            ("183039", "0"),
            ("183039", "1.5e+09"),
            ("183039 states, stored", ""),
            ("errors: 0", ""),
            ("errors: 0", "errors: 10"),
        ] {
            let report = COMPLETE.replace(whole, part);
            assert_ne!(report, COMPLETE);
            assert!(parse(&report).is_err(), "{report}");
        }
        assert!(parse("").is_err());
    }

    #[test]
    fn an_error_that_is_no_assertion_of_the_model_is_no_counterexample() {
        for other in ["invalid end state (at depth 3)", "indexing q[2] (at depth 9)"] {
            let report =
                stopped().replace("assertion violated  !(avoidable_loss) (at depth 101)", other);
            assert!(parse(&report).is_err(), "{report}");
        }
    }

    #[test]
    fn the_model_knows_each_flag_and_each_assertion_and_the_readme_each_variant() {
        let model = fs::read_to_string(root().join(MODEL)).unwrap();
        let readme = fs::read_to_string(root().join("model/README.md")).unwrap();
        for Variant { name, flags, expected, .. } in VARIANTS {
            // A misspelled one would switch nothing, and nobody would say so.
            for flag in flags.split_whitespace().filter_map(|flag| flag.split('=').next()) {
                let uses = [format!("def {flag}\n"), format!("defined({flag})")];
                assert!(uses.iter().any(|text| model.contains(text)), "{name}: {flag}");
            }
            if let Fails(assertion) = expected {
                assert!(model.contains(&format!("assert(!{assertion})")), "{name}: {assertion}");
            }
            let row = format!("| {name} | {flags} | {} | ", expected.words());
            assert!(readme.contains(&row), "{row}");
        }
    }
}
