//! `quorate check`

use crate::exit::{Exit, Failure, Outcome};
use crate::paint;
use clap::Args;
use quorate_check::format::{self, Format, Options};
use quorate_check::witness::Checked;
use quorate_check::{
    Budget, Datum, Finding, History, Id, Inapplicable, Meter, Model, Object, Progress, Verdict, Witness, witness,
};
use serde_json::json;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Judge a recorded history of any system: which consistency models did it keep?
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate check history.edn                                  the usual model of what the history is about
  quorate check history.edn --all                            every model, with what breaks it
  quorate check history.edn --model sequential --witness why.svg
  quorate check --lattice                                    the map of models, each edge with a smallest example

A timed-out operation stays open: it may take effect at any later time, or never. A failed one did not happen.
Exits with 0 when every model asked for is kept, 1 when one is broken, 2 when the budget was spent before an answer was
found, 3 when the input is wrong.")]
pub struct Check {
    /// The file with the history, or `-` for standard input
    #[arg(required_unless_present = "lattice")]
    history: Option<PathBuf>,
    /// How it is written: auto, jepsen-edn, jepsen-log, json, porcupine-kv, plume, awdit or quorate
    #[arg(long, default_value = "auto", value_parser = format_of)]
    format: Wanted,
    /// What it is about, if its operations do not tell: register, cas-register, kv, counter, set, queue, stack, mutex,
    /// fenced-lock, bank, list-append, rw-register, unique-id or replica
    #[arg(long, value_parser = object_of)]
    object: Option<Object>,
    /// A model to judge by; may be given several times. `bounded-staleness:10ms` (ns, us, ms or s) has a bound in time, by the
    /// times of the history; `bounded-staleness:4` has one in moments: rows of a log, or the unit in which the history counts
    #[arg(long = "model", value_name = "MODEL", value_parser = model_of, conflicts_with = "all")]
    models: Vec<Model>,
    /// Judge by every model that says something about the object
    #[arg(long)]
    all: bool,
    /// The value of every key at first, as the format jepsen-edn writes it; a map such as {x 0, y 1} gives each key its own
    #[arg(long, value_name = "V", value_parser = value_of)]
    initial: Option<Datum>,
    /// What each model is worth: a time, an amount of memory, or both
    #[arg(long, default_value = "60s,2GiB", value_parser = worth_of)]
    budget: Worth,
    /// Write the picture of what is broken; the name ends in .svg, .html or .txt
    #[arg(long, value_name = "FILE", value_parser = picture_of)]
    witness: Option<Picture>,
    /// Print JSON, for programs
    #[arg(long)]
    pub json: bool,
    /// Print the map of models: which implies which, and for each step a smallest history that separates the two
    #[arg(long, conflicts_with_all = ["history", "models", "all", "witness"])]
    lattice: bool,
}

/// What a verdict may cost.
#[derive(Clone, Copy, Debug)]
struct Worth {
    time: Duration,
    bytes: u64,
}

#[derive(Clone, Debug)]
enum Picture {
    Svg(PathBuf),
    Html(PathBuf),
    Text(PathBuf),
}

/// The format that was named; none for `auto`.
#[derive(Clone, Copy, Debug)]
struct Wanted(Option<Format>);

fn format_of(word: &str) -> Result<Wanted, String> {
    let known = || Format::ALL.map(Format::word).join(", ");
    match (word, Format::of_word(word)) {
        ("auto", _) => Ok(Wanted(None)),
        (_, Some(format)) => Ok(Wanted(Some(format))),
        (_, None) => Err(format!("the formats are auto, {}", known())),
    }
}

fn object_of(word: &str) -> Result<Object, String> {
    let known = || Object::ALL.map(Object::word).join(", ");
    Object::of_word(word).ok_or_else(|| format!("the objects are {}", known()))
}

fn model_of(word: &str) -> Result<Model, String> {
    let known = || Model::ALL.map(Model::word).join(", ");
    Model::of_word(word)
        .ok_or_else(|| format!("the models are {} (bounded-staleness:10ms or, in moments, :4)", known()))
}

