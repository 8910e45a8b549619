//! `quorate bench`

use crate::access::{self, Place};
use crate::exit::{Exit, Failure, Outcome};
use crate::file;
use crate::load::{self, Histogram, Operation, Plan, Recorded, Report};
use clap::Args;
use quorate_client::{Client, Command, Error, Options, Reply};
use quorate_core::guarantee::{Ack, Level};
use quorate_core::limits;
use quorate_core::quorum::Rule;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Measure throughput and latency
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate bench --op set --clients 50 --secs 10
  quorate bench --op get --level session --addr 127.0.0.1:7380
  quorate bench --op set --clients 50 --pipeline 16 --json
  quorate bench --op incr --table likes --w 2       on a leaderless table: two replicas must hold each write
  quorate bench --op mixed --keys 100 --history load.json && quorate check load.json

Works against any server of the Redis protocol. The cells of a leaderless table must be of the kind that --op is for: set and
get want registers, incr counters, sadd sets. The times are those of the requests that succeeded.")]
pub struct Bench {
    #[command(flatten)]
    place: Place,
    /// The table: its name, as `quorate table` makes it, or a number from 0 to 15
    #[arg(long, value_name = "NAME", value_parser = access::table)]
    table: Option<String>,
    /// What each request does
    #[arg(long, value_enum, default_value_t = Operation::Set)]
    op: Operation,
    /// Connections
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    clients: u32,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipeline: u32,
    /// How long, in seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    secs: u64,
    /// Bytes of each value
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=limits::VALUE_BYTES as u64))]
    size: u64,
    /// How many different keys
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=999_999_999_999))]
    keys: u64,
    /// What a read must not miss
    #[arg(long, value_name = "LEVEL", value_parser = access::level)]
    level: Option<Level>,
    /// Who must hold a write durably before it is acknowledged
    #[arg(long, value_name = "ACK", value_parser = access::ack)]
    ack: Option<Ack>,
    /// Replicas of a leaderless table that must answer a read
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=i64::from(Rule::REPLICAS_MAX)))]
    r: Option<u8>,
    /// Replicas of a leaderless table that must hold a write
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=i64::from(Rule::REPLICAS_MAX)))]
    w: Option<u8>,
    /// Write what clients asked and heard, for `quorate check`
    ///
    /// Each write then has a value of its own, on keys of its own, so that the keys are absent at first. The run ends early
    /// after 1,000,000 operations. Reads and writes with a weaker --level or --ack are written down as they are: they need
    /// not be linearizable.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
}

impl Bench {
    pub fn run(self) -> Outcome {
        let plan = self.plan()?;
        self.find_table()?;
        let live = !self.json && std::io::stderr().is_terminal();
        let mut before = 0;
        let progress = |passed: Duration, done: u64| {
            if live {
                eprint!("\r\x1b[K{:>4} s  {:>10} ops/s  {done} done", passed.as_secs(), done - before);
                let _ = std::io::stderr().flush();
            }
            before = done;
        };
        let report = load::run(&plan, progress).map_err(|error| {
            let names: Vec<String> = plan.addresses.iter().map(SocketAddr::to_string).collect();
            Failure {
                exit: Exit::Unavailable,
                ..Failure::machine(format!("cannot reach {}: {error}", names.join(", ")))
            }
            .hint("start a cluster with `quorate up`, or name a node with --addr HOST:PORT")
        })?;
        if live {
            eprint!("\r\x1b[K");
        }
        self.print(&report)?;
        if let (Some(path), Some(history)) = (&self.history, &report.history) {
            file::write_history(path, history)?;
        }
        let nothing = report.latency.count() == 0;
        Ok(if nothing { Exit::Unavailable } else { Exit::Done })
    }

    /// A table that is not there is an error, and not a number of failed requests.
    fn find_table(&self) -> Result<(), Failure> {
        let Some(table) = &self.table else { return Ok(()) };
        let command = Command::new(["SELECT".to_owned(), table.clone()]);
        let options = Options { password: self.place.password(), ..Options::default() };
        let reply = Client::new(self.place.addresses(), options).call(&command)?;
        if let Reply::Error(text) = &reply { Err(Error::of_reply(text).into()) } else { Ok(()) }
    }

    fn plan(&self) -> Result<Plan, Failure> {
        let mut addresses = Vec::new();
        // One node by default: spreading over all would mix forwarded with direct requests unasked.
        let given = self.place.addresses();
        for address in if self.place.addresses.is_empty() { &given[..1] } else { &given[..] } {
            let found = address.to_socket_addrs().ok().and_then(|mut found| found.next());
            addresses.push(found.ok_or_else(|| Failure::usage(format!("{address:?} is no address; write HOST:PORT")))?);
        }
        if self.history.is_some() && self.size < load::STAMP_DIGITS as u64 {
            let least = load::STAMP_DIGITS;
            return Err(Failure::usage(format!("with --history a value has at least {least} bytes: --size {least}")));
        }
        if self.history.is_some() && self.op == Operation::Sadd {
            return Err(Failure::usage("--history takes set, get, incr and mixed; what sadd does is not written down"));
        }
        Ok(Plan {
            addresses,
            password: self.place.password(),
            table: self.table.clone(),
            operation: self.op,
            clients: self.clients as usize,
            pipeline: self.pipeline as usize,
            duration: Duration::from_secs(self.secs),
            size: self.size as usize,
            keys: self.keys,
            level: self.level,
            ack: self.ack,
            read: self.r,
            write: self.w,
            recorded: self.history.as_ref().map(|_| Recorded { name: name_of_run(), limit: load::OPERATIONS }),
        })
    }

    fn print(&self, report: &Report) -> Result<(), Failure> {
        let text = if self.json { self.json(report) } else { plain(report) };
        writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::machine(error.to_string()))
    }

    fn json(&self, report: &Report) -> String {
        let micros = |share| report.latency.quantile(share) as f64 / 1000.0;
        json!({
            "op": format!("{:?}", self.op).to_lowercase(),
            "table": self.table,
            "r": self.r,
            "w": self.w,
            "clients": self.clients,
            "pipeline": self.pipeline,
            "size": self.size,
            "seconds": report.elapsed.as_secs_f64(),
            "operations": report.latency.count(),
            "ops_per_second": rate(report),
            "p50_us": micros(0.5),
            "p90_us": micros(0.9),
            "p99_us": micros(0.99),
            "p999_us": micros(0.999),
            "max_us": report.latency.max() as f64 / 1000.0,
            "errors": report.errors,
            "recorded": report.history.as_ref().map(quorate_check::History::len),
        })
        .to_string()
    }
}

/// A name that no other run has.
fn name_of_run() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_nanos(), std::process::id())
}

fn rate(report: &Report) -> f64 {
    report.latency.count() as f64 / report.elapsed.as_secs_f64().max(1e-9)
}

fn plain(report: &Report) -> String {
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
    let times: Vec<String> =
        quantiles.iter().map(|(name, share)| format!("{name} {}", time(&report.latency, *share))).collect();
    let mut out = format!(
        "{:.0} ops/s  ({} in {:.1} s)\n{}  max {}",
        rate(report),
        report.latency.count(),
        report.elapsed.as_secs_f64(),
        times.join("  "),
        time(&report.latency, 1.0),
    );
    if report.full {
        out.push_str(&format!("\nended early: a history has at most {} operations", load::OPERATIONS));
    }
    for (kind, count) in &report.errors {
        out.push_str(&format!("\nfailed: {count} × {kind}"));
    }
    out
}

fn time(latency: &Histogram, share: f64) -> String {
    format!("{:.2} ms", latency.quantile(share) as f64 / 1e6)
}
