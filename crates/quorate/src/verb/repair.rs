//! `quorate repair`

use crate::access::Place;
use crate::cluster::each::{Answer, each, reachable};
use crate::cluster::movement::Moving;
use crate::cluster::observe::Watcher;
use crate::cluster::thousands;
use crate::exit::{Exit, Outcome};
use crate::paint;
use clap::{Args, Subcommand};
use quorate_client::{Command, Error};
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// See how replicas of leaderless tables become equal again, and have them compared now
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  quorate repair status
  quorate repair run --wait                         compare all with all, and tell when it is done
  quorate repair run --addr 127.0.0.1:7379          only what this node shares with others

Nodes compare their leaderless tables in the background all the time, one table with one node after the other. `run` compares
all of them now. Exits with 4 when no node answers, and `run --wait` also when a node does not answer or a comparison is given up.")]
pub struct Repair {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    place: Place,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Show what was compared with whom, and what nodes owe each other
    Status,
    /// Compare every table with every node that shares it, now
    Run {
        /// Stay until the comparisons have ended
        #[arg(long)]
        wait: bool,
    },
}

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at comparisons that are waited for.
const PAUSE: Duration = Duration::from_millis(200);

/// A node's answer to `QUORATE REPAIR`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Report {
    node: u16,
    every_ms: u64,
    progress: Progress,
    pairs: Vec<Pair>,
    owed: Vec<Owed>,
    #[serde(default)]
    moving: Vec<Moving>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
struct Progress {
    compared: u64,
    given_up: u64,
    ranges_differed: u64,
    keys_taken: u64,
    reads_mended: u64,
    hints: u64,
    hints_delivered: u64,
    hints_dropped: u64,
}

/// A table and another node that shares it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Pair {
    name: String,
    with: u16,
    stage: String,
    #[serde(default)]
    ranges_done: u64,
    #[serde(default)]
    ranges: u64,
    compared_ms: Option<u64>,
    given_up: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
struct Owed {
    node: u16,
    hints: u64,
}

type Answers = Vec<Answer<(Report, Value)>>;

impl Repair {
    pub fn run(self) -> Outcome {
        let (word, wait) = match self.what {
            What::Status => ("STATUS", false),
            What::Run { wait } => ("RUN", wait),
        };
        let mut answers = self.ask(word);
        reachable(&answers)?;
        if wait {
            answers = self.wait(answers);
        }
        if self.json {
            println!("{}", as_json(&answers));
        } else {
            print!("{}", as_text(&answers));
        }
        let whole = answers
            .iter()
            .all(|(_, answer)| answer.as_ref().is_ok_and(|(report, _)| report.pairs.iter().all(|pair| !pair.given_up)));
        Ok(if wait && !whole { Exit::Unavailable } else { Exit::Done })
    }

    fn ask(&self, word: &'static str) -> Answers {
        each(&self.place, move |watcher| ask(watcher, word))
    }

    /// Looks again until no comparison is on its way at a node that answers.
    fn wait(&self, mut answers: Answers) -> Answers {
        let live = !self.json && std::io::stderr().is_terminal();
        while reports(&answers).flat_map(|report| &report.pairs).any(|pair| pair.stage != "idle") {
            if live {
                eprint!("\r\x1b[K{}", left(&answers));
                let _ = std::io::stderr().flush();
            }
            std::thread::sleep(PAUSE);
            answers = self.ask("STATUS");
        }
        if live {
            eprint!("\r\x1b[K");
        }
        answers
    }
}

fn ask(watcher: &mut Watcher, word: &'static str) -> Result<(Report, Value), Error> {
    watcher.json(&Command::new(["QUORATE", "REPAIR", word]), PATIENCE)
}

fn reports(answers: &Answers) -> impl Iterator<Item = &Report> {
    answers.iter().filter_map(|(_, answer)| Some(&answer.as_ref().ok()?.0))
}