fn value_of(text: &str) -> Result<Datum, String> {
    format::value(text).map_err(|problem| problem.to_string())
}

fn worth_of(text: &str) -> Result<Worth, String> {
    let mut worth = Worth { time: Duration::MAX, bytes: u64::MAX };
    for part in text.split(',') {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let number: u64 = part[..digits].parse().map_err(|_| format!("{part:?} does not begin with a number"))?;
        match &part[digits..] {
            "ms" => worth.time = Duration::from_millis(number),
            "s" => worth.time = Duration::from_secs(number),
            "m" => worth.time = Duration::from_secs(number.saturating_mul(60)),
            "MiB" => worth.bytes = number.saturating_mul(1 << 20),
            "GiB" => worth.bytes = number.saturating_mul(1 << 30),
            unit => return Err(format!("{unit:?} is no unit: ms, s, m, MiB, GiB; for example 60s,2GiB")),
        }
    }
    Ok(worth)
}

fn picture_of(word: &str) -> Result<Picture, String> {
    let path = PathBuf::from(word);
    match path.extension().and_then(|end| end.to_str()) {
        Some("svg") => Ok(Picture::Svg(path)),
        Some("html") => Ok(Picture::Html(path)),
        Some("txt") => Ok(Picture::Text(path)),
        _ => Err("the name must end in .svg, .html or .txt".into()),
    }
}

/// Long work is shown after this time.
const PATIENCE: Duration = Duration::from_secs(1);

impl Check {
    pub fn run(self) -> Outcome {
        if self.lattice {
            print!("{}", quorate_check::lattice::render());
            return Ok(Exit::Done);
        }
        let path = self.history.clone().expect("the command line requires it");
        let start = Instant::now();
        let history = self.read(&path)?;
        let mut times = Times { read: start.elapsed(), checks: Vec::new() };
        let live = !self.json && std::io::stderr().is_terminal();
        let findings = self.judge(&history, live, &mut times)?;
        for (model, witness) in witness::distinct(&findings) {
            match witness::verify(&history, model, witness) {
                Checked::Confirmed => {}
                Checked::Undecided(why) => {
                    eprintln!("note: the second check of what breaks {model} cannot tell: {why}")
                }
                Checked::Refuted(problem) => return Err(refuted(&history, model, witness, &problem)),
            }
        }
        if let Some(picture) = &self.witness {
            draw(&history, &path, picture, &findings)?;
        }
        if self.json {
            println!("{}", report(&history, &path, &findings, &times));
        } else {
            print(&history, &path, &findings, self.all);
        }
        let is = |wanted: fn(&Verdict) -> bool| findings.iter().any(|finding| wanted(&finding.verdict));
        Ok(
            match (
                is(|verdict| matches!(verdict, Verdict::Invalid(_))),
                is(|verdict| matches!(verdict, Verdict::Unknown(_))),
            ) {
                (true, _) => Exit::No,
                (false, true) => Exit::Usage,
                (false, false) => Exit::Done,
            },
        )
    }

    fn read(&self, path: &Path) -> Result<History, Failure> {
        let options = Options { format: self.format.0, object: self.object, initial: self.initial.clone() };
        let wrong = |what: String| Failure { exit: Exit::Unknown, ..Failure::usage(what) };
        if path.as_os_str() == "-" {
            return format::read(std::io::stdin().lock(), &options)
                .map_err(|problem| wrong(format!("standard input: {problem}")));
        }
        let name = path.display();
        let file = File::open(path).map_err(|error| wrong(format!("cannot read {name}: {error}")))?;
        format::read(file, &options).map_err(|problem| wrong(format!("{name}: {problem}")))
    }

