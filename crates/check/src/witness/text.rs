//! A witness as text: a small space-time picture, the operations with their lines, and the reasons.

use super::layout::{Layout, layout};
use super::reasons;
use crate::{History, Id, Model, Operation, Staleness, Witness};
use std::fmt::Write;

/// Wider pictures are left out: the list says the same.
const WIDTH_MAX: usize = 110;

/// The witness in words, each line indented by two.
pub fn text(history: &History, model: Model, witness: &Witness) -> String {
    let mut out = String::new();
    let line = |out: &mut String, text: &str| writeln!(out, "  {}", text.trim_end()).expect("a string takes it");
    line(&mut out, &format!("{} breaks {}: {}", witness.anomaly.word(), model, witness.anomaly.meaning()));
    line(&mut out, "");
    let layout = layout(history, witness);
    let names: Vec<String> = layout.lanes.iter().map(|&lane| history.session(lane).to_string()).collect();
    let margin = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) + 2;
    if layout.width + margin <= WIDTH_MAX && !layout.bars.is_empty() {
        for (lane, name) in names.iter().enumerate() {
            for row in rows(&layout, lane) {
                line(&mut out, &format!("{name:<margin$}{row}"));
            }
        }
        line(&mut out, "");
    }
    for bar in &layout.bars {
        let operation = history.operation(bar.id);
        let source = if operation.line == 0 { String::new() } else { format!("line {}, ", operation.line) };
        let session = history.session(operation.session);
        let mark = if bar.bad { "✗" } else { " " };
        let time = time(history, model, bar.id);
        line(
            &mut out,
            &format!("{:>3} {mark} {source}session {session}: {}{time}", bar.number, history.describe(bar.id)),
        );
    }
    let reasons = reasons(history, witness);
    if !reasons.is_empty() {
        line(&mut out, "");
        reasons.iter().for_each(|reason| line(&mut out, reason));
    }
    out
}

/// When the operation began and ended, if the model is about that.
fn time(history: &History, model: Model, id: Id) -> String {
    let Model::BoundedStaleness(Staleness::Nanoseconds(_)) = model else { return String::new() };
    match history.time_ns(id) {
        None => String::new(),
        Some((begin, Operation::NEVER)) => format!("  (from {begin} ns)"),
        Some((begin, end)) => format!("  ({begin} to {end} ns)"),
    }
}

/// A lane in as few rows as its bars need without touching each other.
fn rows(layout: &Layout, lane: usize) -> Vec<String> {
    let mut rows: Vec<Vec<char>> = Vec::new();
    for bar in layout.bars.iter().filter(|bar| bar.lane == lane) {
        let to = bar.to.unwrap_or(layout.width);
        let free = |row: &&mut Vec<char>| row.len() < bar.from || bar.from == 0 && row.is_empty();
        let row = match rows.iter_mut().find(free) {
            Some(row) => row,
            None => {
                rows.push(Vec::new());
                rows.last_mut().expect("a row was just put there")
            }
        };
        row.resize(bar.from, ' ');
        row.extend(format!("├ {} ", bar.label).chars());
        let fill = if bar.to.is_some() { '─' } else { '╌' };
        while row.len() < to {
            row.push(fill);
        }
        row.push(if bar.to.is_some() { '┤' } else { '›' });
    }
    rows.into_iter().map(|row| row.into_iter().collect()).collect()
}
