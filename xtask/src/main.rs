//! Development tasks. `cargo xtask verify` is the one that everything else leans on.

use std::process::ExitCode;

mod bench;
mod room;
mod run;
mod text;
mod verify;

const HELP: &str = "\
cargo xtask <task>

  verify              everything that must hold before a change is kept; never writes outside target/
  fix                 format, and apply what clippy can apply by itself
  bless               rewrite the golden scripts from what happens now; then read the diff
  vopr [SEED]         one seed of the simulator, with its story; without one: a swarm
  vopr --seeds N      a swarm of N seeds
  bench [--write] [--quick] [--secs S]
                      etcd, Redis and Quorate side by side; --write puts the table into bench/RESULTS.md
  bench leaderless [--quick] [--secs S]
                      only the part about leaderless tables, printed
  bench check [--write] [--porcupine PROGRAM]
                      the checkers on histories of known size, into bench/CHECK.md
  new-room NAME       the files of a new room of the core
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["verify"] => return verify::verify(),
        ["fix"] => fix(),
        ["bless"] => bless(),
        ["vopr", rest @ ..] => vopr(rest),
        ["bench", rest @ ..] => bench::bench(rest),
        ["new-room", name] => room::new_room(name),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("error: {:?} is no task\n\n{HELP}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn fix() -> Result<(), String> {
    run::shown(&mut run::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
    ]))?;
    run::shown(&mut run::cargo(&["fmt", "--all"]))
}

/// The scripts rewrite themselves when this is set.
const BLESS: &str = "BLESS";

fn bless() -> Result<(), String> {
    run::shown(run::cargo(&["test", "--quiet", "-p", "quorate-lab", "--test", "scripts"]).env(BLESS, "1"))?;
    println!("blessed; commit the difference only if you can explain it");
    Ok(())
}

fn vopr(rest: &[&str]) -> Result<(), String> {
    let mut words = vec!["run", "--quiet", "--release", "-p", "quorate", "--", "lab", "run", "vopr"];
    match rest {
        [] => words.extend(["--seeds", "500"]),
        ["--seeds", count] => words.extend(["--seeds", count]),
        [seed] => words.extend(["--seed", seed]),
        _ => return Err("vopr takes a seed, or --seeds N".to_owned()),
    }
    run::shown(&mut run::cargo(&words))
}