    fn judge(&self, history: &History, live: bool, times: &mut Times) -> Result<Vec<Finding>, Failure> {
        let mut verdict = |model| {
            let start = Instant::now();
            let verdict = self.verdict(history, model, live);
            times.checks.push((model, start.elapsed()));
            verdict
        };
        if self.all {
            let known = |model| verdict(model).expect("only models that apply are asked");
            return Ok(quorate_check::classify(history, known));
        }
        let usual = [history.object().usual_model(history.has_real_time())];
        let models = if self.models.is_empty() { &usual[..] } else { &self.models };
        let one = |&model: &Model| {
            let verdict = verdict(model).map_err(|inapplicable| {
                let wrong = Failure { exit: Exit::Unknown, ..Failure::usage(inapplicable.to_string()) };
                match inapplicable {
                    Inapplicable::Object { .. } => {
                        wrong.hint("name what the history is about with --object, or ask for --all")
                    }
                    Inapplicable::Operation { first, .. } => {
                        wrong.hint(format!("{}; ask for sequential, or for --all", located(history, first)))
                    }
                    Inapplicable::Untimed { .. } => wrong,
                }
            })?;
            Ok(Finding { model, verdict, by: None })
        };
        models.iter().map(one).collect()
    }

    fn verdict(&self, history: &History, model: Model, live: bool) -> Result<Verdict, Inapplicable> {
        let (start, worth) = (Instant::now(), self.budget);
        let mut shown = false;
        let mut watch = |progress: Progress| {
            let spent = start.elapsed();
            if live && spent > PATIENCE {
                let (steps, mib) = (progress.steps / 1_000_000, progress.bytes >> 20);
                eprint!("\r\x1b[K{}: {} s, {steps} million steps, {mib} MiB", model.word(), spent.as_secs());
                let _ = std::io::stderr().flush();
                shown = true;
            }
            spent < worth.time
        };
        let mut meter = Meter::watched(Budget { steps: u64::MAX, bytes: worth.bytes }, &mut watch);
        let verdict = quorate_check::check(history, model, &mut meter);
        if shown {
            eprint!("\r\x1b[K");
        }
        verdict
    }
}

/// The two judges disagree, so neither verdict is given.
fn refuted(history: &History, model: Model, witness: &Witness, problem: &str) -> Failure {
    let operations: Vec<String> = witness.operations.iter().map(|&id| history.describe(id)).collect();
    let what = format!(
        "{model} seemed broken ({}), but the second check refutes it: {problem}\n  {}",
        witness.anomaly.word(),
        operations.join("\n  ")
    );
    Failure::machine(what).hint("this is a defect of the checker: please report it with the history")
}

/// How long reading and judging took.
struct Times {
    read: Duration,
    checks: Vec<(Model, Duration)>,
}

/// The most memory that this process has had, in MiB, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().split(' ').next()?.parse::<f64>().ok()? / 1024.0)
}

fn draw(history: &History, path: &Path, picture: &Picture, findings: &[Finding]) -> Result<(), Failure> {
    let broken = witness::distinct(findings);
    let (to, text) = match picture {
        Picture::Html(to) => (to, witness::html(history, &path.display().to_string(), findings)),
        Picture::Svg(to) => match broken.first() {
            Some((model, witness)) => (to, witness::svg(history, *model, witness)),
            None => {
                eprintln!("nothing is broken: {} was not written", to.display());
                return Ok(());
            }
        },
        Picture::Text(to) => {
            let texts: Vec<String> =
                broken.iter().map(|(model, witness)| witness::text(history, *model, witness)).collect();
            (to, texts.join("\n"))
        }
    };
    std::fs::write(to, text).map_err(|error| Failure::machine(format!("cannot write {}: {error}", to.display())))
}

