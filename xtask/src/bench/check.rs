//! `cargo xtask bench check`: `quorate check` on histories of known size, as a whole program; what counts is the time
//! that it says the judging took, without reading the file. With `--porcupine PROGRAM` the same real histories go to
//! Porcupine in turn (see bench/porcupine).

use super::report;
use crate::run;
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Rounds of each measurement; the middle one counts.
const ROUNDS: usize = 5;
/// The folder with recorded histories of other projects.
const HISTORIES: &str = "QUORATE_HISTORIES";

struct Options {
    write: bool,
    porcupine: Option<PathBuf>,
}

/// What `quorate check` said about one history.
struct Judged {
    verdict: String,
    milliseconds: f64,
    peak_mib: f64,
}

/// Measures.
pub fn bench(words: &[&str]) -> Result<(), String> {
    let options = options(words)?;
    println!("building the release binary …");
    run::shown(&mut run::cargo(&["build", "--quiet", "--release", "-p", "quorate"]))?;
    let folder = std::env::temp_dir().join(format!("quorate-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let text = measure(&options, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    let text = text?;
    println!("\n{text}");
    if options.write {
        let path = run::root().join("bench/CHECK.md");
        std::fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("written to {}", path.display());
    }
    Ok(())
}

fn options(mut words: &[&str]) -> Result<Options, String> {
    let mut options = Options { write: false, porcupine: None };
    while let Some((word, rest)) = words.split_first() {
        words = rest;
        match *word {
            "--write" => options.write = true,
            "--porcupine" => {
                let (program, rest) = words.split_first().ok_or("--porcupine wants a program")?;
                options.porcupine = Some(PathBuf::from(program));
                words = rest;
            }
            other => return Err(format!("bench check knows no {other:?}")),
        }
    }
    Ok(options)
}

fn measure(options: &Options, folder: &Path) -> Result<String, String> {
    let mut out = String::from(
        "# Results of the checkers\n\nWritten by `cargo xtask bench check --write`. Time to judge, without reading the file; the middle of \
         five runs. Memory is the peak of the whole process.\n\n",
    );
    report::machine(&mut out, &[]);
    targets(folder, &mut out)?;
    growth(folder, &mut out)?;
    match std::env::var_os(HISTORIES) {
        Some(histories) => recorded(options, Path::new(&histories), &mut out)?,
        None => println!("{HISTORIES} is not set: the recorded histories are left out"),
    }
    Ok(out)
}

fn targets(folder: &Path, out: &mut String) -> Result<(), String> {
    let _ = writeln!(
        out,
        "## Targets\n\n| history | model | verdict | time | memory | target | |\n|---|---|---|---|---|---|---|"
    );
    let register = |name: &str, stale| file(folder, name, |to| registers(to, 10_000, 10, stale));
    let rows: [(&str, PathBuf, &str, f64); 4] = [
        ("register, 10,000 operations, kept", register("r.edn", false)?, "linearizable", 5.0),
        ("register, 10,000 operations, one stale read", register("s.edn", true)?, "linearizable", 5.0),
        ("transactions, 75,000 operations", file(folder, "c.txt", |to| plume(to, 7_500, 10))?, "causal", 100.0),
        (
            "list-append, 100,000 transactions",
            file(folder, "l.edn", |to| appends(to, 100_000))?,
            "strict-serializable",
            1_000.0,
        ),
    ];
    for (name, path, model, target) in &rows {
        row(out, name, path, model, Some(*target))?;
    }
    if let Some(histories) = std::env::var_os(HISTORIES) {
        let path = Path::new(&histories).join("elle/huge-scc.edn");
        row(out, "huge-scc.edn, 10,000 transactions in one cycle", &path, "strict-serializable", Some(2_000.0))?;
    }
    out.push('\n');
    Ok(())
}

fn growth(folder: &Path, out: &mut String) -> Result<(), String> {
    let _ = writeln!(
        out,
        "## Growth\n\n| history | model | verdict | time | memory | target | |\n|---|---|---|---|---|---|---|"
    );
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        let path = file(folder, "register.edn", |to| registers(to, count, 10, false))?;
        row(out, &format!("register, {count} operations"), &path, "linearizable", None)?;
        row(out, &format!("register, {count} operations"), &path, "causal-convergence", None)?;
        let path = file(folder, "plume.txt", |to| plume(to, count / 10, 10))?;
        row(out, &format!("transactions, {count} operations"), &path, "causal", None)?;
        let path = file(folder, "append.edn", |to| appends(to, count / 4))?;
        row(out, &format!("list-append, {count} steps"), &path, "strict-serializable", None)?;
    }
    out.push('\n');
    Ok(())
}

fn row(out: &mut String, name: &str, path: &Path, model: &str, target: Option<f64>) -> Result<(), String> {
    println!("{name} … {model}");
    let judged = judge(path, model)?;
    let (wanted, met) = match target {
        Some(target) => (format!("{target:.0} ms"), if judged.milliseconds <= target { "met" } else { "missed" }),
        None => (String::new(), ""),
    };
    let Judged { verdict, milliseconds, peak_mib } = judged;
    let _ =
        writeln!(out, "| {name} | {model} | {verdict} | {milliseconds:.2} ms | {peak_mib:.0} MiB | {wanted} | {met} |");
    Ok(())
}

/// The same recorded histories for both, one after the other.
fn recorded(options: &Options, histories: &Path, out: &mut String) -> Result<(), String> {
    let list = std::fs::read_to_string(histories.join("MANIFEST.tsv"))
        .map_err(|error| format!("cannot read the list of recorded histories: {error}"))?;
    let paths = list.lines().filter_map(|line| line.split('\t').next());
    let paths: Vec<&str> = paths.filter(|path| path.starts_with("porcupine/")).collect();
    let hard = |path: &&&str| path.contains("c50-") || path.contains("etcd_");
    let (mut own_sum, mut other_sum) = (0.0, 0.0);
    let _ = writeln!(
        out,
        "## Against Porcupine, on recorded histories of etcd and of a store\n\n| history | verdict | Quorate | Porcupine |\n|---|---|---|---|"
    );
    for path in paths.iter().filter(hard) {
        println!("{path} …");
        let full = histories.join(path);
        let own = judge(&full, "linearizable")?;
        own_sum += own.milliseconds;
        let other = match &options.porcupine {
            Some(program) => {
                let milliseconds = porcupine(program, &full)?;
                other_sum += milliseconds;
                format!("{milliseconds:.2} ms")
            }
            None => "–".to_owned(),
        };
        let _ = writeln!(out, "| {path} | {} | {:.2} ms | {other} |", own.verdict, own.milliseconds);
    }
    let ratio = if other_sum > 0.0 { format!("{:.1}×", other_sum / own_sum) } else { "–".to_owned() };
    let _ = writeln!(out, "| in total | | {own_sum:.2} ms | {other_sum:.2} ms, ratio {ratio} (target 10×) |");
    Ok(())
}

fn judge(path: &Path, model: &str) -> Result<Judged, String> {
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        let mut command = Command::new(run::root().join("target/release/quorate"));
        command.arg("check").arg(path).args(["--json", "--model", model]);
        let output = command.output().map_err(|error| format!("cannot run {}: {error}", run::line(&command)))?;
        let json: Value = serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("{}: {}", run::line(&command), String::from_utf8_lossy(&output.stderr)))?;
        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let verdict = json["verdicts"][0]["verdict"].as_str().unwrap_or("none").to_owned();
        let milliseconds = number(&json["verdicts"][0]["check_ms"]);
        runs.push(Judged { verdict, milliseconds, peak_mib: number(&json["peak_mib"]) });
    }
    runs.sort_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds));
    Ok(runs.swap_remove(ROUNDS / 2))
}