/// One line of what goes on.
fn left(answers: &Answers) -> String {
    let pairs: Vec<&Pair> = reports(answers).flat_map(|report| &report.pairs).collect();
    let in_stage = |stage| pairs.iter().filter(move |pair| pair.stage == stage);
    let (done, of) = in_stage("underway").fold((0, 0), |(done, of), pair| (done + pair.ranges_done, of + pair.ranges));
    let (underway, queued) = (in_stage("underway").count(), in_stage("queued").count());
    format!("Comparisons on their way: {underway} ({done} of {of} ranges), queued: {queued}")
}

fn as_json(answers: &Answers) -> Value {
    let node = |(address, answer): &Answer<(Report, Value)>| match answer {
        Ok((_, json)) => json!({ "address": address, "repair": json }),
        Err(error) => json!({ "address": address, "unreachable": error.message }),
    };
    json!({ "nodes": answers.iter().map(node).collect::<Vec<_>>() })
}

fn as_text(answers: &Answers) -> String {
    let heading = ["node", "table", "with", "compared", "now"].map(str::to_owned).to_vec();
    let mut pairs = vec![heading];
    let heading = [
        "node",
        "comparisons",
        "given up",
        "ranges differed",
        "keys taken",
        "reads mended",
        "hints kept",
        "delivered",
        "dropped",
    ];
    let mut counts = vec![heading.map(str::to_owned).to_vec()];
    for (address, answer) in answers {
        match answer {
            Ok((report, _)) => {
                pairs.extend(report.pairs.iter().map(|pair| pair_row(report.node, pair)));
                counts.push(count_row(report));
            }
            Err(error) => {
                counts.push(vec!["?".into(), paint::bad(&format!("{address} is unreachable: {}", error.message))]);
            }
        }
    }
    format!("{}\n{}\n{}", paint::table(&pairs), paint::table(&counts), meaning(answers))
}

fn pair_row(node: u16, pair: &Pair) -> Vec<String> {
    let compared = pair.compared_ms.map_or_else(|| "never".to_owned(), ago);
    let now = match &pair.stage[..] {
        "underway" => format!("{} of {} ranges", pair.ranges_done, pair.ranges),
        "idle" if pair.given_up => paint::bad("given up"),
        other => other.to_owned(),
    };
    vec![node.to_string(), pair.name.clone(), pair.with.to_string(), compared, now]
}

fn count_row(report: &Report) -> Vec<String> {
    let Progress { compared, given_up, ranges_differed, keys_taken, reads_mended, .. } = report.progress;
    let Progress { hints, hints_delivered, hints_dropped, .. } = report.progress;
    let counts = [compared, given_up, ranges_differed, keys_taken, reads_mended, hints, hints_delivered, hints_dropped];
    std::iter::once(report.node.to_string()).chain(counts.map(thousands)).collect()
}

fn ago(ms: u64) -> String {
    match ms {
        0..120_000 => format!("{} s ago", ms / 1_000),
        120_000..7_200_000 => format!("{} min ago", ms / 60_000),
        _ => format!("{} h ago", ms / 3_600_000),
    }
}

