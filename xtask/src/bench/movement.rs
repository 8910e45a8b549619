//! Data of a leaderless table move to a fourth node, while clients read and write, and while they do not.

use super::measure::{Load, Operation, Sample, drive};
use super::report::Report;
use super::systems::{Quorate, binary};
use super::{Options, QUORATE_PORTS, replicas};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

const NODES: u16 = 4;
const TABLE: &str = "registers";
/// Clients of the foreground: few, so that the processor is not what they wait for.
const CLIENTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(600);

/// What clients felt, and how long it took.
pub struct Moved {
    pub keys: u64,
    /// What clients did, before and while data moved.
    pub rows: Vec<(&'static str, Sample, Sample)>,
    /// Samples in which a write was told as unknown.
    pub unknown: u32,
    /// Until the new place counted alone and what was left was deleted, with clients and without.
    pub busy: Duration,
    pub idle: Duration,
}

/// Measures.
pub fn measure(options: &Options, report: &mut Report) -> Result<(), String> {
    let keys = if options.quick { 100_000 } else { 1_000_000 };
    let quorate = Quorate::start(NODES, 1, QUORATE_PORTS)?;
    replicas::make_tables(&quorate, 3)?;
    weigh(&quorate, 0)?;
    until_over(&quorate)?;
    println!("movement: {keys} keys …");
    fill(&quorate, keys)?;
    let rows = [("write, R = W = 2", Operation::Set), ("read, R = 2", Operation::Get)];
    let sample = |operation, seconds| {
        let two = Some(2);
        let load = Load { table: Some(TABLE), keys, read: two, write: two, ..Load::new(operation, CLIENTS, seconds) };
        drive(&quorate.address(1), &load)
    };
    let mut found = Vec::new();
    for (name, operation) in rows {
        println!("movement: {name}, before …");
        let before = sample(operation, options.seconds)?;
        found.push((name, before, Vec::new()));
    }
    println!("movement: with clients …");
    let (begun, mut unknown) = (Instant::now(), 0);
    weigh(&quorate, 1)?;
    // A second each, so that few samples reach beyond the end.
    'moving: while begun.elapsed() < PATIENCE {
        for ((_, operation), (_, _, during)) in rows.iter().zip(&mut found) {
            let one = match sample(*operation, 1) {
                // It was on its way when a step of the movement came.
                Err(error) if error.contains("UNKNOWN") => {
                    unknown += 1;
                    continue;
                }
                other => other?,
            };
            if is_over(&quorate)? {
                break 'moving;
            }
            during.push(one);
        }
    }
    let busy = begun.elapsed();
    println!("movement: without clients …");
    let begun = Instant::now();
    weigh(&quorate, 0)?;
    until_over(&quorate)?;
    let rows = found.into_iter().map(|(name, before, during)| (name, before, worst(during))).collect();
    report.moved = Some(Moved { keys, rows, unknown, busy, idle: begun.elapsed() });
    Ok(())
}

/// The sample with the longest latencies.
fn worst(samples: Vec<Sample>) -> Sample {
    samples.into_iter().max_by(|a, b| a.p99_us.total_cmp(&b.p99_us)).unwrap_or_default()
}

/// Writes so often that nearly all keys are there.
fn fill(quorate: &Quorate, keys: u64) -> Result<(), String> {
    let load = Load {
        table: Some(TABLE),
        keys,
        pipeline: 16,
        read: Some(1),
        write: Some(1),
        ..Load::new(Operation::Set, 50, 5)
    };
    let mut written = 0.0;
    while written < 3.0 * keys as f64 {
        written += drive(&quorate.address(1), &load)?.ops_per_second * 5.0;
    }
    Ok(())
}

fn member(quorate: &Quorate, words: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(binary());
    command.arg("member").args(words).arg("--json");
    for node in 1..=NODES {
        command.args(["--addr", &quorate.address(node)]);
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("member {words:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn weigh(quorate: &Quorate, weight: u16) -> Result<(), String> {
    member(quorate, &["set", "4", "--weight", &weight.to_string()]).map(drop)
}

fn is_over(quorate: &Quorate) -> Result<bool, String> {
    Ok(member(quorate, &["list"])?["over"] == true)
}

fn until_over(quorate: &Quorate) -> Result<(), String> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if is_over(quorate)? {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("data still move after {PATIENCE:?}"))
}
