//! `cargo xtask verify`: one list of steps, the cheap ones first; it stops at the first that fails.

use crate::{run, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// How many seeds the swarm runs.
const SEEDS: &str = "500";
/// How long each fuzz target runs in CI, in seconds.
const FUZZ_SECONDS: &str = "60";
/// How many lines of a failing step's output are shown.
const TAIL: usize = 60;

/// How many checks a step made.
type Checked = Result<usize, String>;

struct Step {
    name: &'static str,
    run: fn(&Path) -> Checked,
}

const STEPS: &[Step] = &[
    Step { name: "formatting", run: formatting },
    Step { name: "text", run: texts },
    Step { name: "clippy, warnings denied", run: clippy },
    Step { name: "documentation links", run: documentation },
    Step { name: "tests of the libraries: unit, property, scripts, mutants", run: libraries },
    Step { name: "tests of the binary: three processes and faults", run: processes },
    Step { name: "swarm of 500 seeds, each twice", run: swarm },
    Step { name: "fuzzing (only with CI=true)", run: fuzz },
];

/// Runs all steps.
pub fn verify() -> ExitCode {
    let logs = run::root().join("target").join("verify");
    if let Err(error) = std::fs::create_dir_all(&logs) {
        eprintln!("error: cannot make {}: {error}", logs.display());
        return ExitCode::FAILURE;
    }
    let before = fingerprint();
    let start = Instant::now();
    let mut passed = 0;
    for (at, step) in STEPS.iter().enumerate() {
        println!("[{}/{}] {} …", at + 1, STEPS.len(), step.name);
        let began = Instant::now();
        let log = logs.join(format!("{}.log", at + 1));
        match (step.run)(&log) {
            Ok(count) => {
                passed += count;
                println!(
                    "[{}/{}] {}: ok, {count} checks, {:.1} s",
                    at + 1,
                    STEPS.len(),
                    step.name,
                    began.elapsed().as_secs_f64()
                );
            }
            Err(why) => {
                let lines: Vec<&str> = why.lines().collect();
                println!("{}", lines[lines.len().saturating_sub(TAIL)..].join("\n"));
                println!("\nFAILED: {}; all it printed is in {}", step.name, log.display());
                println!("{passed} passed, {} failed", failures(&why).max(1));
                return ExitCode::FAILURE;
            }
        }
    }
    if fingerprint() != before {
        println!("FAILED: the working tree changed while it was verified; see `git status`");
        println!("{passed} passed, 1 failed");
        return ExitCode::FAILURE;
    }
    println!("all steps took {:.0} s", start.elapsed().as_secs_f64());
    println!("{} passed, 0 failed", passed + 1);
    ExitCode::SUCCESS
}

fn formatting(log: &Path) -> Checked {
    run::captured(&mut run::cargo(&["fmt", "--all", "--check"]), log).map(|_| 1)
}

fn texts(log: &Path) -> Checked {
    let findings = text::check(&run::root())?;
    let all = [&findings.warnings[..], &findings.errors[..]].concat().join("\n");
    std::fs::write(log, all).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    for warning in &findings.warnings {
        println!("      warning: {warning}");
    }
    if findings.errors.is_empty() { Ok(findings.checks) } else { Err(findings.errors.join("\n")) }
}

fn clippy(log: &Path) -> Checked {
    let words = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run::captured(&mut run::cargo(&words), log).map(|_| 1)
}

fn documentation(log: &Path) -> Checked {
    let words = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
    // Private items are documented too, so a public text may point at them.
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    run::captured(run::cargo(&words).env("RUSTDOCFLAGS", flags), log).map(|_| 1)
}

fn libraries(log: &Path) -> Checked {
    tests(quiet(&mut run::cargo(&["test", "--locked", "--workspace", "--exclude", "quorate"])), log)
}

fn processes(log: &Path) -> Checked {
    tests(quiet(&mut run::cargo(&["test", "--locked", "-p", "quorate"])), log)
}

/// In the profile of the tests, whose build is there already.
fn swarm(log: &Path) -> Checked {
    let words = ["run", "--locked", "--profile", "test", "-p", "quorate", "--", "lab", "run", "vopr", "--seeds", SEEDS];
    run::captured(&mut run::cargo(&words), log)?;
    Ok(SEEDS.parse().expect("a number"))
}

fn fuzz(log: &Path) -> Checked {
    if std::env::var("CI").is_ok_and(|value| value == "true" || value == "1") {
        let words = ["test", "--locked", "-p", "quorate-server", "-p", "quorate-check", "--test", "fuzz_short"];
        return tests(quiet(&mut run::cargo(&words)).env("FUZZ_SECONDS", FUZZ_SECONDS), log);
    }
    println!("      skipped");
    Ok(0)
}

/// Property tests that fail would write their seeds into the tree; they are in the output too.
fn quiet(command: &mut Command) -> &mut Command {
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
}

/// Runs tests and counts those that passed.
fn tests(command: &mut Command, log: &Path) -> Checked {
    let output = run::captured(command, log)?;
    let count = |line: &str| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<usize>().ok();
    match output.lines().filter_map(count).sum() {
        0 => Err(format!("{output}\nnot a single test ran")),
        passed => Ok(passed),
    }
}

/// How many tests a failing step names as failed.
fn failures(output: &str) -> usize {
    output.lines().filter(|line| line.starts_with("test ") && line.ends_with("FAILED")).count()
}

/// What git says of the tree, with the content of files that it does not know; empty outside a repository.
fn fingerprint() -> BTreeMap<PathBuf, u64> {
    let known = run::output("git", &["diff", "HEAD"]).unwrap_or_default();
    let unknown = run::output("git", &["ls-files", "--others", "--exclude-standard"]).unwrap_or_default();
    let mut print = BTreeMap::from([(PathBuf::from("tracked"), hash(known.as_bytes()))]);
    for name in unknown.lines() {
        print.insert(name.into(), hash(&std::fs::read(run::root().join(name)).unwrap_or_default()));
    }
    print
}

fn hash(bytes: &[u8]) -> u64 {
    use std::hash::{DefaultHasher, Hasher};
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