/// What it all means, in the fewest words.
fn meaning(answers: &Answers) -> String {
    let pairs: Vec<&Pair> = reports(answers).flat_map(|report| &report.pairs).collect();
    let mut lines = Vec::new();
    for report in reports(answers) {
        let owed = report.owed.iter();
        lines.extend(owed.map(|Owed { node, hints }| {
            format!("Node {} keeps {} for node {node}, until that node answers.", report.node, writes(*hints))
        }));
    }
    for report in reports(answers) {
        lines.extend(report.moving.iter().map(|moving| movement(report.node, moving)));
    }
    let never = pairs.iter().filter(|pair| pair.compared_ms.is_none()).count();
    let oldest = pairs.iter().filter_map(|pair| pair.compared_ms).max();
    lines.push(match oldest {
        _ if pairs.is_empty() => "There is no leaderless table with more than one replica: nothing is to be repaired.".into(),
        _ if pairs.iter().any(|pair| pair.stage != "idle") => format!("{}.", left(answers)),
        Some(oldest) if never == 0 => {
            let (count, age) = (pairs.len(), ago(oldest));
            format!("All {count} pairs of a table and a node were compared, the first of them {age}: what differed before is repaired.")
        }
        _ => format!(
            "{never} of {} pairs of a table and a node were not compared since a start; `quorate repair run --wait` does it.",
            pairs.len()
        ),
    });
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A table whose data move, as a node sees it.
fn movement(node: u16, moving: &Moving) -> String {
    let Moving { name, awaited, compared, to_compare, leaving } = moving;
    let awaited: Vec<String> = awaited.iter().map(u16::to_string).collect();
    let mut parts = Vec::new();
    if !awaited.is_empty() {
        parts.push(format!("waits for node {} to compare", awaited.join(", ")));
    }
    if *to_compare > 0 {
        parts.push(format!("has compared {} of {} ranges", thousands(*compared), thousands(*to_compare)));
    }
    if *leaving > 0 {
        parts.push(format!("hands over {} ranges that moved away", thousands(*leaving)));
    }
    if parts.is_empty() {
        parts.push("looks what moved away".to_owned());
    }
    format!("Table {name} moves: node {node} {}.", parts.join(", "))
}

fn writes(count: u64) -> String {
    if count == 1 { "a write".to_owned() } else { format!("{} writes", thousands(count)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pairs: Vec<Pair>, owed: Vec<Owed>) -> Answers {
        vec![("a:1".to_owned(), Ok((Report { node: 1, pairs, owed, ..Report::default() }, Value::Null)))]
    }

    #[test]
    fn the_last_line_says_what_it_means() {
        let pair = |with, stage: &str, compared_ms| Pair {
            name: "carts".to_owned(),
            with,
            stage: stage.to_owned(),
            compared_ms,
            ..Pair::default()
        };
        assert!(meaning(&answer(vec![], vec![])).contains("nothing is to be repaired"));
        let text = meaning(&answer(vec![pair(2, "idle", Some(9_000)), pair(3, "idle", None)], vec![]));
        assert!(text.starts_with("1 of 2 pairs") && text.contains("quorate repair run --wait"), "{text}");
        let text = meaning(&answer(vec![pair(2, "idle", Some(9_000)), pair(3, "idle", Some(150_000))], vec![]));
        assert!(text.starts_with("All 2 pairs") && text.contains("2 min ago"), "{text}");
        let text = meaning(&answer(vec![pair(2, "underway", None), pair(3, "queued", None)], vec![]));
        assert!(text.contains("on their way: 1 (0 of 0 ranges), queued: 1."), "{text}");
        let text = meaning(&answer(vec![pair(2, "idle", Some(0))], vec![Owed { node: 3, hints: 1_200 }]));
        assert!(text.starts_with("Node 1 keeps 1,200 writes for node 3"), "{text}");
    }

    #[test]
    fn a_table_that_moves_is_said() {
        let moving =
            Moving { name: "carts".to_owned(), awaited: vec![4, 5], compared: 3, to_compare: 1_024, leaving: 0 };
        assert_eq!(
            movement(4, &moving),
            "Table carts moves: node 4 waits for node 4, 5 to compare, has compared 3 of 1,024 ranges."
        );
        let leaving = Moving { name: "carts".to_owned(), leaving: 12, ..Moving::default() };
        assert_eq!(movement(1, &leaving), "Table carts moves: node 1 hands over 12 ranges that moved away.");
    }

    #[test]
    fn a_comparison_that_was_given_up_is_said() {
        let given_up =
            Pair { name: "carts".to_owned(), with: 3, stage: "idle".to_owned(), given_up: true, ..Pair::default() };
        let text = as_text(&answer(vec![given_up], vec![]));
        let row: Vec<&str> = text.lines().nth(1).unwrap_or("").split_whitespace().collect();
        assert_eq!(row, ["1", "carts", "3", "never", "given", "up"], "{text}");
    }
}
