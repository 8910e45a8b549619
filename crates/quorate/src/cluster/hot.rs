//! The busiest keys of a cluster, from what each node tells.

use super::each::{Answer, each, reachable};
use super::observe::Watcher;
use super::thousands;
use crate::access::Place;
use crate::exit::{Exit, Outcome};
use crate::paint;
use quorate_client::{Command, Error};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(1);
/// Keys of each table that are shown.
const SHOWN: usize = 10;

/// A node's answer to `QUORATE HOT`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Report {
    window_ms: u64,
    tables: Vec<Table>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Table {
    name: String,
    operations: u64,
    missed: u64,
    keys: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Key {
    key: Value,
    bytes: u64,
    most: u64,
    error: u64,
}

/// Operations per second, between two bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rate {
    least: f64,
    most: f64,
}

type Answers = Vec<Answer<(Report, Value)>>;

/// Shows them.
pub fn show(place: &Place, as_json: bool) -> Outcome {
    let ask = |watcher: &mut Watcher| -> Result<(Report, Value), Error> {
        watcher.json(&Command::new(["QUORATE", "HOT"]), PATIENCE)
    };
    let answers: Answers = each(place, ask);
    reachable(&answers)?;
    if as_json {
        let node = |(address, answer): &Answer<(Report, Value)>| match answer {
            Ok((_, hot)) => json!({ "address": address, "hot": hot }),
            Err(error) => json!({ "address": address, "unreachable": error.message }),
        };
        println!("{}", json!({ "nodes": answers.iter().map(node).collect::<Vec<_>>() }));
    } else {
        print!("{}", as_text(&answers));
    }
    Ok(Exit::Done)
}

fn as_text(answers: &Answers) -> String {
    let reports: Vec<&Report> = answers.iter().filter_map(|(_, answer)| Some(&answer.as_ref().ok()?.0)).collect();
    let names: Vec<&str> = {
        let mut names: Vec<&str> =
            reports.iter().flat_map(|report| &report.tables).map(|table| &table.name[..]).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let mut rows = vec![["table", "key", "ops/s, at least", "at most", "share"].map(str::to_owned).to_vec()];
    for name in names {
        let (all, keys) = of_table(&reports, name);
        for (key, rate) in keys.into_iter().take(SHOWN) {
            let share = format!("{:.1} %", 100.0 * rate.least / all.max(1e-9));
            rows.push(vec![name.to_owned(), key, per_second(rate.least), per_second(rate.most), share]);
        }
    }
    let silent = answers.iter().filter_map(|(address, answer)| Some((address, answer.as_ref().err()?)));
    let silent: String =
        silent.map(|(address, error)| format!("{}\n", paint::bad(&format!("{address}: {}", error.message)))).collect();
    let meaning = if rows.len() == 1 {
        "Nobody asked for a key lately.\n"
    } else {
        "Over the last seconds, the older the less; counted where clients ask.\n"
    };
    format!("{}{silent}\n{meaning}", paint::table(&rows))
}

fn per_second(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { thousands(rate.round() as u64) }
}

/// Operations per second on a table, and its keys, the busiest first. What a node does not name was asked for there at most as often as it says.
fn of_table(reports: &[&Report], name: &str) -> (f64, Vec<(String, Rate)>) {
    let tables: Vec<(f64, &Table)> = reports
        .iter()
        .flat_map(|report| report.tables.iter().map(|table| (1_000.0 / report.window_ms.max(1) as f64, table)))
        .filter(|(_, table)| table.name == name)
        .collect();
    let all = tables.iter().map(|(factor, table)| factor * table.operations as f64).sum();
    let unseen: f64 = tables.iter().map(|(factor, table)| factor * table.missed as f64).sum();
    let mut keys: BTreeMap<String, Rate> = BTreeMap::new();
    for (factor, table) in &tables {
        for key in &table.keys {
            let rate = keys.entry(shown(key)).or_insert(Rate { least: 0.0, most: unseen });
            rate.least += factor * key.most.saturating_sub(key.error) as f64;
            rate.most += factor * key.most as f64 - factor * table.missed as f64;
        }
    }
    let mut keys: Vec<(String, Rate)> = keys.into_iter().collect();
    keys.sort_by(|(_, a), (_, b)| (b.least, b.most).partial_cmp(&(a.least, a.most)).expect("rates are numbers"));
    (all, keys)
}

fn shown(key: &Key) -> String {
    let text = match &key.key {
        Value::String(text) => text.escape_debug().to_string(),
        other => other["base64"].as_str().map_or_else(String::new, |bytes| format!("base64:{bytes}")),
    };
    let whole = key.key.as_str().is_none_or(|text| text.len() as u64 >= key.bytes);
    if whole { text } else { format!("{text}… ({} bytes)", key.bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_nodes_add_up_with_their_bounds() {
        let key = |key: &str, most, error| Key { key: key.into(), bytes: key.len() as u64, most, error };
        let table = |missed, keys| Table { name: "carts".to_owned(), operations: 100, missed, keys };
        let one = Report { window_ms: 10_000, tables: vec![table(2, vec![key("a", 60, 2), key("b", 4, 2)])] };
        let two = Report { window_ms: 5_000, tables: vec![table(1, vec![key("a", 10, 0)])] };
        let (all, keys) = of_table(&[&one, &two], "carts");
        assert!((all - 30.0).abs() < 1e-9, "{all}");
        let told =
            |at: usize| (keys[at].0.as_str(), (keys[at].1.least * 10.0).round(), (keys[at].1.most * 10.0).round());
        assert_eq!((told(0), told(1)), (("a", 78.0, 80.0), ("b", 2.0, 6.0)));
        let text = as_text(&vec![("a:1".to_owned(), Ok((one, Value::Null)))]);
        let row: Vec<&str> = text.lines().nth(1).unwrap_or("").split_whitespace().collect();
        assert_eq!(row, ["carts", "a", "5.8", "6.0", "58.0", "%"], "{text}");
    }
}
