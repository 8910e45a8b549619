//! The results as a text.

use super::measure::{Load, Sample};
use super::movement::Moved;
use super::replicas::{Measured, NODES};
use crate::run;
use std::fmt::Write;

/// What a row's target is a ratio to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Throughput of etcd.
    Etcd,
    /// Median latency of etcd; less is better.
    EtcdP50,
    /// Throughput of Redis.
    Redis,
    /// It is only shown.
    Nothing,
}

/// A load with its target.
pub struct Row {
    pub name: &'static str,
    pub load: Load,
    against: Against,
    target: f64,
}

impl Row {
    pub fn new(name: &'static str, load: Load, against: Against, target: f64) -> Row {
        Row { name, load, against, target }
    }

    /// The ratio that counts, and whether it is good enough; `None` without the peer.
    fn verdict(&self, quorate: &Sample, etcd: &Option<Sample>, redis: &Option<Sample>) -> Option<(f64, bool)> {
        let ratio = match self.against {
            Against::Etcd => quorate.ops_per_second / etcd.as_ref()?.ops_per_second,
            Against::Redis => quorate.ops_per_second / redis.as_ref()?.ops_per_second,
            Against::EtcdP50 => quorate.p50_us / etcd.as_ref()?.p50_us,
            Against::Nothing => return None,
        };
        Some((ratio, if self.against == Against::EtcdP50 { ratio <= self.target } else { ratio >= self.target }))
    }

