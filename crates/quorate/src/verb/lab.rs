//! `quorate lab`

use crate::exit::{Exit, Failure, Outcome};
use crate::file;
use crate::paint;
use clap::{Args, Subcommand};
use quorate_lab::experiment::{self, Verdict};
use quorate_lab::failure::Kind;
use quorate_lab::recording::Recording;
use quorate_lab::vopr::{self, Plan, Report};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

/// Run the node in a simulator: break one rule at a time, or search with many seeds for what nobody thought of
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate lab list
  quorate lab run consensus/stale-leader
  quorate lab run vopr --seeds 500
  quorate lab run vopr --seed 17 --trace story.txt
  quorate lab run consensus/stale-leader --history stale.json && quorate check stale.json --witness stale.html
  quorate lab replay plan.txt

Exits with 0 when what was run held (an experiment: it showed what it claims), 1 when a promise was violated, 2 when
there is no verdict.")]
pub struct Lab {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// The experiments: each breaks one rule and keeps it
    ///
    /// Example: quorate lab list --json
    List {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Run an experiment, or the swarm, whose name is `vopr`
    ///
    /// Example: quorate lab run consensus/figure-8
    Run(Run),
    /// Run the plan of a file again, twice, as a failing swarm printed it
    ///
    /// Example: quorate lab replay plan.txt --trace story.txt
    Replay {
        /// The file with the plan
        plan: PathBuf,
        #[command(flatten)]
        files: Files,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
struct Run {
    /// Its name, as `quorate lab list` tells it
    name: String,
    /// The seed to begin with [default: 0]
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds [default: 200, or 1 with --seed]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: Option<u64>,
    #[command(flatten)]
    files: Files,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What is written down of the run that failed, or of the last one.
#[derive(Args, Debug)]
struct Files {
    /// Write what happened in the run that failed, or in the last one, event by event
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write what clients did and heard in that run, with the faults, for `quorate check`
    ///
    /// It has the operations on registers and numbers that must be linearizable; where a promise to a session was broken,
    /// session reads too. A broken promise that no client could see does not show.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
}

impl Files {
    fn wanted(&self) -> bool {
        self.trace.is_some() || self.history.is_some()
    }

    fn write(&self, trace: &[String], recording: &Recording) -> Result<(), Failure> {
        if let Some(path) = &self.trace {
            let text = trace.iter().map(|line| format!("{line}\n")).collect::<String>();
            std::fs::write(path, text).map_err(|error| file::cannot_write(path, &error))?;
        }
        self.history.as_ref().map_or(Ok(()), |path| file::write_history(path, &recording.history()))
    }
}

/// The name under which the swarm is run.
const SWARM: &str = "vopr";
const SEEDS: u64 = 200;
/// Runs that shrinking a failing plan may take.
const SHRINK_RUNS: u32 = 400;

impl Lab {
    /// Does the command line ask for JSON?
    pub fn json(&self) -> bool {
        match &self.what {
            What::List { json } | What::Replay { json, .. } => *json,
            What::Run(run) => run.json,
        }
    }

    pub fn run(self) -> Outcome {
        match self.what {
            What::List { json } => list(json),
            What::Run(run) => run.run(),
            What::Replay { plan, files, json } => replay(&plan, &files, json),
        }
    }
}

fn list(json: bool) -> Outcome {
    if json {
        let one = |experiment: &experiment::Experiment| json!({ "name": experiment.name, "question": experiment.question, "expected": experiment.expected });
        let all: Vec<_> = experiment::list().map(one).collect();
        println!("{}", json!({ "experiments": all }));
        return Ok(Exit::Done);
    }
    let mut rows = vec![vec!["experiment".to_owned(), "question".to_owned()]];
    rows.extend(experiment::list().map(|one| vec![one.name.to_owned(), one.question.to_owned()]));
    rows.push(vec![
        SWARM.to_owned(),
        "What breaks that nobody thought of? Many seeds, every fault there is.".to_owned(),
    ]);
    print!("{}", paint::table(&rows));
    Ok(Exit::Done)
}

impl Run {
    fn seeds(&self) -> Result<Range<u64>, Failure> {
        let first = self.seed.unwrap_or(0);
        let count = self.seeds.unwrap_or(if self.seed.is_some() { 1 } else { SEEDS });
        let end = first.checked_add(count).ok_or_else(|| Failure::usage("there are not so many seeds"))?;
        Ok(first..end)
    }

    fn run(self) -> Outcome {
        let seeds = self.seeds()?;
        if self.name == SWARM { self.swarm(seeds) } else { self.experiment(seeds) }
    }

    fn experiment(self, seeds: Range<u64>) -> Outcome {
        let verdict = experiment::run(&self.name, seeds, self.files.wanted()).map_err(Failure::usage)?;
        self.files.write(&verdict.naive.trace, &verdict.naive.recording)?;
        if self.json {
            println!("{}", verdict_json(&verdict));
        } else {
            // The trace went to its file.
            let short =
                Verdict { naive: experiment::Side { trace: Vec::new(), ..verdict.naive.clone() }, ..verdict.clone() };
            print!("{short}");
        }
        Ok(match (verdict.shown, &verdict.fixed.failure) {
            (true, _) => Exit::Done,
            (false, Some((_, failure))) if failure.kind != Kind::Undecided => Exit::No,
            (false, _) => Exit::Usage,
        })
    }

    fn swarm(self, seeds: Range<u64>) -> Outcome {
        let count = seeds.end - seeds.start;
        let (steps, done, failed) = swarm(seeds.clone(), !self.json);
        if self.files.wanted() {
            let seed = failed.as_ref().map_or(seeds.end - 1, |report| report.seed);
            let again = vopr::run_plan(&Plan::draw(seed), true);
            self.files.write(&again.trace, &again.recording)?;
        }
        let Some(report) = failed else {
            if self.json {
                println!("{}", json!({ "held": true, "seeds": count, "steps": steps, "operations": done }));
            } else {
                println!("{}: {count} seeds, each twice; {steps} steps, {done} operations done", paint::good("held"));
            }
            return Ok(Exit::Done);
        };
        if !self.json {
            print!("{report}");
            println!("shrinking the plan of seed {} …", report.seed);
        }
        let shrunk = vopr::shrink(&Plan::draw(report.seed), SHRINK_RUNS);
        let plan = shrunk.map_or_else(|| Plan::draw(report.seed), |shrunk| shrunk.plan);
        if self.json {
            println!("{}", json!({ "held": false, "report": report_json(&report), "plan": plan.to_string() }));
        } else {
            println!("save what follows in a file, then: quorate lab replay FILE\n\n{plan}");
        }
        Ok(exit_of(&report))
    }
}

/// Runs the seeds on all cores. Stops at the first failure, and gives that of the lowest seed that was run: the steps,
/// the operations done, and the failure.
fn swarm(seeds: Range<u64>, show: bool) -> (u64, usize, Option<Report>) {
    let live = show && std::io::stderr().is_terminal();
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let (sender, reports) = mpsc::channel();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (mut steps, mut done, mut failed) = (0, 0, None::<Report>);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (next, stop, sender, end) = (&next, &stop, sender.clone(), seeds.end);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || sender.send(vopr::run(seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut count, start) = (0u64, Instant::now());
        for report in reports {
            count += 1;
            steps += report.steps;
            done += report.operations.1;
            if report.failure.is_some() {
                stop.store(true, Ordering::Relaxed);
                if failed.as_ref().is_none_or(|known| report.seed < known.seed) {
                    failed = Some(report);
                }
            }
            let total = seeds.end - seeds.start;
            if live {
                eprint!("\r\x1b[K{count} of {total} seeds, {} s", start.elapsed().as_secs());
                let _ = std::io::stderr().flush();
            } else if show && count.is_multiple_of(100) && count < total {
                println!("{count} of {total} seeds");
            }
        }
        if live {
            eprint!("\r\x1b[K");
        }
    });
    (steps, done, failed)
}

fn replay(path: &Path, files: &Files, json: bool) -> Outcome {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
    let report = experiment::replay(&text, files.wanted())
        .map_err(|error| Failure::usage(format!("{} is no plan: {error}", path.display())))?;
    files.write(&report.trace, &report.recording)?;
    if json {
        println!("{}", report_json(&report));
    } else {
        print!("{}", Report { trace: Vec::new(), ..report.clone() });
    }
    Ok(exit_of(&report))
}

fn exit_of(report: &Report) -> Exit {
    match &report.failure {
        None => Exit::Done,
        Some(failure) if failure.kind == Kind::Undecided => Exit::Usage,
        Some(_) => Exit::No,
    }
}

fn report_json(report: &Report) -> serde_json::Value {
    json!({
        "seed": report.seed,
        "held": report.failure.is_none(),
        "failure": report.failure.as_ref().map(ToString::to_string),
        "steps": report.steps,
        "simulated_us": report.time_us,
        "operations": { "begun": report.operations.0, "done": report.operations.1 },
        "digest": format!("{:016x}", report.digest),
    })
}

fn verdict_json(verdict: &Verdict) -> serde_json::Value {
    let side = |side: &experiment::Side| {
        json!({
            "seeds": side.seeds,
            "steps": side.steps,
            "found": side.found,
            "failure": side.failure.as_ref().map(|(seed, failure)| json!({ "seed": seed, "what": failure.to_string() })),
        })
    };
    json!({
        "name": verdict.name,
        "question": verdict.question,
        "shown": verdict.shown,
        "rule_broken": side(&verdict.naive),
        "rule_kept": side(&verdict.fixed),
    })
}
