//! What `quorate up` prints while the cluster runs.

use super::observe::Seen;
use super::supervise::State;
use crate::paint;
use std::io::Write;
use std::time::{Duration, Instant};

/// A terminal's line is drawn this often; elsewhere a line is printed when something has changed for this long.
const PAUSE: Duration = Duration::from_millis(500);

/// What is shown of one node.
pub struct Face {
    /// Its number.
    pub id: u16,
    /// What became of its process.
    pub state: State,
    /// What it last said.
    pub seen: Seen,
}

impl Face {
    fn role(&self) -> String {
        match self.state {
            State::Paused => paint::bad("paused"),
            State::Crashed => paint::bad("crashed"),
            State::Died => paint::bad("died"),
            State::Running => match &self.seen.status {
                None => paint::bad("silent"),
                Some(status) if status.leads_any() => paint::good("leader"),
                Some(status) => status.groups.first().map_or("starting".to_owned(), |group| group.role.clone()),
            },
        }
    }

    /// What a node that does not run once said is no longer so.
    fn is_current(&self) -> bool {
        self.state == State::Running
    }
}

/// One line that stays in place on a terminal, or a line per change elsewhere.
pub struct Line {
    live: bool,
    shown: String,
    at: Option<Instant>,
}

impl Line {
    /// A line for a terminal (`live`) or for anything else.
    pub fn new(live: bool) -> Line {
        Line { live, shown: String::new(), at: None }
    }

    /// Shows how things stand.
    pub fn show(&mut self, faces: &[Face]) {
        if self.at.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        self.at = Some(Instant::now());
        let text = describe(faces);
        if self.live {
            let rate: f64 = faces.iter().filter(|face| face.is_current()).map(|face| face.seen.rate).sum();
            self.print(&format!("\r\x1b[K{text}  {} ops/s", thousands(rate.round() as u64)));
        } else if text != self.shown {
            self.print(&format!("{text}\n"));
        }
        self.shown = text;
    }

    /// Says something that stays.
    pub fn say(&mut self, what: &str) {
        let clear = if self.live { "\r\x1b[K" } else { "" };
        self.print(&format!("{clear}{what}\n"));
        self.at = None;
    }

    /// Nobody may be left to read; that must not stop the cluster.
    fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn describe(faces: &[Face]) -> String {
    let current = faces.iter().filter(|face| face.is_current());
    let term = current.filter_map(|face| face.seen.status.as_ref()).map(|status| status.term()).max().unwrap_or(0);
    let nodes: Vec<String> = faces.iter().map(|face| format!("{} {}", face.id, face.role())).collect();
    format!("term {term}  {}", nodes.join("  "))
}

/// A number with commas.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::observe::{Group, Status};

    #[test]
    fn a_node_that_does_not_run_is_shown_as_such_and_its_term_does_not_count() {
        let says = |role: &str, term| Seen {
            status: Some(Status {
                groups: vec![Group { role: role.into(), term, ..Group::default() }],
                ..Status::default()
            }),
            rate: 0.0,
        };
        let faces = [
            Face { id: 1, state: State::Running, seen: says("leader", 7) },
            Face { id: 2, state: State::Paused, seen: says("leader", 9) },
            Face { id: 3, state: State::Running, seen: Seen::default() },
        ];
        assert_eq!(describe(&faces), "term 7  1 leader  2 paused  3 silent");
    }

    #[test]
    fn numbers_have_commas() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(thousands(number), text);
        }
    }
}
