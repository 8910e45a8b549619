//! One measurement, and what three of them say together.

use crate::run;
use serde_json::Value;
use std::process::Command;

/// What each request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Set,
    Get,
    Incr,
    Sadd,
}

/// What is asked of a system.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub operation: Operation,
    pub clients: usize,
    pub pipeline: usize,
    pub size: usize,
    pub keys: u64,
    pub seconds: u64,
    /// The level of reads, for Quorate.
    pub level: Option<&'static str>,
    /// The table, for Quorate.
    pub table: Option<&'static str>,
    /// Replicas of a leaderless table that must answer a read.
    pub read: Option<u8>,
    /// Replicas of a leaderless table that must hold a write.
    pub write: Option<u8>,
}

impl Load {
    /// Values of 100 bytes, no pipelining.
    pub fn new(operation: Operation, clients: usize, seconds: u64) -> Load {
        Load {
            operation,
            clients,
            pipeline: 1,
            size: 100,
            keys: 100_000,
            seconds,
            level: None,
            table: None,
            read: None,
            write: None,
        }
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub ops_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// Processor time of all server processes, per operation.
    pub cpu_us: f64,
}

/// A sample from the latencies of the requests, in nanoseconds.
pub fn percentiles(mut latencies: Vec<u64>, seconds: f64) -> Sample {
    latencies.sort_unstable();
    let at = |share: f64| match latencies.len() {
        0 => 0.0,
        count => latencies[((count as f64 * share) as usize).min(count - 1)] as f64 / 1_000.0,
    };
    Sample { ops_per_second: latencies.len() as f64 / seconds, p50_us: at(0.5), p99_us: at(0.99), cpu_us: 0.0 }
}

/// Drives a server of the Redis protocol with `quorate bench`.
pub fn drive(address: &str, load: &Load) -> Result<Sample, String> {
    let operation = match load.operation {
        Operation::Set => "set",
        Operation::Get => "get",
        Operation::Incr => "incr",
        Operation::Sadd => "sadd",
    };
    let mut command = Command::new(run::root().join("target/release/quorate"));
    command.args(["bench", "--json", "--addr", address, "--op", operation]);
    for (option, value) in [
        ("--clients", load.clients as u64),
        ("--pipeline", load.pipeline as u64),
        ("--size", load.size as u64),
        ("--keys", load.keys),
        ("--secs", load.seconds),
    ] {
        command.arg(option).arg(value.to_string());
    }
    if let Some(level) = load.level {
        command.args(["--level", level]);
    }
    if let Some(table) = load.table {
        command.args(["--table", table]);
    }
    for (option, count) in [("--r", load.read), ("--w", load.write)] {
        if let Some(count) = count {
            command.arg(option).arg(count.to_string());
        }
    }
    let output = command.output().map_err(|error| format!("cannot run quorate bench: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let json: Value = serde_json::from_str(&text)
        .map_err(|_| format!("quorate bench failed: {}", String::from_utf8_lossy(&output.stderr)))?;
    if json["errors"].as_object().is_some_and(|errors| !errors.is_empty()) {
        return Err(format!("{address} answered with errors: {}", json["errors"]));
    }
    let number = |name: &str| json[name].as_f64().unwrap_or(0.0);
    Ok(Sample {
        ops_per_second: number("ops_per_second"),
        p50_us: number("p50_us"),
        p99_us: number("p99_us"),
        cpu_us: 0.0,
    })
}

/// Measures, with the processor time that the processes took meanwhile.
pub fn with_cpu(processes: &[u32], measure: impl FnOnce() -> Result<Sample, String>) -> Result<Sample, String> {
    let before: f64 = processes.iter().map(|process| cpu_seconds(*process)).sum();
    let start = std::time::Instant::now();
    let sample = measure()?;
    let spent = processes.iter().map(|process| cpu_seconds(*process)).sum::<f64>() - before;
    let operations = sample.ops_per_second * start.elapsed().as_secs_f64();
    Ok(Sample { cpu_us: spent * 1e6 / operations.max(1.0), ..sample })
}

/// The middle one by throughput.
pub fn median(mut samples: Vec<Sample>) -> Sample {
    samples.sort_by(|a, b| a.ops_per_second.total_cmp(&b.ops_per_second));
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// The middle number.
pub fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// Processor time of a process so far; 0 where it cannot be learned.
fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces; utime and stime are the 12th and 13th field behind it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    const TICKS_PER_SECOND: f64 = 100.0;
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

/// Resident memory of a process in megabytes; 0 where it cannot be learned.
pub fn resident_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("");
    line.split_whitespace().next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_latencies() {
        let sample = percentiles((1..=1_000).rev().map(|us| us * 1_000).collect(), 2.0);
        assert_eq!((sample.ops_per_second, sample.p50_us, sample.p99_us), (500.0, 501.0, 991.0));
        assert_eq!(percentiles(Vec::new(), 1.0).p50_us, 0.0);
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let samples = [3.0, 1.0, 2.0].map(|ops| Sample { ops_per_second: ops, ..Sample::default() });
        assert_eq!(median(samples.to_vec()).ops_per_second, 2.0);
        assert_eq!(middle(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