fn print(history: &History, path: &Path, findings: &[Finding], all: bool) {
    let (_, keys, sessions) = history.counts();
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    println!(
        "{}: {} of {} on {} of {}",
        path.display(),
        plural(history.len(), "operation"),
        plural(sessions, "session"),
        plural(keys, "key"),
        history.object().word()
    );
    let mut rows = Vec::new();
    for finding in findings {
        let (mark, note) = match (&finding.verdict, finding.by) {
            (Verdict::Valid, None) => (paint::good("valid"), String::new()),
            (Verdict::Valid, Some(by)) => (paint::good("valid"), format!("implied by {}", by.word())),
            (Verdict::Invalid(witness), None) => (paint::bad("invalid"), witness.anomaly.word().to_owned()),
            (Verdict::Invalid(_), Some(by)) => (paint::bad("invalid"), format!("breaks {} already", by.word())),
            (Verdict::Unknown(spent), _) => (paint::error("unknown"), spent.to_string()),
        };
        rows.push(vec![finding.model.to_string(), mark, note]);
    }
    print!("{}", paint::table(&rows));
    if let (true, Some((models, first))) = (all, silent(history)) {
        println!(
            "\nNot asked, since they say nothing about operations of several steps, nor about sums ({}): {}.",
            located(history, first),
            models.join(", ")
        );
    }
    for (model, witness) in witness::distinct(findings) {
        println!("\n{}", witness::text(history, model, witness).trim_end());
    }
    if !all && findings.iter().all(|finding| finding.verdict == Verdict::Valid) {
        println!("\nOf this history, this is a proof; of the system, it is evidence.");
    }
}

/// The models that say nothing about some operation, and the first such operation.
fn silent(history: &History) -> Option<(Vec<&'static str>, Id)> {
    let silent = quorate_check::silent(history);
    let &(_, first) = silent.first()?;
    Some((silent.iter().map(|(model, _)| model.word()).collect(), first))
}

/// The first operation of its kind, and where it is.
fn located(history: &History, first: Id) -> String {
    match history.operation(first).line {
        0 => format!("the first is {}", history.describe(first)),
        line => format!("the first is in line {line}: {}", history.describe(first)),
    }
}

fn report(history: &History, path: &Path, findings: &[Finding], times: &Times) -> serde_json::Value {
    let milliseconds = |time: Duration| time.as_secs_f64() * 1_000.0;
    let check_ms =
        |model: Model| times.checks.iter().find(|(known, _)| *known == model).map(|(_, time)| milliseconds(*time));
    let operation = |&id: &Id| {
        let (time, operation) = (history.time_ns(id), history.operation(id));
        let end = |end: u64| (end != quorate_check::Operation::NEVER).then_some(end);
        json!({
            "place": id.0,
            "line": operation.line,
            "session": history.session(operation.session).to_string(),
            "operation": history.describe(id),
            "begin": operation.begin,
            "end": end(operation.end),
            "begin_ns": time.map(|time| time.0),
            "end_ns": time.and_then(|time| end(time.1)),
        })
    };
    let edge = |edge: &quorate_check::Edge| json!({ "from": edge.from.0, "to": edge.to.0, "why": edge.why.word() });
    let one = |finding: &Finding| {
        let by = finding.by.map(Model::word);
        let model = finding.model.word();
        let mut told = match &finding.verdict {
            Verdict::Valid => {
                json!({ "model": model, "verdict": "valid", "by": by, "check_ms": check_ms(finding.model) })
            }
            Verdict::Unknown(spent) => {
                json!({ "model": model, "verdict": "unknown", "why": spent.to_string(), "check_ms": check_ms(finding.model) })
            }
            Verdict::Invalid(witness) => json!({
                "model": model,
                "verdict": "invalid",
                "by": by,
                "check_ms": check_ms(finding.model),
                "anomaly": witness.anomaly.word(),
                "meaning": witness.anomaly.meaning(),
                "witness": witness.operations.iter().map(operation).collect::<Vec<_>>(),
                "edges": witness.edges.iter().map(edge).collect::<Vec<_>>(),
                "reasons": witness::reasons(history, witness),
            }),
        };
        if let Model::BoundedStaleness(bound) = finding.model {
            told["bound"] = json!(bound.to_string());
        }
        told
    };
    json!({
        "history": path.display().to_string(),
        "object": history.object().word(),
        "operations": history.len(),
        "sessions": history.counts().2,
        "keys": history.counts().1,
        "read_ms": milliseconds(times.read),
        "peak_mib": peak_mib(),
        "verdicts": findings.iter().map(one).collect::<Vec<_>>(),
        "silent": silent(history).map(|(models, first)| json!({ "models": models, "first": operation(&first) })),
    })
}
