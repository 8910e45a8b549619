//! `cargo xtask bench`: etcd, Redis and Quorate on this machine, in one run, driven with the same loads. What counts is
//! the ratio within one run; figures of different runs drift by a fifth and more.

mod check;
mod etcd;
mod failover;
mod measure;
mod movement;
mod replicas;
mod report;
mod systems;

use crate::run;
use measure::{Load, Operation, Sample, drive, median, middle, resident_mb, with_cpu};
use report::{Against, Report, Row};
use systems::{Etcd, Quorate, Redis, installed};

/// Where the ports of the systems begin.
const QUORATE_PORTS: u16 = 27_100;
const ETCD_PORTS: u16 = 27_200;
const REDIS_PORT: u16 = 27_300;

struct Options {
    write: bool,
    /// Seconds per measurement.
    seconds: u64,
    /// How often each comparison is made; the middle one counts.
    rounds: usize,
    /// Kills and pauses of the leader.
    failovers: usize,
    /// Leave the curves and the large memory test out.
    quick: bool,
}

/// A part that can be measured alone.
enum Only {
    Leaderless,
    Movement,
}

/// Measures.
pub fn bench(words: &[&str]) -> Result<(), String> {
    if let ["check", rest @ ..] = words {
        return check::bench(rest);
    }
    let (only, words) = match words {
        ["leaderless", rest @ ..] => (Some(Only::Leaderless), rest),
        ["movement", rest @ ..] => (Some(Only::Movement), rest),
        all => (None, all),
    };
    let options = options(words)?;
    if only.is_some() && options.write {
        return Err("a part of bench only prints; bench --write measures all and writes it down".to_owned());
    }
    println!("building the release binary …");
    run::shown(&mut run::cargo(&["build", "--quiet", "--release", "-p", "quorate"]))?;
    let mut report = Report::default();
    if let Some(only) = only {
        match only {
            Only::Leaderless => replicas::measure(&options, &mut report)?,
            Only::Movement => movement::measure(&options, &mut report)?,
        }
        let mut text = String::new();
        report.leaderless_table(&mut text);
        report.movement(&mut text);
        println!("\n{text}");
        return Ok(());
    }
    compare(&options, &mut report)?;
    replicas::measure(&options, &mut report)?;
    movement::measure(&options, &mut report)?;
    starts(&options, &mut report)?;
    failover::measure(options.failovers, &mut report)?;
    if !options.quick {
        memory(&options, &mut report)?;
        curves(&options, &mut report)?;
    }
    let text = report.text();
    println!("\n{text}");
    if options.write {
        let path = run::root().join("bench").join("RESULTS.md");
        std::fs::create_dir_all(path.parent().expect("a directory")).map_err(|error| error.to_string())?;
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(())
}

fn options(mut words: &[&str]) -> Result<Options, String> {
    let mut options = Options { write: false, seconds: 5, rounds: 3, failovers: 10, quick: false };
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        match *word {
            "--write" => options.write = true,
            "--quick" => {
                options = Options { seconds: 2, rounds: 1, failovers: 3, quick: true, ..options };
            }
            "--secs" => {
                let (value, rest) = words.split_first().ok_or("--secs wants a number")?;
                options.seconds = value.parse().map_err(|_| format!("{value:?} is no number of seconds"))?;
                words = rest;
            }
            other => return Err(format!("bench knows no {other:?}")),
        }
    }
    Ok(options)
}

/// The systems that are up together. Those that are not measured stand idle.
struct Field {
    quorate: Quorate,
    etcd: Option<Etcd>,
    redis: Option<Redis>,
}

impl Field {
    fn start() -> Result<Field, String> {
        let etcd = if installed("etcd") && installed("etcdctl") { Some(Etcd::start(ETCD_PORTS)?) } else { None };
        let redis = if installed("redis-server") { Some(Redis::start(REDIS_PORT)?) } else { None };
        Ok(Field { quorate: Quorate::start(3, 1, QUORATE_PORTS)?, etcd, redis })
    }

    fn on_quorate(&self, load: &Load) -> Result<Sample, String> {
        let place = if load.level == Some("session") { self.quorate.follower() } else { self.quorate.leader() };
        let node = place.ok_or("quorate has no leader")?;
        with_cpu(&self.quorate.processes(), || drive(&self.quorate.address(node), load))
    }
    fn on_etcd(&self, load: &Load) -> Option<Result<Sample, String>> {
        let etcd = self.etcd.as_ref()?;
        let sample =
            etcd.leader().and_then(|leader| with_cpu(&etcd.processes(), || etcd::drive(&etcd.address(leader), load)));
        Some(sample)
    }
    fn on_redis(&self, load: &Load) -> Option<Result<Sample, String>> {
        let redis = self.redis.as_ref()?;
        Some(with_cpu(&redis.processes(), || drive(&redis.address(), &Load { level: None, ..*load })))
    }
}