    fn wanted(&self) -> String {
        match self.against {
            Against::Etcd => format!("{}× etcd", self.target),
            Against::EtcdP50 => format!("at most {}× etcd's p50", self.target),
            Against::Redis => format!("{}× Redis", self.target),
            Against::Nothing => String::new(),
        }
    }
}

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    /// Loads with what Quorate, etcd and Redis made of them.
    pub compared: Vec<(Row, Sample, Option<Sample>, Option<Sample>)>,
    /// Seconds from the start to the first write: Quorate, etcd.
    pub first_write: Option<(f64, Option<f64>)>,
    /// What was done to the leader, the median and the longest outage, the target; in seconds.
    pub failovers: Vec<(&'static str, f64, f64, f64)>,
    /// Megabytes of resident memory.
    pub memory: Vec<(String, f64)>,
    /// Loads on leaderless tables.
    pub leaderless: Vec<Measured>,
    /// Data that move.
    pub moved: Option<Moved>,
    curves: Vec<(&'static str, usize, Sample)>,
}

impl Report {
    /// One point of a curve.
    pub fn curve(&mut self, name: &'static str, at: usize, sample: Sample) {
        self.curves.push((name, at, sample));
    }

    /// All of it, as Markdown.
    pub fn text(&self) -> String {
        let mut out = String::from(
            "# Results\n\nWritten by `cargo xtask bench --write`. Only ratios within one run mean anything; under 30 % is a tie. The checkers are \
             in [CHECK.md](CHECK.md), how the hour under load went in [HOUR.md](HOUR.md).\n\n",
        );
        let first = |text: Option<String>| text.and_then(|text| Some(text.lines().next()?.to_owned()));
        let or_not = |text: Option<String>| text.unwrap_or_else(|| "not installed".to_owned());
        let etcd = or_not(first(run::output("etcd", &["--version"])));
        let redis = or_not(first(run::output("redis-server", &["--version"])));
        machine(&mut out, &[("etcd", etcd), ("redis-server", redis)]);
        let _ = writeln!(out, "Everything, the load generators too, ran on this one machine over loopback.\n");
        self.targets(&mut out);
        self.leaderless_table(&mut out);
        self.movement(&mut out);
        self.single(&mut out);
        self.curve_tables(&mut out);
        out
    }

    fn targets(&self, out: &mut String) {
        let _ = writeln!(out, "## Against etcd ×3 and Redis ×1 (appendfsync always)\n");
        let _ = writeln!(
            out,
            "100-byte values, majority ack with fsync. Operations per second (p50, p99; µs of processor time of all server processes per operation).\n"
        );
        let _ = writeln!(out, "| load | Quorate ×3 | etcd ×3 | Redis ×1 | target | ratio |\n|---|---|---|---|---|---|");
        let cell = |sample: &Option<Sample>| sample.as_ref().map_or("–".to_owned(), figure);
        for (row, quorate, etcd, redis) in &self.compared {
            let verdict = row.verdict(quorate, etcd, redis).map_or("–".to_owned(), |(ratio, good)| {
                format!("**{ratio:.2}** {}", if good { "met" } else { "missed" })
            });
            let (name, wanted) = (row.name, row.wanted());
            let _ = writeln!(
                out,
                "| {name} | {} | {} | {} | {wanted} | {verdict} |",
                figure(quorate),
                cell(etcd),
                cell(redis)
            );
        }
        let _ = writeln!(
            out,
            "\nQuorate and Redis are driven by `quorate bench` (one thread), etcd by a gRPC client of ours (one connection per client, one thread).\n"
        );
    }

    fn single(&self, out: &mut String) {
        let _ = writeln!(out, "## Outages, start, memory\n\n| | measured | target | |\n|---|---|---|---|");
        let verdict = |good: bool| if good { "met" } else { "missed" };
        for (name, median, longest, target) in &self.failovers {
            let good = verdict(median <= target);
            let _ = writeln!(
                out,
                "| {name} to the next acknowledged write | median {median:.2} s, longest {longest:.2} s | {target} s | {good} |"
            );
        }
        if let Some((quorate, etcd)) = self.first_write {
            let other = etcd.map_or("–".to_owned(), |etcd| format!("{etcd:.2} s"));
            let good = verdict(quorate < 1.0 && etcd.is_none_or(|etcd| quorate < etcd));
            let _ = writeln!(
                out,
                "| start to first write, fresh directory | {quorate:.2} s (etcd {other}) | 1 s, and faster than etcd | {good} |"
            );
        }
        for (name, megabytes) in &self.memory {
            let target = match name.split(',').next() {
                Some("empty") => Some(60.0),
                Some(name) if name.starts_with("1 M") => Some(400.0),
                _ => None,
            };
            let (wanted, good) = match target {
                Some(target) => (format!("{target:.0} MB"), verdict(*megabytes <= target)),
                None => (String::new(), ""),
            };
            let _ = writeln!(out, "| resident memory, {name} | {megabytes:.0} MB | {wanted} | {good} |");
        }
        out.push('\n');
    }

    /// What leaderless tables do.
    pub fn leaderless_table(&self, out: &mut String) {
        if self.leaderless.is_empty() {
            return;
        }
        let heads: Vec<String> = NODES.iter().map(|nodes| format!("Quorate ×{nodes}")).collect();
        let _ = writeln!(
            out,
            "## Leaderless tables\n\n50 clients of one node, 100-byte values, three replicas where there are as many nodes; an answer counts once \
             it is durable. Redis and etcd as above: a get or a set there is one of a key, whatever the row waits for.\n\n\
             | load | {} | etcd ×3 | Redis ×1 |\n|---|{}---|---|",
            heads.join(" | "),
            "---|".repeat(NODES.len())
        );
        let other = |sample: &Option<Sample>| sample.as_ref().map_or("–".to_owned(), figure);
        for row in &self.leaderless {
            let quorate: Vec<String> = row.quorate.iter().map(figure).collect();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} |",
                row.name,
                quorate.join(" | "),
                other(&row.etcd),
                other(&row.redis)
            );
        }
        out.push('\n');
    }

    /// What clients feel while data move.
    pub fn movement(&self, out: &mut String) {
        let Some(Moved { keys, rows, unknown, busy, idle }) = &self.moved else { return };
        let _ = writeln!(
            out,
            "## Data that move\n\nA fourth node takes its share of a table with {keys} keys on three replicas, while ten clients of another node read and \
             write. The samples while data move last a second; the one with the longest p99 counts.\n\n\
             | load | before | while data move | p99, at most 2× |\n|---|---|---|---|"
        );
        for (name, before, during) in rows {
            let ratio = during.p99_us / before.p99_us.max(1.0);
            let good = if ratio <= 2.0 { "met" } else { "missed" };
            let _ = writeln!(out, "| {name} | {} | {} | **{ratio:.2}** {good} |", rate(before), rate(during));
        }
        let _ = writeln!(
            out,
            "\nIt took {:.1} s with these clients. The way back, without clients, took {:.1} s. Samples that are left out, as a write was told as \
             unknown that was on its way when a step of the movement came: {unknown}.\n",
            busy.as_secs_f64(),
            idle.as_secs_f64()
        );
    }

    fn curve_tables(&self, out: &mut String) {
        let mut last = "";
        for (name, at, sample) in &self.curves {
            if *name != last {
                let _ = writeln!(
                    out,
                    "\n## SET by {name}\n\n| {name} | ops/s | p50 | p99 | CPU per op |\n|---|---|---|---|---|"
                );
                last = name;
            }
            let _ = writeln!(
                out,
                "| {at} | {:.0} | {} | {} | {:.0} µs |",
                sample.ops_per_second,
                time(sample.p50_us),
                time(sample.p99_us),
                sample.cpu_us
            );
        }
    }
}