/// The program prints milliseconds of judging, then the verdict.
fn porcupine(program: &Path, history: &Path) -> Result<f64, String> {
    let mut runs = Vec::new();
    for _ in 0..ROUNDS {
        let output = Command::new(program)
            .arg(history)
            .output()
            .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let first = text.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        runs.push(first.ok_or_else(|| format!("{} printed {text:?}", program.display()))?);
    }
    runs.sort_by(f64::total_cmp);
    Ok(runs[ROUNDS / 2])
}

fn file(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<PathBuf, String> {
    let path = folder.join(name);
    let result = std::fs::File::create(&path).and_then(|file| {
        let mut to = BufWriter::new(file);
        write(&mut to)?;
        to.flush()
    });
    result.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    Ok(path)
}

/// Random numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// One register, distinct values, some clients at once; each operation takes place at a moment between call and answer.
fn registers(to: &mut dyn Write, count: usize, clients: usize, stale: bool) -> std::io::Result<()> {
    let mut random = Random(7);
    let (mut value, mut last, mut next) = (0u64, 0u64, 0u64);
    // What each client has in flight: is it a write, its value, has it taken place?
    let mut flight: Vec<Option<(bool, u64, bool)>> = vec![None; clients];
    let mut begun = 0;
    while begun < count || flight.iter().any(Option::is_some) {
        let client = random.below(clients as u64) as usize;
        match flight[client] {
            None if begun < count => {
                begun += 1;
                let write = random.below(2) == 0;
                let what = if write {
                    next += 1;
                    next.to_string()
                } else {
                    "nil".to_owned()
                };
                let verb = if write { "write" } else { "read" };
                writeln!(to, "{{:process {client}, :type :invoke, :f :{verb}, :value {what}}}")?;
                flight[client] = Some((write, next, false));
            }
            None => {}
            Some((true, new, false)) => {
                (last, value) = (value, new);
                flight[client] = Some((true, new, true));
            }
            Some((false, _, false)) => {
                let seen = if stale && begun + 5 >= count && value > 20 { last.saturating_sub(20) } else { value };
                flight[client] = Some((false, seen, true));
            }
            Some((write, what, true)) => {
                let verb = if write { "write" } else { "read" };
                let what = if what == 0 { "nil".to_owned() } else { what.to_string() };
                writeln!(to, "{{:process {client}, :type :ok, :f :{verb}, :value {what}}}")?;
                flight[client] = None;
            }
        }
    }
    Ok(())
}

/// Transactions that take place one after another, in ten sessions, in the text form of Plume.
fn plume(to: &mut dyn Write, transactions: usize, length: usize) -> std::io::Result<()> {
    const SESSIONS: usize = 10;
    const KEYS: u64 = 1_000;
    let mut random = Random(11);
    let mut values = vec![0u64; KEYS as usize];
    let mut next = 0;
    let mut sessions = vec![String::new(); SESSIONS];
    for transaction in 0..transactions {
        let session = random.below(SESSIONS as u64) as usize;
        for _ in 0..length {
            let key = random.below(KEYS) as usize;
            if random.below(2) == 0 {
                next += 1;
                values[key] = next;
                let _ = writeln!(sessions[session], "w({key},{next},{session},{transaction})");
            } else {
                let _ = writeln!(sessions[session], "r({key},{},{session},{transaction})", values[key]);
            }
        }
    }
    sessions.iter().try_for_each(|session| to.write_all(session.as_bytes()))
}

/// Transactions of four steps each on lists of a few dozen elements, ten clients at once.
fn appends(to: &mut dyn Write, transactions: usize) -> std::io::Result<()> {
    const CLIENTS: usize = 10;
    const LONGEST: usize = 32;
    let mut random = Random(13);
    // The live keys; a full list gives way to a fresh key.
    let mut lists: Vec<(u64, Vec<u64>)> = (0..10).map(|key| (key, Vec::new())).collect();
    let mut fresh = 10;
    let mut flight: Vec<Option<(String, String)>> = vec![None; CLIENTS];
    let mut begun = 0;
    while begun < transactions || flight.iter().any(Option::is_some) {
        let client = random.below(CLIENTS as u64) as usize;
        if let Some((_, answer)) = flight[client].take() {
            writeln!(to, "{{:process {client}, :type :ok, :f :txn, :value [{answer}]}}")?;
            continue;
        }
        if begun == transactions {
            continue;
        }
        begun += 1;
        let (mut asked, mut answer) = (String::new(), String::new());
        for _ in 0..4 {
            let at = random.below(lists.len() as u64) as usize;
            if lists[at].1.len() >= LONGEST {
                lists[at] = (fresh, Vec::new());
                fresh += 1;
            }
            let (key, list) = &mut lists[at];
            if random.below(2) == 0 {
                let element = list.len() as u64 + 1;
                list.push(element);
                let step = format!("[:append {key} {element}] ");
                asked.push_str(&step);
                answer.push_str(&step);
            } else {
                let elements: Vec<String> = list.iter().map(u64::to_string).collect();
                let _ = write!(asked, "[:r {key} nil] ");
                let _ = write!(answer, "[:r {key} [{}]] ", elements.join(" "));
            }
        }
        writeln!(to, "{{:process {client}, :type :invoke, :f :txn, :value [{asked}]}}")?;
        flight[client] = Some((asked, answer));
    }
    Ok(())
}