/// The table of targets: each load on each system in turn, several rounds, the middle one counts.
fn compare(options: &Options, report: &mut Report) -> Result<(), String> {
    let field = Field::start()?;
    let load = |operation, clients| Load::new(operation, clients, options.seconds);
    let set = Operation::Set;
    let session = Load { level: Some("session"), ..load(Operation::Get, 50) };
    let rows = [
        Row::new("SET, 1 client, p50", load(set, 1), Against::EtcdP50, 0.6),
        Row::new("SET, 50 clients", load(set, 50), Against::Etcd, 4.0),
        Row::new("SET, 256 clients", load(set, 256), Against::Etcd, 4.0),
        Row::new("SET, 50 clients, pipeline 16", Load { pipeline: 16, ..load(set, 50) }, Against::Redis, 0.5),
        Row::new("GET linearizable, 1 client", load(Operation::Get, 1), Against::Nothing, 0.0),
        Row::new("GET linearizable, 50 clients", load(Operation::Get, 50), Against::Etcd, 3.0),
        Row::new("GET session on a follower, 50 clients", session, Against::Redis, 0.7),
    ];
    // Something to read.
    let fill = Load { pipeline: 32, seconds: 3, ..load(set, 50) };
    field.on_quorate(&fill)?;
    field.on_redis(&fill).transpose()?;
    field.on_etcd(&Load { pipeline: 1, ..fill }).transpose()?;
    for row in rows {
        let (mut quorate, mut etcd, mut redis) = (Vec::new(), Vec::new(), Vec::new());
        for round in 1..=options.rounds {
            println!("{} … round {round} of {}", row.name, options.rounds);
            quorate.push(field.on_quorate(&row.load)?);
            if row.load.pipeline == 1 && row.load.level.is_none() {
                etcd.extend(field.on_etcd(&row.load).transpose()?);
            }
            redis.extend(field.on_redis(&row.load).transpose()?);
        }
        let middle = |samples: Vec<Sample>| if samples.is_empty() { None } else { Some(median(samples)) };
        report.compared.push((row, median(quorate), middle(etcd), middle(redis)));
    }
    let each = field.quorate.processes();
    report
        .memory
        .push(("after these loads, per node".into(), each.iter().map(|id| resident_mb(*id)).fold(0.0, f64::max)));
    Ok(())
}

fn starts(options: &Options, report: &mut Report) -> Result<(), String> {
    let (mut quorate, mut etcd) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds.max(3) {
        println!("start to first write … round {round}");
        quorate.push(Quorate::start(3, 1, QUORATE_PORTS)?.first_write.as_secs_f64());
        if installed("etcd") {
            etcd.push(Etcd::start(ETCD_PORTS)?.first_write.as_secs_f64());
        }
    }
    report.first_write = Some((middle(quorate), if etcd.is_empty() { None } else { Some(middle(etcd)) }));
    Ok(())
}

fn memory(_options: &Options, report: &mut Report) -> Result<(), String> {
    println!("memory …");
    let quorate = Quorate::start(3, 1, QUORATE_PORTS)?;
    let largest = |quorate: &Quorate| quorate.processes().iter().map(|id| resident_mb(*id)).fold(0.0, f64::max);
    report.memory.push(("empty, per node".into(), largest(&quorate)));
    let leader = quorate.leader().ok_or("quorate has no leader")?;
    // Each key in turn: pipelines of MSET from one connection.
    let mut client = quorate.client(leader, 30_000);
    let value = "x".repeat(100);
    for start in (0..1_000_000u32).step_by(500) {
        let mut command = quorate_client::Command::new(["MSET"]);
        for key in start..start + 500 {
            command = command.arg(format!("key:{key:012}")).arg(value.clone());
        }
        client.call(&command).map_err(|error| error.to_string())?;
    }
    quorate.settle()?;
    report.memory.push(("1 M keys of 100 bytes, per node".into(), largest(&quorate)));
    Ok(())
}

/// How throughput and latency go with one thing at a time.
fn curves(options: &Options, report: &mut Report) -> Result<(), String> {
    let base = Load::new(Operation::Set, 50, options.seconds.min(3));
    let measure = |quorate: &Quorate, load: &Load| {
        let leader = quorate.leader().ok_or("quorate has no leader")?;
        with_cpu(&quorate.processes(), || drive(&quorate.address(leader), load))
    };
    {
        let quorate = Quorate::start(3, 1, QUORATE_PORTS)?;
        for clients in [1, 2, 5, 10, 20, 50, 100, 256, 500, 1_000] {
            println!("curve: {clients} clients …");
            report.curve("clients", clients, measure(&quorate, &Load { clients, ..base })?);
        }
        for size in [16, 100, 1_024, 4_096, 16_384, 65_536] {
            println!("curve: values of {size} bytes …");
            report.curve("bytes of a value", size, measure(&quorate, &Load { size, keys: 10_000, ..base })?);
        }
    }
    for groups in [1, 2, 4, 8, 16] {
        println!("curve: {groups} groups …");
        let quorate = Quorate::start(3, groups, QUORATE_PORTS)?;
        report.curve("groups", usize::from(groups), measure(&quorate, &base)?);
    }
    for nodes in [1, 3, 5] {
        println!("curve: {nodes} nodes …");
        let quorate = Quorate::start(nodes, 1, QUORATE_PORTS)?;
        report.curve("nodes", usize::from(nodes), measure(&quorate, &base)?);
    }
    Ok(())
}