fn rate(sample: &Sample) -> String {
    format!("{:.0} ({}, {})", sample.ops_per_second, time(sample.p50_us), time(sample.p99_us))
}

fn figure(sample: &Sample) -> String {
    let Sample { ops_per_second, p50_us, p99_us, cpu_us } = sample;
    format!("{ops_per_second:.0} ({}, {}; {cpu_us:.0} µs)", time(*p50_us), time(*p99_us))
}

fn time(us: f64) -> String {
    if us < 1_000.0 { format!("{us:.0} µs") } else { format!("{:.2} ms", us / 1_000.0) }
}

/// What this was measured on, and beside what.
pub fn machine(out: &mut String, peers: &[(&str, String)]) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("");
        line.split(':').nth(1).unwrap_or("unknown").trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let gigabytes = memory.split(' ').next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1e6;
    let first = |text: Option<String>| text.and_then(|text| Some(text.lines().next()?.to_owned()));
    let or_not = |text: Option<String>| text.unwrap_or_else(|| "not installed".to_owned());
    let file_system =
        run::output("df", &["--output=fstype", "."]).and_then(|text| Some(text.lines().nth(1)?.to_owned()));
    let version = first(run::output("git", &["rev-parse", "--short", "HEAD"])).unwrap_or_default();
    let date = first(run::output("date", &["-u", "+%Y-%m-%d"])).unwrap_or_default();
    let lines = [
        ("date", date),
        ("commit", version),
        ("processor", format!("{}, {cores} cores", after(&read("/proc/cpuinfo"), "model name"))),
        ("memory", format!("{gigabytes:.0} GB")),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("file system", or_not(file_system)),
    ];
    for (name, value) in lines.iter().chain(peers) {
        let _ = writeln!(out, "- {name}: {value}");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::measure::Operation;
    use super::*;

    #[test]
    fn a_target_is_met_from_the_right_side() {
        let sample = |ops_per_second, p50_us| Sample { ops_per_second, p50_us, ..Sample::default() };
        let row = |against, target| Row::new("row", Load::new(Operation::Set, 1, 1), against, target);
        let (quorate, etcd) = (sample(40.0, 5.0), Some(sample(10.0, 10.0)));
        assert_eq!(row(Against::Etcd, 4.0).verdict(&quorate, &etcd, &None), Some((4.0, true)));
        assert_eq!(row(Against::Etcd, 4.1).verdict(&quorate, &etcd, &None), Some((4.0, false)));
        assert_eq!(row(Against::EtcdP50, 0.5).verdict(&quorate, &etcd, &None), Some((0.5, true)));
        assert_eq!(row(Against::EtcdP50, 0.4).verdict(&quorate, &etcd, &None), Some((0.5, false)));
        assert_eq!(row(Against::Redis, 1.0).verdict(&quorate, &etcd, &None), None);
    }
}
